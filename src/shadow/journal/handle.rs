//! The detector's end: exchanges are written and read on its thread, as the store's has leases to see to.
//!
//! A command whose outcome is not known is sent again before anything else is, as it was: the store tells it by its number, and
//! appends once. So an update is in the journals once, though its sender is told of a failure and brings it again; one that
//! came again after it was checked and forgotten would look like a lost one. What fails again and again is given up, and its
//! journals are told to have lost entries.

use std::collections::BTreeSet;
use std::sync::Arc;

use redis::Value;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::answer::Answer;
use super::command::{Command, Numbers, SILENT_AFTER};
use super::{Exchange, Exchanged, JournalError, JournalKey, Mark};
use crate::clock::{self, Instant};
use crate::domain::effects::history::{Entry, UpdateId};

/// The most commands that wait for the store; whoever has more waits here.
const MAX_WAITING: usize = 4;

/// An exchange that failed so many times, by a store that was there, is given up: some seconds, as whoever asks makes a pause
/// after each.
const MAX_TRIES: u32 = 20;

/// The most updates that are remembered while failure follows on failure: more than whoever brings them can hold.
const MAX_REMEMBERED: usize = 128 * 1024;

/// The journals of a fleet, for the detector's thread. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct FleetJournal {
    requests: mpsc::Sender<Request>,
    sending: Arc<Mutex<Sending>>,
}

/// What was sent. Exchanges go one after the other.
#[derive(Debug)]
struct Sending {
    numbers: Numbers,
    unfinished: Option<Unfinished>,
    /// Updates that are in the journals, or in what is unfinished, and of which whoever brought them is not told yet.
    brought: BTreeSet<UpdateId>,
}

/// An exchange that failed, or was given up.
#[derive(Debug)]
struct Unfinished {
    commands: Vec<Arc<Command>>,
    store: String,
    keys: Vec<JournalKey>,
    tries: u32,
}

/// What the store's thread is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    Exchange { command: Arc<Command>, reply: oneshot::Sender<Result<Reply, JournalError>> },
    Leave { reply: oneshot::Sender<()> },
}

/// What the store's thread has for a command.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) value: Value,
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    /// Which servers answered.
    pub(super) servers: String,
    /// They are not those that the command was stamped for, and only its question was asked.
    pub(super) other_store: bool,
}

/// The other end, for the store's thread.
pub(crate) struct JournalRequests {
    pub(super) requests: mpsc::Receiver<Request>,
}

impl FleetJournal {
    /// Both ends.
    pub(crate) fn new() -> (Self, JournalRequests) {
        let (sender, requests) = mpsc::channel(MAX_WAITING);
        // No other process of this sidecar's name has used later ones.
        let numbers = Numbers::from(clock::wall_ms());
        let brought = BTreeSet::new();
        let sending = Arc::new(Mutex::new(Sending { numbers, unfinished: None, brought }));
        (Self { requests: sender, sending }, JournalRequests { requests })
    }

    /// Brings what is new here and asks what is new elsewhere, after everything that was asked for before. Ends within
    /// `store.timeout` for each command. Dropped, it may be carried out all the same.
    ///
    /// What is too large for any command is not in the journal then, which says that it has overflowed.
    ///
    /// # Errors
    /// What was to be appended and settled should come again, in whatever exchange: it is appended once.
    pub(crate) async fn exchange(&self, mut exchange: Exchange) -> Result<Exchanged, JournalError> {
        let mut sending = self.sending.lock().await;
        if sending.unfinished.is_some() {
            self.finish(&mut sending).await?;
        }
        let all: Vec<UpdateId> = exchange.updates().collect();
        exchange.leave_out(&sending.brought);
        sending.remember(&all);
        let commands = Command::all_of(&exchange, &mut sending.numbers);
        sending.unfinished = Some(Unfinished {
            commands: commands.into_iter().map(Arc::new).collect(),
            store: exchange.store.clone(),
            keys: exchange.appends.iter().map(|(key, _)| key.clone()).collect(),
            tries: 0,
        });
        let mut exchanged = self.finish(&mut sending).await?;
        for update in &all {
            sending.brought.remove(update);
        }
        // For more there is no room.
        exchanged.claimed.resize(exchange.claims.len(), None);
        Ok(exchanged)
    }

    /// Takes this sidecar's mark away: nobody waits for it any more. To be called after the last exchange, by a sidecar that
    /// sends no more updates; one that can't say so is waited for until it was silent for a minute.
    pub(crate) async fn leave(&self) {
        let (reply, replied) = oneshot::channel();
        if self.requests.send(Request::Leave { reply }).await.is_ok() {
            replied.await.ok();
        }
    }

    /// Runs what is unfinished. It is finished then, also where it is of no use any more.
    async fn finish(&self, sending: &mut Sending) -> Result<Exchanged, JournalError> {
        let commands = sending.to_run();
        let (mut settled, mut last) = (Vec::new(), None);
        for command in commands {
            let ran = self.run(command).await;
            match &ran {
                Err(JournalError::OtherStore(_)) => {
                    sending.unfinished = None;
                    sending.brought.clear();
                }
                Err(JournalError::Failed(_) | JournalError::Nonsense) => sending.failed(),
                Ok(_) | Err(JournalError::StoreGone) => {}
            }
            let mut exchanged = ran?;
            settled.append(&mut exchanged.settled);
            last = Some(exchanged);
        }
        sending.unfinished = None;
        let last = last.ok_or(JournalError::Nonsense)?;
        Ok(Exchanged { settled, ..last })
    }

    async fn run(&self, command: Arc<Command>) -> Result<Exchanged, JournalError> {
        let (settled, claimed) = (command.settled, command.claimed);
        let (reply, replied) = oneshot::channel();
        let request = Request::Exchange { command, reply };
        self.requests.send(request).await.map_err(|_| JournalError::StoreGone)?;
        let reply = replied.await.map_err(|_| JournalError::StoreGone)??;
        if reply.other_store {
            let exchanged = exchanged(reply, 0, 0)?;
            return Err(JournalError::OtherStore(Box::new(exchanged)));
        }
        exchanged(reply, settled, claimed)
    }
}

impl Sending {
    fn to_run(&self) -> Vec<Arc<Command>> {
        self.unfinished.as_ref().map(|unfinished| unfinished.commands.clone()).unwrap_or_default()
    }

    fn remember(&mut self, updates: &[UpdateId]) {
        self.brought.extend(updates);
        while self.brought.len() > MAX_REMEMBERED {
            self.brought.pop_first();
        }
    }

    /// After so many tries only the word of it is brought.
    fn failed(&mut self) {
        let Some(unfinished) = &mut self.unfinished else { return };
        unfinished.tries += 1;
        if unfinished.tries == MAX_TRIES {
            let Unfinished { store, keys, .. } = &*unfinished;
            let loss = Command::all_of_loss(keys, store, &mut self.numbers);
            unfinished.commands = loss.into_iter().map(Arc::new).collect();
        }
    }
}

impl Exchange {
    fn updates(&self) -> impl Iterator<Item = UpdateId> {
        let entries = self.appends.iter().flat_map(|(_, entries)| entries);
        entries.filter_map(|entry| match entry {
            Entry::Update(update) => Some(update.id),
            Entry::Read(_) | Entry::Gap(_) | Entry::Past(_) => None,
        })
    }

    /// Leaves out updates that are in the journals by now.
    fn leave_out(&mut self, known: &BTreeSet<UpdateId>) {
        for (_, entries) in &mut self.appends {
            entries.retain(
                |entry| !matches!(entry, Entry::Update(update) if known.contains(&update.id)),
            );
        }
        self.appends.retain(|(_, entries)| !entries.is_empty());
    }
}

/// What a command that settled and claimed so many entities has brought.
fn exchanged(reply: Reply, settled: usize, claimed: usize) -> Result<Exchanged, JournalError> {
    let Reply { value, asked, answered, servers, .. } = reply;
    let answer = Answer::read(value, settled, claimed).ok_or(JournalError::Nonsense)?;
    let Answer { now, epoch, settled, claimed, marks } = answer;
    let identity = identity(&servers, &epoch);
    let silence = u64::try_from(SILENT_AFTER.as_micros()).unwrap_or(u64::MAX);
    let is_silent = |mark: &Mark| now.saturating_sub(mark.written) > silence;
    let (silent, marks): (Vec<Mark>, Vec<Mark>) = marks.into_iter().partition(is_silent);
    let last_heard = silent.iter().map(|mark| mark.written).max();
    Ok(Exchanged { settled, claimed, marks, last_heard, store_now: now, asked, answered, identity })
}

/// Which store it is, and since when it remembers.
pub(super) fn identity(servers: &str, epoch: &str) -> String {
    format!("{servers} {epoch}")
}

/// Whether a store of this identity has those servers.
pub(super) fn is_of(identity: &str, servers: &str) -> bool {
    identity.split(' ').next() == Some(servers)
}
