//! The latest records of this process, in memory: all there are without a store, and with one those that wait to be
//! written and some that were. Pure: time is an argument.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::divergence::{Divergence, Record, RecordId, Summary};
use crate::telemetry::FlagIndex;

use super::page::{Filling, Listed, Page, Query, Source};

/// The largest record, in bytes of its JSON: one of 200 steps with short fields fits, and is shortened where it doesn't.
pub(super) const MAX_RECORD_BYTES: usize = 32 * 1024;

/// What a record that waits for the store has in the second place of its id: the store counts from 0, so it gives such an
/// id to no other.
const PROVISIONAL: u64 = 1 << 40;

/// What is kept at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Records.
    pub(super) keep: usize,
    /// Bytes of all, short forms included.
    pub(super) bytes: usize,
    /// For how long, in milliseconds.
    pub(super) max_age_ms: u64,
}

/// A record as it is kept.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) flag: FlagIndex,
    pub(super) summary: Arc<Summary>,
    /// The whole of it, as JSON.
    pub(super) json: String,
}

impl Item {
    /// Brings a divergence into bounds. `None` where what identifies it is too long already.
    pub(super) fn of(flag: FlagIndex, divergence: Divergence) -> Option<Self> {
        let mut divergence = divergence.bounded();
        loop {
            let json = serde_json::to_string(&divergence).ok()?;
            if json.len() <= MAX_RECORD_BYTES {
                return Some(Self { flag, summary: Arc::new(divergence.summary()), json });
            }
            if !divergence.shrink() {
                return None;
            }
        }
    }

    /// What it takes; the short form holds no more than the whole.
    fn bytes(&self) -> usize {
        self.json.len() * 2
    }

    /// The whole of it.
    pub(super) fn record(&self, id: RecordId) -> Option<Record> {
        Some(Record { id, divergence: serde_json::from_str(&self.json).ok()? })
    }
}

/// One place of the ring.
#[derive(Debug)]
struct Slot {
    /// Counts all records of this process.
    number: u64,
    id: RecordId,
    /// The id that it was shown under before the store gave it another.
    provisional: Option<RecordId>,
    kept_ms: u64,
    item: Arc<Item>,
}

/// The records, the earliest first.
#[derive(Debug)]
pub(super) struct Ring {
    limits: Limits,
    slots: VecDeque<Slot>,
    bytes: usize,
    last: RecordId,
    /// The number of the next record.
    next: u64,
    /// Where they wait for a store: the number of the first that was not taken to be written.
    untaken: Option<u64>,
}

/// Records that are written together.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// The number of the first; the others follow.
    pub(super) first: u64,
    pub(super) items: Vec<Arc<Item>>,
}

impl Ring {
    /// One that has all there are.
    pub(super) fn alone(limits: Limits) -> Self {
        let last = RecordId { ms: 0, seq: 0 };
        Self { limits, slots: VecDeque::new(), bytes: 0, last, next: 0, untaken: None }
    }

    /// One whose records wait to be written.
    pub(super) fn before_a_store(limits: Limits) -> Self {
        Self { untaken: Some(0), ..Self::alone(limits) }
    }

    /// Puts a record in. Gives those that had to go for it and were never written, if they should have been.
    pub(super) fn push(&mut self, item: Item, now_ms: u64) -> Vec<Arc<Item>> {
        let id = self.next_id(now_ms);
        self.bytes += item.bytes();
        let (number, item) = (self.next, Arc::new(item));
        self.slots.push_back(Slot { number, id, provisional: None, kept_ms: now_ms, item });
        self.next += 1;
        self.make_room(now_ms)
    }

    fn next_id(&mut self, now_ms: u64) -> RecordId {
        let start = if self.untaken.is_some() { PROVISIONAL } else { 0 };
        self.last = match self.last.ms < now_ms {
            true => RecordId { ms: now_ms, seq: start },
            // The clock stands, or was set back.
            false => RecordId { seq: self.last.seq.saturating_add(1), ..self.last },
        };
        self.last
    }

    /// Lets go of what is too old or too much, never of the last one.
    fn make_room(&mut self, now_ms: u64) -> Vec<Arc<Item>> {
        let mut unwritten = Vec::new();
        while self.slots.len() > 1 && self.is_over(now_ms) {
            let Some(slot) = self.slots.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(slot.item.bytes());
            if self.untaken.is_some_and(|untaken| slot.number >= untaken) {
                unwritten.push(slot.item);
                self.untaken = Some(slot.number + 1);
            }
        }
        unwritten
    }

    fn is_over(&self, now_ms: u64) -> bool {
        let is_old = self.slots.front().is_some_and(|slot| !self.is_fresh(slot, now_ms));
        is_old || self.slots.len() > self.limits.keep || self.bytes > self.limits.bytes
    }

    fn is_fresh(&self, slot: &Slot, now_ms: u64) -> bool {
        now_ms.saturating_sub(slot.kept_ms) < self.limits.max_age_ms
    }

    /// Takes the next ones to be written; `None` where none wait. Whoever takes them keeps them until they are.
    pub(super) fn take(&mut self, most: usize, most_bytes: usize) -> Option<Batch> {
        let first = self.untaken?;
        let waiting = self.slots.iter().filter(|slot| slot.number >= first).take(most);
        let (mut items, mut bytes) = (Vec::new(), 0);
        for slot in waiting {
            bytes += slot.item.bytes();
            if !items.is_empty() && bytes > most_bytes {
                break;
            }
            items.push(Arc::clone(&slot.item));
        }
        self.untaken = Some(first + items.len() as u64);
        (!items.is_empty()).then_some(Batch { first, items })
    }

    /// Notes what the store called them.
    pub(super) fn written(&mut self, batch: &Batch, ids: &[RecordId]) {
        for (number, id) in (batch.first..).zip(ids) {
            if let Some(slot) = self.slots.iter_mut().find(|slot| slot.number == number) {
                slot.provisional = Some(slot.id);
                slot.id = *id;
            }
        }
    }

    /// A part of the list.
    pub(super) fn list(&self, query: &Query, now_ms: u64) -> Page {
        let fits = |slot: &&Slot| {
            self.is_fresh(slot, now_ms)
                && query.after.is_none_or(|after| slot.id < after)
                && query.fits(&slot.item.summary)
        };
        let mut slots: Vec<&Slot> = self.slots.iter().filter(fits).collect();
        // The store's clock may be another one than ours, so that ids need not follow the order here.
        slots.sort_by_key(|slot| Reverse(slot.id));
        let mut filling = Filling::new(query.limit);
        for slot in slots {
            let summary = Arc::clone(&slot.item.summary);
            if !filling.push(Listed { id: slot.id, summary }) {
                break;
            }
        }
        filling.page(Source::Memory)
    }

    /// One record, by the id that it has or had.
    pub(super) fn find(&self, id: RecordId, now_ms: u64) -> Option<(RecordId, Arc<Item>)> {
        let is_it = |slot: &&Slot| slot.id == id || slot.provisional == Some(id);
        let slot = self.slots.iter().filter(|slot| self.is_fresh(slot, now_ms)).find(is_it)?;
        Some((slot.id, Arc::clone(&slot.item)))
    }
}

#[cfg(test)]
mod tests;
