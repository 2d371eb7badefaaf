//! Which node of a cluster has which keys: pure.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use redis::cluster_routing::Slot;
use redis::{RedisError, Value, from_redis_value};

use super::place::Address;

/// Slots of a cluster: keys are spread over so many.
const SLOTS: usize = 16_384;

/// The owner of every slot, as far as it is known.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Slots {
    owners: HashMap<Slot, Rc<Address>>,
}

/// Where to send a command instead, as a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot has another owner.
    Moved(Slot, Address),
    /// The slot is on its way: this command alone is to be asked for there.
    Ask(Address),
}

impl Slots {
    /// Reads what `CLUSTER SLOTS` answers; `asked` is the host that was asked, for what it leaves out about itself.
    pub(super) fn read(answer: Value, asked: &str) -> Result<Self, RedisError> {
        let mut owners = HashMap::new();
        // Each range: first and last slot, the master, its replicas. A node: host, port, id, more.
        let ranges: Vec<Vec<Value>> = from_redis_value(answer)?;
        for range in ranges {
            let mut parts = range.into_iter();
            let mut next = || parts.next().unwrap_or(Value::Nil);
            let first: u16 = from_redis_value(next())?;
            let last: u16 = from_redis_value(next())?;
            let mut master = from_redis_value::<Vec<Value>>(next())?.into_iter();
            let mut next = || master.next().unwrap_or(Value::Nil);
            let host: Option<String> = from_redis_value(next())?;
            let port: u16 = from_redis_value(next())?;
            // A node that doesn't know its own name, or has none to give.
            let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| asked.to_owned());
            if host == "?" {
                continue;
            }
            let owner = Rc::new(Address { host, port });
            let slots = (first..=last).filter_map(Slot::new);
            owners.extend(slots.map(|slot| (slot, Rc::clone(&owner))));
        }
        Ok(Self { owners })
    }

    /// The owner of a key's slot.
    pub(super) fn owner(&self, key: &str) -> Option<Rc<Address>> {
        self.owners.get(&Slot::for_key(key)).cloned()
    }

    /// Notes what a node said of one slot.
    pub(super) fn moved(&mut self, slot: Slot, to: &Address) {
        self.owners.insert(slot, Rc::new(to.clone()));
    }

    /// All owners.
    pub(super) fn masters(&self) -> BTreeSet<Address> {
        let masters: BTreeSet<&Address> = self.owners.values().map(|owner| &**owner).collect();
        masters.into_iter().cloned().collect()
    }

    /// Whether every slot has an owner: else some keys can't be reached.
    pub(super) fn are_complete(&self) -> bool {
        self.owners.len() == SLOTS
    }
}

impl Redirect {
    /// Reads it from the error that `asked` gave.
    pub(super) fn read(error: &RedisError, asked: &str) -> Option<Self> {
        let is_moved = error.code() == Some("MOVED");
        let (target, slot) = error.redirect_node()?;
        let (host, port) = target.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { asked } else { host };
        let address = Address { host: host.to_owned(), port: port.parse().ok()? };
        match is_moved {
            true => Some(Self::Moved(Slot::new(slot)?, address)),
            false => Some(Self::Ask(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), bulk("id")]);
        let replica = node(bulk("replica"), 1);
        Value::Array(vec![Value::Int(first), Value::Int(last), node(host, port), replica])
    }

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    fn error(line: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn a_key_belongs_to_the_master_of_its_slot() {
        let answer =
            Value::Array(vec![range(0, 8191, bulk("a"), 1), range(8192, 16383, bulk("b"), 2)]);

        let slots = Slots::read(answer, "asked").unwrap();

        // `foo` is in slot 12182, `bar` in 5061: the cluster specification's own examples.
        assert_eq!(slots.owner("foo").as_deref(), Some(&address("b", 2)));
        assert_eq!(slots.owner("bar").as_deref(), Some(&address("a", 1)));
        assert_eq!(slots.owner("x{bar}y").as_deref(), Some(&address("a", 1)));
        assert_eq!(slots.masters(), BTreeSet::from([address("a", 1), address("b", 2)]));
        assert!(slots.are_complete());
    }

    #[test]
    fn a_node_that_does_not_name_itself_is_the_one_that_was_asked() {
        let answer = Value::Array(vec![
            range(0, 1, Value::Nil, 1),
            range(2, 3, bulk(""), 2),
            range(4, 5, bulk("?"), 3),
        ]);

        let slots = Slots::read(answer, "asked").unwrap();

        assert_eq!(slots.masters(), BTreeSet::from([address("asked", 1), address("asked", 2)]));
        assert!(!slots.are_complete());
    }

    #[test]
    fn nonsense_is_refused() {
        for answer in [Value::Int(1), Value::Array(vec![Value::Array(vec![bulk("x")])])] {
            assert!(Slots::read(answer.clone(), "asked").is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_slot_that_moved_is_asked_for_at_its_new_owner() {
        let answer = Value::Array(vec![range(0, 16383, bulk("a"), 1)]);
        let mut slots = Slots::read(answer, "asked").unwrap();

        let Some(Redirect::Moved(slot, to)) = Redirect::read(&error("MOVED 12182 b:2"), "a") else {
            panic!("no redirect");
        };
        slots.moved(slot, &to);

        assert_eq!(slots.owner("foo").as_deref(), Some(&address("b", 2)));
        assert_eq!(slots.owner("bar").as_deref(), Some(&address("a", 1)));
    }

    #[test]
    fn redirects_are_read_with_every_spelling_of_an_address() {
        let ask = |line: &str| Redirect::read(&error(line), "asked");
        let to = |host, port| Some(Redirect::Ask(address(host, port)));

        assert_eq!(ask("ASK 1 10.0.0.1:6379"), to("10.0.0.1", 6379));
        assert_eq!(ask("ASK 1 fd00::1:6379"), to("fd00::1", 6379));
        assert_eq!(ask("ASK 1 [fd00::1]:6379"), to("fd00::1", 6379));
        assert_eq!(ask("ASK 1 :6379"), to("asked", 6379));
        assert_eq!(ask("ASK 1 nowhere"), None);
        assert_eq!(ask("ERR 1 a:1"), None);
    }
}
