//! The lost-update detector: from what was noted to what was lost.
//!
//! It has a thread to itself. Every [`TURN`] it takes up what the workers noted, exchanges with the journal, begins the reads of
//! entities that have fallen quiet, and judges those that were read. Which values may show is decided in
//! [`domain::effects`](crate::domain::effects); here is only who has to have told what before that may be asked:
//!
//! - An entity is *due* when it has updates that were not checked, and has been quiet for `verify.settle`, or has not been
//!   checked for `verify.interval`.
//! - It is *claimed*: no other sidecar checks it meanwhile. Then it is *read*, once.
//! - What shows nothing amiss is concluded at once. What does waits until every sidecar has told of all updates that were sent before the read ended:
//!   one of them may explain it. Only then is it a finding.
//! - Where something was not told and never will be, there is a *gap*: nothing from before its end accuses anybody.

mod check;
mod checked;
mod clocks;
mod entity;
mod flags;
mod local;
mod noting;
mod outcome;
mod report;
mod sharing;
mod spans;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::config as test_config;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock::{self, Instant};
use crate::config::Config;
use crate::shadow::journal::{Exchanged, FleetJournal, JournalError, JournalKey};
use crate::shadow::notebook::{Note, Notebook, RawRead, Watched};
use crate::shadow::records::Records;
use crate::telemetry::events::{DetectorChanged, VerifyInconclusive};
use crate::telemetry::labels::{DetectorState, Inconclusive};
use crate::telemetry::{FlagIndex, Telemetry};
use clocks::Clock;
use entity::Entity;
use flags::Flags;
use local::LocalJournal;
use sharing::Shared;

/// How often it looks what there is to do.
const TURN: Duration = Duration::from_millis(25);

/// The longest that a shutdown waits for the last exchange.
const LAST_EXCHANGE: Duration = Duration::from_secs(1);

/// Reads an entity, by a path and query on the app.
pub(crate) trait EntityReader {
    /// Ends within the app's own limits of time.
    fn read(&self, path: String) -> impl Future<Output = RawRead> + 'static;
}

/// Where the journals are.
pub(crate) enum Journals {
    /// In this process.
    Local,
    /// In the fleet's store.
    Fleet(FleetJournal),
}

/// What a detector works with.
pub(crate) struct Parts {
    pub(crate) notebook: Notebook,
    pub(crate) notes: mpsc::UnboundedReceiver<Note>,
    pub(crate) journals: Journals,
    pub(crate) records: Records,
    pub(crate) telemetry: Telemetry,
    /// This sidecar's id.
    pub(crate) sidecar: String,
}

/// Something that was begun has come to its end.
enum Ended {
    Read(JournalKey, RawRead),
    Exchange(Result<Exchanged, JournalError>),
}

/// Runs it until told to stop, or until whoever would tell is gone. To be called inside a `LocalRuntime`.
pub(crate) async fn run<R: EntityReader + 'static>(
    config: &Config,
    parts: Parts,
    reader: R,
    mut stop: oneshot::Receiver<()>,
) {
    let (tell, mut ended) = mpsc::unbounded_channel();
    let mut detector = Detector::new(config, parts, reader, tell);
    detector.start();
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => break,
            Some(ended) = ended.recv() => detector.take(ended),
            _ = turns.tick() => detector.turn(),
        }
    }
    detector.finish(&mut ended).await;
}

/// What is known and under way.
struct Detector<R> {
    flags: Rc<Flags>,
    parts: Parts,
    reader: Rc<R>,
    tell: mpsc::UnboundedSender<Ended>,
    clock: Clock,
    local: LocalJournal,
    state: DetectorState,
    entities: BTreeMap<JournalKey, Entity>,
    /// Updates that were sent and have not ended, by their number.
    sent: BTreeMap<u64, Sent>,
    /// Waiting to be appended, over all entities.
    drafts: usize,
    shared: Shared,
    missed: u64,
    /// All that was noted before it has been taken up.
    taken_up: Instant,
    /// On the common clock: what happened up to this moment is not all known. 0 for none.
    gap: u64,
}

struct Sent {
    key: JournalKey,
    at: Instant,
    watched: Box<Watched>,
}

impl<R: EntityReader + 'static> Detector<R> {
    fn new(config: &Config, parts: Parts, reader: R, tell: mpsc::UnboundedSender<Ended>) -> Self {
        let clock_id = fastrand::u64(1..);
        Self {
            flags: Rc::new(Flags::of(config)),
            reader: Rc::new(reader),
            tell,
            clock: Clock::new(matches!(parts.journals, Journals::Fleet(_)).then_some(clock_id)),
            local: LocalJournal::default(),
            state: DetectorState::Off,
            entities: BTreeMap::new(),
            sent: BTreeMap::new(),
            drafts: 0,
            shared: Shared::default(),
            missed: 0,
            taken_up: clock::now(),
            gap: 0,
            parts,
        }
    }

    fn start(&mut self) {
        self.enter(match self.parts.journals {
            Journals::Local => DetectorState::Local,
            Journals::Fleet(_) => DetectorState::Shared,
        });
    }

    fn enter(&mut self, state: DetectorState) {
        if self.state != state {
            self.state = state;
            DetectorChanged { state }.emit(&self.parts.telemetry);
        }
    }

    /// One round: takes up what was noted, and does what is due.
    fn turn(&mut self) {
        // Whatever is sent from here on was not noted before this moment either.
        let now = clock::now();
        self.take_notes();
        self.taken_up = now;
        self.look_for_gaps(now);
        match self.parts.journals {
            Journals::Local => self.exchange_here(now),
            Journals::Fleet(_) => self.exchange_there(now),
        }
        if self.shared.asked.is_none() {
            // What is being told may have to be told again.
            self.entities.retain(|_, entity| !entity.is_done());
        }
    }

    fn take(&mut self, ended: Ended) {
        match ended {
            Ended::Read(key, read) => self.take_read(&key, read),
            Ended::Exchange(answer) => self.take_answer(answer),
        }
    }

    /// What was noted last is appended where others can see it, and this sidecar's mark taken away. Where something is left untold the
    /// mark stays, and says so.
    async fn finish(mut self, ended: &mut mpsc::UnboundedReceiver<Ended>) {
        let Journals::Fleet(journal) = &self.parts.journals else { return };
        let journal = journal.clone();
        let last = async {
            let mut was_asked = false;
            loop {
                while self.shared.asked.is_some()
                    && let Some(outcome) = ended.recv().await
                {
                    self.take(outcome);
                }
                let now = clock::now();
                self.take_notes();
                self.look_for_gaps(now);
                if was_asked && self.drafts == 0 && self.shared.settled.is_empty() {
                    break;
                }
                if was_asked {
                    // It failed, or there is more than goes into one.
                    sleep(TURN).await;
                }
                self.ask(now);
                was_asked = true;
            }
            if self.sent.is_empty() && !self.is_frozen(clock::now()) {
                journal.leave().await;
            }
        };
        // Past it others wait for this sidecar in vain for a while, and come to no conclusion.
        drop(tokio::time::timeout(LAST_EXCHANGE, last).await);
    }

    fn inconclusive(&self, flag: usize, reason: Inconclusive) {
        let flag = index(flag);
        VerifyInconclusive { flag, reason }.emit(&self.parts.telemetry);
    }
}

fn index(flag: usize) -> FlagIndex {
    FlagIndex(u16::try_from(flag).unwrap_or(u16::MAX))
}
