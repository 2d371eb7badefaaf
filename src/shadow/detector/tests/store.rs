//! The store of a fleet in virtual time: what the script of the shared journals promises, and a network that may fail.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Dice, ms};
use crate::clock::{self, Instant};
use crate::domain::effects::history::{Entry, UpdateId};
use crate::shadow::journal::{
    Claimed, Exchange, Exchanged, JournalError, JournalKey, MAX_ENTRIES, Mark, Settled, Ticket,
};

/// When the world began, by the store's clock, in microseconds.
const BEGINNING: u64 = 1_790_000_000_000_000;

const CLAIMED_FOR: Duration = Duration::from_secs(15);

const SILENT_AFTER: Duration = Duration::from_secs(60);

/// The store. Clones share everything.
#[derive(Clone)]
pub(super) struct Store(Rc<RefCell<Inner>>);

struct Inner {
    origin: Instant,
    /// How far its clock was set, in microseconds.
    set_by: i64,
    servers: u64,
    epoch: u64,
    journals: BTreeMap<JournalKey, Journal>,
    /// Those that have joined the fleet.
    sidecars: BTreeSet<String>,
    marks: BTreeMap<String, (u64, Instant)>,
    tickets: u64,
    /// What was appended, so that it is once.
    appended: BTreeSet<UpdateId>,
}

#[derive(Default)]
struct Journal {
    entries: Vec<Entry>,
    overflowed: bool,
    claim: Option<(String, u64, Instant)>,
    /// How many entries have gone from the front since it was claimed.
    lost: usize,
    /// Under which claim each sidecar has settled it last.
    receipts: BTreeMap<String, Ticket>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(Inner {
            origin: clock::now(),
            set_by: 0,
            servers: 1,
            epoch: 1,
            journals: BTreeMap::new(),
            sidecars: BTreeSet::new(),
            marks: BTreeMap::new(),
            tickets: 0,
            appended: BTreeSet::new(),
        })))
    }

    /// It forgets everything: another server has taken its place, or the same one has begun anew.
    pub(super) fn replace(&self, by_another_server: bool) {
        let mut inner = self.0.borrow_mut();
        inner.epoch += 1;
        inner.servers += u64::from(by_another_server);
        inner.journals.clear();
        inner.marks.clear();
        inner.sidecars.clear();
        inner.appended.clear();
    }

    /// Its clock is set.
    pub(super) fn set_clock(&self, millis: i64) {
        self.0.borrow_mut().set_by += millis * 1_000;
    }

    fn join(&self, sidecar: &str) {
        self.0.borrow_mut().sidecars.insert(sidecar.to_owned());
    }

    fn run(&self, me: &str, exchange: &Exchange, asked: Instant) -> Exchanged {
        let mut inner = self.0.borrow_mut();
        let settled = exchange.settled.iter().map(|settled| inner.settle(me, settled)).collect();
        inner.append(exchange);
        let claimed = exchange.claims.iter().map(|key| inner.claim(me, key)).collect();
        let now = clock::now();
        let mark = if exchange.mark > inner.now() { 0 } else { exchange.mark };
        inner.marks.insert(me.to_owned(), (mark, now));
        inner.exchanged(me, settled, claimed, asked)
    }

    /// Only asks.
    fn question(&self, me: &str, asked: Instant) -> Exchanged {
        self.0.borrow().exchanged(me, Vec::new(), Vec::new(), asked)
    }

    fn is_another_than(&self, identity: &str) -> bool {
        let servers = identity.split(' ').next().unwrap_or_default();
        !identity.is_empty() && servers != format!("server-{}", self.0.borrow().servers)
    }
}

impl Inner {
    fn now(&self) -> u64 {
        let passed = clock::now() - self.origin;
        BEGINNING.saturating_add_signed(self.set_by) + u64::try_from(passed.as_micros()).unwrap()
    }

    /// Whether it is settled, by this or an earlier exchange.
    fn settle(&mut self, me: &str, settled: &Settled) -> bool {
        let now = clock::now();
        let journal = self.journals.entry(settled.key.clone()).or_default();
        let is_mine = |(by, number, until): &(String, u64, Instant)| {
            by == me && Ticket::numbered(*number) == settled.ticket && now < *until
        };
        if journal.claim.as_ref().is_some_and(is_mine) {
            let taken = settled.taken.saturating_sub(journal.lost);
            journal.entries.drain(..taken.min(journal.entries.len()));
            journal.overflowed &= journal.lost > settled.taken;
            journal.entries.extend(settled.keep.iter().cloned());
            journal.claim = None;
            journal.receipts.insert(me.to_owned(), settled.ticket);
        }
        journal.receipts.get(me) == Some(&settled.ticket)
    }

    fn append(&mut self, exchange: &Exchange) {
        for (key, entries) in &exchange.appends {
            let appended = &mut self.appended;
            let mut fresh = |entry: &&Entry| match entry {
                Entry::Update(update) => appended.insert(update.id),
                _ => true,
            };
            let journal = self.journals.entry(key.clone()).or_default();
            journal.entries.extend(entries.iter().filter(|entry| fresh(entry)).cloned());
            let surplus = journal.entries.len().saturating_sub(MAX_ENTRIES);
            journal.entries.drain(..surplus);
            journal.overflowed |= surplus > 0;
            journal.lost += surplus;
        }
    }

    fn claim(&mut self, me: &str, key: &JournalKey) -> Option<Claimed> {
        let now = clock::now();
        self.tickets += 1;
        let next = self.tickets;
        let journal = self.journals.entry(key.clone()).or_default();
        let ticket = match &journal.claim {
            Some((owner, ticket, until)) if now < *until && owner == me => *ticket,
            Some((_, _, until)) if now < *until => return None,
            _ => {
                journal.lost = 0;
                next
            }
        };
        journal.claim = Some((me.to_owned(), ticket, now + CLAIMED_FOR));
        let entries = journal.entries.clone();
        let ticket = Ticket::numbered(ticket);
        Some(Claimed { ticket, count: entries.len(), entries, overflowed: journal.overflowed })
    }

    fn exchanged(
        &self,
        me: &str,
        settled: Vec<bool>,
        claimed: Vec<Option<Claimed>>,
        asked: Instant,
    ) -> Exchanged {
        let now = clock::now();
        let micros = |moment: Instant| self.now() - (now - moment).as_micros() as u64;
        let told = self.marks.iter().filter(|(id, (_, at))| *id != me && now - *at <= SILENT_AFTER);
        let mut marks: Vec<Mark> = told
            .map(|(id, (until, at))| Mark {
                sidecar: id.clone(),
                until: *until,
                written: micros(*at),
            })
            .collect();
        let is_new = |id: &&String| *id != me && !self.marks.contains_key(*id);
        let new = self.sidecars.iter().filter(is_new);
        marks.extend(new.map(|id| Mark { sidecar: id.clone(), until: 0, written: self.now() }));
        Exchanged {
            settled,
            claimed,
            marks,
            store_now: self.now(),
            asked,
            answered: now,
            identity: format!("server-{} epoch-{}", self.servers, self.epoch),
        }
    }
}

/// A sidecar's way to the store. Clones share everything.
#[derive(Clone)]
pub(super) struct Link {
    sidecar: String,
    store: Option<Store>,
    dice: Dice,
    knobs: Rc<LinkKnobs>,
}

/// How the way is.
pub(super) struct LinkKnobs {
    /// The longest that a question takes to the store, and its answer back, in milliseconds. At least half of either.
    pub(super) takes: Cell<(u64, u64)>,
    /// Of so many exchanges one fails, carried out or not; 0 for none.
    pub(super) failing: Cell<u64>,
    /// Nothing comes through.
    pub(super) cut: Cell<bool>,
    /// Exchanges so far.
    pub(super) exchanges: Cell<usize>,
}

impl Link {
    pub(super) fn new(sidecar: String, store: Option<Store>, dice: Dice) -> Self {
        if let Some(store) = &store {
            store.join(&sidecar);
        }
        let knobs = LinkKnobs {
            takes: Cell::new((2, 2)),
            failing: Cell::new(0),
            cut: Cell::new(false),
            exchanges: Cell::new(0),
        };
        Self { sidecar, store, dice, knobs: Rc::new(knobs) }
    }

    pub(super) fn knobs(&self) -> &LinkKnobs {
        &self.knobs
    }

    /// It joins the fleet of a store that was replaced, as its heartbeat does.
    pub(super) fn join(&self) {
        self.store.as_ref().unwrap().join(&self.sidecar);
    }

    pub(super) async fn exchange(&self, exchange: Exchange) -> Result<Exchanged, JournalError> {
        let (store, knobs) = (self.store.as_ref().unwrap(), &self.knobs);
        knobs.exchanges.set(knobs.exchanges.get() + 1);
        let asked = clock::now();
        let (there, back) = knobs.takes.get();
        let fails = knobs.failing.get() > 0 && self.dice.one_in(knobs.failing.get());
        sleep(ms(there / 2 + self.dice.below(there / 2 + 1))).await;
        if knobs.cut.get() || (fails && self.dice.one_in(2)) {
            sleep(ms(50)).await;
            return Err(JournalError::StoreGone);
        }
        let is_other = store.is_another_than(&exchange.store);
        let mut answer = match is_other {
            true => store.question(&self.sidecar, asked),
            false => store.run(&self.sidecar, &exchange, asked),
        };
        sleep(ms(back / 2 + self.dice.below(back / 2 + 1))).await;
        answer.answered = clock::now();
        match (fails, is_other) {
            (true, _) => Err(JournalError::StoreGone),
            (_, true) => Err(JournalError::OtherStore(Box::new(answer))),
            (false, false) => Ok(answer),
        }
    }
}
