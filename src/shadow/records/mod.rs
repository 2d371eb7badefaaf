//! Divergence records: kept for whoever wants to know what happened, capped by count, bytes and age.
//!
//! [`Records`] takes them from any thread without waiting. Without a store they stay in a [`ring`]. With one, the fleet
//! shares them: the [`archive`], on the store's thread, writes what waits in the ring to a [`shelf`] and reads from there.
//! While the store is gone the ring holds the last ones, and answers; what falls out of it unwritten is counted.

mod archive;
mod page;
mod rate;
mod ring;
mod scripts;
mod shelf;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock;
use crate::config::DivergenceConfig;
use crate::domain::divergence::{Divergence, RecordId};
use crate::telemetry::events::DivergenceKept;
use crate::telemetry::{FlagIndex, Telemetry};

pub(crate) use archive::Archive;
pub(crate) use page::{Found, Listed, Page, Query, Source};
use rate::Rate;
use ring::{Batch, Item, Limits, Ring};

/// The most bytes of records in memory where there is no store: a sidecar must stay small.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The most records in memory beside a store: enough for an outage of 40 s at the rate of one flag.
const BESIDE_STORE: usize = 200;

/// The most bytes of those.
const BESIDE_STORE_BYTES: usize = 4 * 1024 * 1024;

/// The most questions that wait for the store: people and pages ask, and past it memory answers.
const MAX_ASKING: usize = 16;

/// The longest that a question waits for the store; then memory answers.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Where divergences go. Clones share everything.
#[derive(Clone)]
pub(crate) struct Records {
    inner: Arc<Inner>,
    /// Where a store has them.
    asks: Option<mpsc::Sender<Ask>>,
}

/// What all threads share.
struct Inner {
    ring: Mutex<Ring>,
    /// In the order of the flags.
    rates: Vec<Rate>,
    /// Told when there is something to write.
    more: Notify,
    is_shared: bool,
    began: clock::Instant,
    telemetry: Telemetry,
}

/// A question to the store's thread. No answer is one too: the store can't be asked.
enum Ask {
    List { query: Query, reply: oneshot::Sender<Page> },
    Find { id: RecordId, reply: oneshot::Sender<Found> },
}

impl Records {
    /// Records of this process alone. `flags` is how many flags there are.
    pub(crate) fn in_memory(
        config: &DivergenceConfig,
        flags: usize,
        telemetry: &Telemetry,
    ) -> Self {
        let limits =
            Limits { keep: config.keep, bytes: MAX_BYTES, max_age_ms: whole_ms(config.max_age) };
        Self { inner: Inner::new(Ring::alone(limits), flags, telemetry, false), asks: None }
    }

    /// Records of a fleet, and what has to run on the store's thread for them.
    pub(crate) fn in_store(
        config: &DivergenceConfig,
        flags: usize,
        telemetry: &Telemetry,
    ) -> (Self, Archive) {
        let limits = Limits {
            keep: config.keep.min(BESIDE_STORE),
            bytes: BESIDE_STORE_BYTES,
            max_age_ms: whole_ms(config.max_age),
        };
        let inner = Inner::new(Ring::before_a_store(limits), flags, telemetry, true);
        let (asks, asked) = mpsc::channel(MAX_ASKING);
        let archive = Archive::new(Arc::clone(&inner), config, asked);
        (Self { inner, asks: Some(asks) }, archive)
    }

    /// Keeps one, or counts that it could not be kept; never waits.
    pub(crate) fn add(&self, flag: FlagIndex, divergence: Divergence) {
        let inner = &self.inner;
        let now_ms = whole_ms(clock::now() - inner.began);
        let may = inner.rates.get(usize::from(flag.0)).is_some_and(|rate| rate.admit(now_ms));
        let Some(item) = may.then(|| Item::of(flag, divergence)).flatten() else {
            return inner.count(flag, false);
        };
        let unwritten = inner.ring().push(item, clock::wall_ms());
        for item in unwritten {
            inner.count(item.flag, false);
        }
        match inner.is_shared {
            true => inner.more.notify_one(),
            false => inner.count(flag, true),
        }
    }

    /// A part of the list, the latest first.
    pub(crate) async fn list(&self, query: &Query) -> Page {
        let asked = |reply| Ask::List { query: query.clone(), reply };
        match self.ask(asked).await {
            Some(page) => page,
            None => self.inner.ring().list(query, clock::wall_ms()),
        }
    }

    /// One record.
    pub(crate) async fn find(&self, id: RecordId) -> Found {
        match self.ask(|reply| Ask::Find { id, reply }).await {
            Some(found) if found.record.is_some() => found,
            // It may not be written yet, or be known by the id that it had before.
            asked => {
                let held = self.inner.ring().find(id, clock::wall_ms());
                let record = held.and_then(|(id, item)| item.record(id));
                let from = match (asked, &record) {
                    (Some(found), None) => found.from,
                    _ => Source::Memory,
                };
                Found { record, from }
            }
        }
    }

    /// Asks the store's thread; `None` where there is no store, or it does not answer.
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.asks.as_ref()?.try_send(ask(reply)).ok()?;
        tokio::time::timeout(ASK_TIMEOUT, answer).await.ok()?.ok()
    }
}

impl Inner {
    fn new(ring: Ring, flags: usize, telemetry: &Telemetry, is_shared: bool) -> Arc<Self> {
        Arc::new(Self {
            ring: Mutex::new(ring),
            rates: (0..flags).map(|_| Rate::default()).collect(),
            more: Notify::new(),
            is_shared,
            began: clock::now(),
            telemetry: telemetry.clone(),
        })
    }

    /// Held for as long as a push or a look takes, never over a wait.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, flag: FlagIndex, kept: bool) {
        DivergenceKept { flag, kept }.emit(&self.telemetry);
    }

    fn written(&self, batch: &Batch, ids: &[RecordId]) {
        self.ring().written(batch, ids);
        for item in &batch.items {
            self.count(item.flag, true);
        }
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
