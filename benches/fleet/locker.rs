//! The peer: the lock that most programs build on Redis. `SET key id NX PX`, again after a random pause while that fails,
//! and a script that deletes the key if the id is still there.

use std::ops::Range;
use std::thread;
use std::time::Duration;

use redis::{Script, SetExpiry, SetOptions};

use crate::store::{Redis, StoreError};

/// How long the peer pauses, in milliseconds, where it asks often: quick, and a burden on the store.
pub(crate) const EAGER: Range<u64> = 1..6;
/// And where it asks seldom.
pub(crate) const PATIENT: Range<u64> = 10..100;
/// How long a lock is held at most, in milliseconds: longer than any call.
const EXPIRY_MS: u64 = 10_000;
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("its store failed")]
    Store(#[from] StoreError),
    #[error("a command failed")]
    Redis(#[from] redis::RedisError),
    #[error("the lock of {key} was lost while it was held")]
    Lost { key: String },
}

/// One caller's way to locks, on a connection of its own.
pub(crate) struct Locker {
    connection: redis::Connection,
    release: Script,
    pause_us: Range<u64>,
}

/// A lock that is held.
#[must_use = "it has to be released"]
pub(crate) struct Held {
    key: String,
    id: u64,
}

impl Locker {
    /// `pause_ms` is how long it waits after it found a lock held, at random within the range.
    pub(crate) fn new(redis: &Redis, pause_ms: &Range<u64>) -> Result<Self, LockError> {
        let pause_us = pause_ms.start * 1000..pause_ms.end * 1000;
        Ok(Self { connection: redis.connection()?, release: Script::new(RELEASE), pause_us })
    }

    /// Takes an entity's lock, however long that takes.
    pub(crate) fn take(&mut self, entity: &str) -> Result<Held, LockError> {
        let (key, id) = (format!("peer:lock:{entity}"), fastrand::u64(..));
        let options = SetOptions::default()
            .conditional_set(redis::ExistenceCheck::NX)
            .with_expiration(SetExpiry::PX(EXPIRY_MS));
        loop {
            let mut set = redis::cmd("SET");
            let set = set.arg(&key).arg(id).arg(&options);
            let answer: Option<String> = set.query(&mut self.connection)?;
            if answer.is_some() {
                return Ok(Held { key, id });
            }
            thread::sleep(Duration::from_micros(fastrand::u64(self.pause_us.clone())));
        }
    }

    /// Gives it back.
    pub(crate) fn release(&mut self, held: Held) -> Result<(), LockError> {
        let released: u64 =
            self.release.key(&held.key).arg(held.id).invoke(&mut self.connection)?;
        if released == 1 { Ok(()) } else { Err(LockError::Lost { key: held.key }) }
    }
}
