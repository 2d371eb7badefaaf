//! What the store knows of the fleet, and the scripts that read and write it.
//!
//! A user may be forbidden to publish; the regular beats tell the same, later.

use std::collections::BTreeMap;

use redis::{FromRedisValue, Value};
use serde::{Deserialize, Serialize};

use super::ledger::Progress;
use super::view::{FleetView, SidecarView};
use crate::domain::recovery::Member;
use crate::remote::Script;
use crate::telemetry::labels::{LabelValue, LeaseGate, StoreOperation};

/// Where the register has more than [`MAX_REGISTERED`] sidecars, one that was not heard of for so long, in milliseconds, is
/// taken off it by whoever joins, unless a quarantine is longer: one that crashes again and again must not fill it. Before that
/// nobody is: a sidecar that is cut off may still call the app, and flips wait for it.
pub(super) const FORGOTTEN_AFTER_MS: u64 = 3_600_000;

/// See [`FORGOTTEN_AFTER_MS`].
pub(super) const MAX_REGISTERED: usize = 256;

/// A sign of life, answered with all that is new.
///
/// Keys: register, epoch, revision. Arguments: id, what the sidecar says of itself, a channel to call the roll on or nothing.
/// Answer: the store's time in milliseconds, the epoch, the revision, the register.
pub(super) static BEAT: Script = Script {
    operation: StoreOperation::Beat,
    text: "#!lua
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
if ARGV[3] ~= '' then redis.pcall('PUBLISH', ARGV[3], ARGV[1]) end
return {now, redis.call('GET', KEYS[2]) or '', redis.call('GET', KEYS[3]) or '0', redis.call('HGETALL', KEYS[1])}
",
};

/// Takes part (again). A store without an epoch, or whose epoch is of other servers, begins a new one: it may have forgotten
/// leases. Registering and reading are one step, so that nobody slips past whoever looks at the register.
///
/// Keys: register, epoch, revision. Arguments: id, what the sidecar says of itself, the servers' identity, a name for a new
/// epoch, after how long a silent sidecar is forgotten, the channel to call the roll on, with how many sidecars that begins, the
/// epoch that the sidecar was in last, and who else was there. Where that was another epoch, the register has forgotten them: they
/// are put back as sidecars of which nothing is known.
/// Answer: as of [`BEAT`].
pub(super) static JOIN: Script = Script {
    operation: StoreOperation::Join,
    text: "#!lua
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
local epoch = redis.call('GET', KEYS[2]) or ''
local identity = string.match(epoch, '^%S+ (%S+) %d+$')
local silent = {}
local register = redis.call('HGETALL', KEYS[1])
for i = 1, #register, 2 do
  local heard = tonumber(string.match(register[i + 1], '^%d+'))
  if not heard or math.abs(tonumber(now) - heard) > tonumber(ARGV[5]) then silent[#silent + 1] = register[i] end
end
if #register / 2 <= tonumber(ARGV[7]) then silent = {} end
if identity ~= ARGV[3] then
  epoch = ARGV[4] .. ' ' .. ARGV[3] .. ' ' .. now
  redis.call('SET', KEYS[2], epoch)
end
for _, id in ipairs(silent) do redis.call('HDEL', KEYS[1], id) end
if epoch ~= ARGV[8] then
  for i = 9, #ARGV do redis.call('HSETNX', KEYS[1], ARGV[i], now .. ' {}') end
end
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
redis.pcall('PUBLISH', ARGV[6], ARGV[1])
return {now, epoch, redis.call('GET', KEYS[3]) or '0', redis.call('HGETALL', KEYS[1])}
",
};

/// Leaves. Keys: register. Arguments: id, what the sidecar says of itself where an update that it gave up may still write.
pub(crate) static PART: Script = Script {
    operation: StoreOperation::Part,
    text: "#!lua
if ARGV[2] == '' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
return redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
",
};

/// What a sidecar says of itself in each beat. Fields of a later version are passed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) build: String,
    pub(super) started_ms: u64,
    pub(super) epoch: String,
    pub(super) drained: bool,
    /// How long its calls may go on and still write.
    #[serde(default)]
    pub(super) quarantine_ms: u64,
    pub(super) leases: String,
    pub(super) flags: BTreeMap<String, u64>,
    /// How far its updates of each flag are.
    #[serde(default)]
    pub(super) updates: BTreeMap<String, Progress>,
    /// It has left, and this long after it said so nothing of its updates can write any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left_ms: Option<u64>,
}

impl Said {
    /// Whether it has left, and nothing of it is to be waited for.
    fn is_gone(&self, silent_ms: u64) -> bool {
        self.left_ms.is_some_and(|left| silent_ms >= left)
    }
}

/// The answer of a beat.
#[derive(Clone, Debug)]
pub(super) struct Register {
    /// The store's time in milliseconds.
    pub(super) now_ms: u64,
    /// Which store it is; empty where it has not begun.
    pub(super) epoch: String,
    /// Grows with every change of a flag.
    pub(super) revision: u64,
    /// Who is registered, and what they said last; `None` for what can't be read.
    entries: BTreeMap<String, (u64, Option<Said>)>,
    /// What else is there: who has left and is not to be waited for, and what no sidecar wrote.
    passed_over: Vec<Vec<u8>>,
}

/// Why an answer is none.
#[derive(Debug, thiserror::Error)]
#[error("the store's answer to a beat has another form than expected")]
pub(super) struct BadAnswer;

impl Register {
    pub(super) fn read(answer: Value) -> Result<Self, BadAnswer> {
        type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;
        let (now, epoch, revision, pairs): (String, Vec<u8>, Vec<u8>, Pairs) =
            FromRedisValue::from_redis_value(answer).map_err(|_| BadAnswer)?;
        let now_ms = now.parse().map_err(|_| BadAnswer)?;
        // What no sidecar wrote must not hide those that did.
        let (mut entries, mut passed_over) = (BTreeMap::new(), Vec::new());
        for (id, text) in pairs {
            match sidecar(&id, &text, now_ms) {
                Some((id, entry)) => drop(entries.insert(id, entry)),
                None => passed_over.push(id),
            }
        }
        let (epoch, revision) =
            (String::from_utf8_lossy(&epoch).into_owned(), String::from_utf8_lossy(&revision));
        Ok(Self {
            now_ms,
            // A counter that somebody wrote nonsense to says that everything may be new.
            revision: revision.parse().unwrap_or(0),
            epoch,
            entries,
            passed_over,
        })
    }

    /// When this store began; now where that can't be read: the cautious guess.
    pub(super) fn founded_ms(&self) -> u64 {
        let written = self.epoch.rsplit_once(' ').and_then(|(_, at)| at.parse().ok());
        written.unwrap_or(self.now_ms)
    }

    /// The longest that a call of anybody may go on and still write: sidecars may be configured differently for a while.
    pub(super) fn quarantine_ms(&self) -> u64 {
        let said = self.entries.values().filter_map(|(_, said)| said.as_ref());
        said.map(|said| said.quarantine_ms).max().unwrap_or(0)
    }

    pub(super) fn members(&self) -> Vec<Member> {
        let member = |(id, (heard_ms, said)): (&String, &(u64, Option<Said>))| Member {
            id: id.clone(),
            // Nobody was heard of in the future; a clock that was set back makes it look so.
            heard_ms: (*heard_ms).min(self.now_ms),
            epoch: said.as_ref().map(|said| said.epoch.clone()).unwrap_or_default(),
            drained: said.as_ref().is_some_and(|said| said.drained),
        };
        self.entries.iter().map(member).collect()
    }

    /// As people see it; `at_ms` is this process's own wall clock.
    pub(super) fn view(&self, me: &str, at_ms: u64) -> FleetView {
        let sidecars = self.entries.iter().map(|(id, (heard_ms, said))| {
            // Of one that says nothing which can be read nothing is known but that it is there.
            let said = said.clone().unwrap_or_default();
            let leases = LeaseGate::VALUES.iter().find(|gate| gate.word() == said.leases);
            SidecarView {
                id: id.clone(),
                this: id == me,
                build: said.build,
                started_ms: said.started_ms,
                // One that is there says so by the new clock within a beat.
                silent_ms: self.now_ms.abs_diff(*heard_ms),
                leases: leases.copied().unwrap_or(LeaseGate::Lost),
                flags: said.flags,
                updates: said.updates,
            }
        });
        let passed_over = self.passed_over.clone();
        FleetView { sidecars: sidecars.collect(), at_ms, passed_over }
    }
}

/// `None` for what no sidecar wrote, and for one that is not to be waited for any more.
fn sidecar(id: &[u8], text: &[u8], now_ms: u64) -> Option<(String, (u64, Option<Said>))> {
    let (id, text) = (str::from_utf8(id).ok()?, str::from_utf8(text).ok()?);
    let (heard_ms, said) = entry(text)?;
    let gone = said.as_ref().is_some_and(|said| said.is_gone(now_ms.saturating_sub(heard_ms)));
    (!gone).then(|| (id.to_owned(), (heard_ms, said)))
}

/// `None` for what no sidecar wrote.
fn entry(text: &str) -> Option<(u64, Option<Said>)> {
    let (heard_ms, said) = text.split_once(' ')?;
    Some((heard_ms.parse().ok()?, serde_json::from_str(said).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn answer(epoch: &str, entries: &[(&str, &str)]) -> Value {
        let pairs = entries.iter().flat_map(|(id, text)| [bulk(id), bulk(text)]).collect();
        Value::Array(vec![bulk("1000"), bulk(epoch), bulk("7"), Value::Array(pairs)])
    }

    #[test]
    fn one_that_has_left_is_waited_for_until_its_last_update_can_not_write_any_more() {
        let left = |heard| format!("{heard} {}", SAID.replace("\"new\":1", "\"left_ms\":200"));
        let (gone, leaving) = (left(800), left(801));

        let register = Register::read(answer("e", &[("a", &gone), ("b", &leaving)])).unwrap();

        let members: Vec<String> = register.members().into_iter().map(|it| it.id).collect();
        assert_eq!(members, ["b"]);
    }

    const SAID: &str = r#"{"build":"1","started_ms":5,"epoch":"e","drained":true,"leases":"open","flags":{"f":3},"new":1}"#;

    #[test]
    fn a_register_reads_as_members_and_as_a_view() {
        let entries = [
            ("a", format!("900 {SAID}")),
            ("b", "nonsense".to_owned()),
            ("c", "800 {".to_owned()),
            ("d", format!("9999 {SAID}")),
        ];
        let entries: Vec<(&str, &str)> =
            entries.iter().map(|(id, text)| (*id, text.as_str())).collect();

        let register = Register::read(answer("x y 400", &entries)).unwrap();

        assert_eq!((register.now_ms, register.revision, register.founded_ms()), (1000, 7, 400));
        let members = register.members();
        assert_eq!(members.len(), 3, "what no sidecar wrote is none");
        assert_eq!(members[2].heard_ms, 1000, "nobody was heard of in the future");
        assert_eq!(
            (members[0].heard_ms, members[0].drained, members[0].epoch.as_str()),
            (900, true, "e")
        );
        assert!(!members[1].drained, "what can't be read promises nothing");
        let view = register.view("a", 1);
        let ids: Vec<&str> = view.sidecars.iter().map(|sidecar| sidecar.id.as_str()).collect();
        assert_eq!(ids, ["a", "c", "d"]);
        assert_eq!((view.sidecars[0].silent_ms, view.sidecars[0].this), (100, true));
        assert_eq!(view.sidecars[0].flags["f"], 3);
        assert_eq!(view.sidecars[2].silent_ms, 8_999, "by a clock that was set back since");
    }

    #[test]
    fn bytes_that_are_no_text_hide_nobody() {
        let bytes = |text: &[u8]| Value::BulkString(text.to_vec());
        let said = format!("900 {SAID}");
        let pairs = [&b"x\xff"[..], b"1 {}", b"z", b"1 \xff", b"a", said.as_bytes()];
        let register = Value::Array(pairs.map(bytes).to_vec());
        let answer = Value::Array(vec![bulk("1000"), bytes(b"\xff"), bytes(b"\xff"), register]);

        let register = Register::read(answer).unwrap();

        assert_eq!(register.members().len(), 1);
        assert_eq!((register.revision, register.founded_ms()), (0, 1000));
    }

    #[test]
    fn another_answer_is_an_error_and_no_panic() {
        for other in [Value::Nil, bulk("x"), Value::Array(vec![]), Value::Array(vec![bulk("x"); 4])]
        {
            assert!(Register::read(other).is_err());
        }
    }

    #[test]
    fn a_store_whose_beginning_can_not_be_read_began_now() {
        let register = Register::read(answer("", &[])).unwrap();

        assert_eq!(register.founded_ms(), 1000);
    }
}
