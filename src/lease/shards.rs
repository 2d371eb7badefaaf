//! A map by entity that threads share: many mutexes, so that two cores seldom meet at one.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Far more than cores.
const SHARDS: usize = 64;

/// Clients choose the entities, so nobody may know which of them meet in one place.
#[cfg(not(test))]
type Hasher = std::collections::hash_map::RandomState;

/// A simulation that runs twice takes them in the same order.
#[cfg(test)]
type Hasher = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// The part of the map that an entity is in.
pub(super) type Shard<V> = HashMap<Arc<str>, V, Hasher>;

/// The whole map. Each lock is held for one look-up and a few moves, never across an `await`.
pub(super) struct Shards<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    hasher: Hasher,
}

impl<V> Shards<V> {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: Hasher::default() }
    }

    /// Locks the part that the entity is in.
    pub(super) fn of(&self, entity: &str) -> MutexGuard<'_, Shard<V>> {
        let hash = self.hasher.hash_one(entity);
        lock(&self.shards[(hash % SHARDS as u64) as usize])
    }

    /// Locks one part after the other.
    pub(super) fn lock_each(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<V>>> {
        self.shards.iter().map(lock)
    }
}

/// A panic under the lock leaves nothing half-done (each change is a few moves), so poison is no news.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
