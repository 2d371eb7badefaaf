//! Keeps this sidecar's copy of the fleet's flags in step with the store, and makes changes there.
//!
//! One loop on the store's thread does one thing at a time: [`FlagSync::run`]. It reads all flags when the regular beat
//! says that there is a revision which it has not seen, when a change is pushed, and now and then in any case. What it
//! reads is ruled on (`reading`), written to the snapshot file beside (`saving`), and its history fetched (`past`).
//! Changes come in through [`FleetFlags`] and go to the store first (`changing`).
//!
//! How fresh the flags are is how well they are known, not whether they are good: a flag whose document is refused holds
//! its last good state and stands among the refusals, while all others are live.

mod changing;
mod driving;
mod handle;
mod past;
mod reading;
mod saving;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::{self, Instant};
use crate::domain::decision::Freshness;
use crate::domain::flag::FlagState;
use crate::fleet::{Contact, Keys};
use crate::remote::{Pushed, Remote};
use crate::telemetry::Telemetry;
use crate::telemetry::events::{FlagsLoaded, FreshnessChanged};
use crate::watch;

use super::refusal::Refused;
use super::shelf::Shelf;
use super::{FlagStore, Refusals, StoreChangeError};
pub(crate) use driving::Crew;
pub use handle::FleetFlags;
pub(crate) use handle::FleetRequests;
use handle::Request;

/// A burst of pushed changes costs one read this long after its first.
const DEBOUNCE: Duration = Duration::from_millis(5);

/// Between two reads when nothing tells of a change: somebody may have written by hand, which no revision shows.
const REREAD: Duration = Duration::from_secs(10);

/// Between two reads while something is refused or could not be written back: a cure by hand shows soon.
const RECHECK: Duration = Duration::from_secs(1);

/// After a read that failed while the store answers others.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Is told of a flag's name, its state before, and its state after.
type OnChange = Box<dyn Fn(&str, &FlagState, &FlagState)>;

/// The copy of the fleet's flags, and what keeps it.
pub(crate) struct FlagSync {
    shelf: Shelf,
    store: FlagStore,
    telemetry: Telemetry,
    requests: mpsc::Receiver<Request>,
    applied: watch::Sender<Option<u64>>,
    refusals: Refusals,
    on_change: OnChange,
    /// Told when the snapshot file is out of date.
    changed: watch::Sender<()>,
    /// In the order of the configured flags.
    flags: Vec<Watched>,
    /// The names in the store that were told of as not configured here.
    unknown: Vec<String>,
    known: Known,
    crew: Option<Crew>,
    /// When to read next; `None` waits for the store.
    due: Option<Instant>,
}

/// What is known about a flag in the store.
struct Watched {
    name: String,
    /// Whether the store has had it since this process began.
    seen: bool,
    /// What is refused now.
    refused: Option<Refused>,
    /// Which document that is: each is told of once.
    told: Option<Vec<u8>>,
    /// Whether its history has changes that are not here yet.
    history_behind: bool,
    /// Whether it was told of that it was changed under another configuration.
    redefined: bool,
}

/// How well the flags are known.
struct Known {
    /// Whether the store answers.
    live: bool,
    /// Whether the last read was good.
    current: bool,
    /// How fresh the flags are while the store can't be asked.
    otherwise: Freshness,
}

impl FlagSync {
    /// Makes the copy in `store` follow the flags under `keys`. `on_change` is told of every change, whoever made it, once it
    /// is in force here.
    pub(crate) fn new(
        remote: Remote,
        keys: Keys,
        store: FlagStore,
        telemetry: Telemetry,
        requests: FleetRequests,
        on_change: impl Fn(&str, &FlagState, &FlagState) + 'static,
    ) -> Self {
        let FleetRequests { requests, applied, refusals } = requests;
        let watched = |name: &str| Watched {
            name: name.to_owned(),
            seen: false,
            refused: None,
            told: None,
            history_behind: true,
            redefined: false,
        };
        let flags = store.seeds().iter().map(|seed| watched(&seed.name)).collect();
        let otherwise = store.snapshot().freshness;
        Self {
            shelf: Shelf::new(remote, keys),
            store,
            telemetry,
            requests,
            applied,
            refusals,
            on_change: Box::new(on_change),
            changed: watch::channel(()).0,
            flags,
            unknown: Vec::new(),
            known: Known { live: false, current: false, otherwise },
            crew: None,
            due: None,
        }
    }

    /// Follows the store until `contact`'s sender is gone. Every beat has to be told on `contact`, whether or not it learnt
    /// anything; `pushed` may be given other channels' messages too.
    pub(crate) async fn run(
        self,
        contact: watch::Receiver<Contact>,
        pushed: mpsc::UnboundedReceiver<Pushed>,
    ) {
        let (store, telemetry) = (self.store.clone(), self.telemetry.clone());
        let saving = saving::save(store, telemetry, self.changed.subscribe());
        tokio::join!(self.follow(contact, pushed), saving);
    }

    async fn follow(
        mut self,
        mut contact: watch::Receiver<Contact>,
        mut pushed: mpsc::UnboundedReceiver<Pushed>,
    ) {
        self.read().await;
        let first = *contact.borrow_and_update();
        self.heard(first);
        loop {
            tokio::select! {
                biased;
                beat = contact.changed() => {
                    if beat.is_err() {
                        return;
                    }
                    let contact = *contact.borrow_and_update();
                    self.heard(contact);
                    self.drive().await;
                }
                Some(request) = self.requests.recv() => self.answer(request).await,
                Some(pushed) = pushed.recv() => self.pushed(pushed),
                () = until(self.due) => self.read().await,
            }
        }
    }

    /// Takes note of a beat.
    fn heard(&mut self, contact: Contact) {
        self.known.live = contact.live;
        // What comes back may be another store that counts as far, so it is read in any case.
        self.known.current &= contact.live;
        if contact.live && self.known.current && contact.revision == *self.applied.borrow() {
            FlagsLoaded { at_ms: clock::wall_ms() }.emit(&self.telemetry);
        } else if contact.live {
            self.read_within(Duration::ZERO);
        }
        self.tell_freshness();
    }

    fn pushed(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Message { channel, .. } if channel != self.shelf.channel() => {}
            Pushed::Message { .. } | Pushed::Subscribed => self.read_within(DEBOUNCE),
        }
    }

    async fn answer(&mut self, request: Request) {
        match request {
            Request::Change { name, expected_version, change, author, reply } => {
                let outcome = self.change(&name, expected_version, &change, author).await;
                // Whoever asked may have gone; the change is made all the same.
                reply.send(outcome).ok();
            }
            Request::Forget { id, reply } => {
                let outcome =
                    self.shelf.forget(&id).await.map_err(|error| match error.is_not_executed() {
                        true => StoreChangeError::StoreUnreachable(error.into()),
                        false => StoreChangeError::OutcomeUnknown,
                    });
                reply.send(outcome).ok();
            }
            Request::Read { reply } => {
                self.read().await;
                reply.send(()).ok();
            }
        }
    }

    /// Reads after this time at the latest.
    fn read_within(&mut self, wait: Duration) {
        let at = clock::now() + wait;
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn tell_freshness(&self) {
        let freshness = match (self.known.live, self.known.current) {
            (true, true) => Freshness::Live,
            _ => self.known.otherwise,
        };
        if self.store.snapshot().freshness != freshness {
            self.store.set_freshness(freshness);
        }
        if freshness == Freshness::Live {
            // It is in the register, and decides by what stands in the store.
            self.store.ledger().set_apart(false);
        }
        FreshnessChanged { state: freshness }.emit(&self.telemetry);
    }

    /// The snapshot file is to be written.
    fn touch(&self) {
        self.changed.send_replace(());
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
