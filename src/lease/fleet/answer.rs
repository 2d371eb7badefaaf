//! What the scripts answer, and what a grant says.

use std::time::Duration;

use redis::{FromRedisValue, Value};

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The lease: its highest token, and how long it lasts from when it was asked for.
    Granted { top: u64, ttl: Duration },
    /// A place in the queue; the present lease runs out after so long, unless it ends before. The store's clock read that.
    Queued { runs_out: Duration, read_ms: u64 },
    /// The store is another one.
    Replaced,
}

/// Another answer than a script gives.
#[derive(Debug, thiserror::Error)]
#[error("the store's answer to a lease's script has another form than expected")]
pub(super) struct BadAnswer;

impl Answer {
    pub(super) fn read(value: Value) -> Result<Self, BadAnswer> {
        let words: Vec<String> = FromRedisValue::from_redis_value(value).map_err(|_| BadAnswer)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [_, "granted", top, ttl] => Ok(Self::Granted { top: number(top)?, ttl: millis(ttl)? }),
            [read, "queued", left] => {
                // Negative for a lease without an end, which nobody here makes.
                let left = left.parse::<i64>().map_err(|_| BadAnswer)?;
                let runs_out = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                Ok(Self::Queued { runs_out, read_ms: number(read)? })
            }
            [_, "replaced"] => Ok(Self::Replaced),
            _ => Err(BadAnswer),
        }
    }
}

/// A lease that was handed over, as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// To whom.
    pub(super) owner: String,
    pub(super) top: u64,
    /// When, by the store's clock.
    pub(super) at_ms: u64,
    pub(super) ttl: Duration,
    /// What the keys of the entity begin with.
    pub(super) keys: String,
}

impl Grant {
    /// `None` for what no script published.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?;
        // The key stands last: an entity may have blanks.
        let mut words = text.splitn(5, ' ');
        let owner = words.next()?.to_owned();
        let (top, at, ttl) = (words.next()?, words.next()?, words.next()?);
        let keys = words.next()?.strip_suffix("holder")?.to_owned();
        let ttl = millis(ttl).ok()?;
        Some(Self { owner, top: number(top).ok()?, at_ms: number(at).ok()?, ttl, keys })
    }
}

fn number(text: &str) -> Result<u64, BadAnswer> {
    text.parse().map_err(|_| BadAnswer)
}

fn millis(text: &str) -> Result<Duration, BadAnswer> {
    number(text).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn array(words: &[&str]) -> Value {
        Value::Array(words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec())).collect())
    }

    #[test]
    fn answers_are_read_and_others_refused() {
        let granted = Answer::Granted { top: 16, ttl: Duration::from_millis(900) };
        assert_eq!(Answer::read(array(&["1", "granted", "16", "900"])).unwrap(), granted);
        let runs_out = Duration::from_millis(40);
        assert_eq!(
            Answer::read(array(&["7", "queued", "40"])).unwrap(),
            Answer::Queued { runs_out, read_ms: 7 }
        );
        assert_eq!(Answer::read(array(&["7", "replaced"])).unwrap(), Answer::Replaced);
        assert!(Answer::read(array(&["7", "granted", "x", "1"])).is_err());
        assert!(Answer::read(array(&[])).is_err());
        assert!(Answer::read(Value::Nil).is_err());
    }

    #[test]
    fn a_grant_names_its_entity_whatever_that_is_called() {
        let grant = Grant::read(b"s/1/900/16 16 1000 900 p:lease:{a b holder}:holder").unwrap();

        assert_eq!(grant.keys, "p:lease:{a b holder}:");
        assert_eq!((grant.owner.as_str(), grant.top, grant.at_ms), ("s/1/900/16", 16, 1000));
    }

    proptest! {
        #[test]
        fn no_message_panics(payload in proptest::collection::vec(any::<u8>(), 0..60)) {
            drop(Grant::read(&payload));
        }
    }
}
