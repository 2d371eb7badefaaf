//! Which acknowledged updates are gone: the history of each field, judged by reads of the documents.
//!
//! A field is one segment's status. Every update writes a value that no other one writes, so what a read shows tells
//! which update it was. An update counts as lost once a read that began after its acknowledgement shows a value whose
//! own update had been acknowledged before the lost one was sent: no order of the calls explains that.
//!
//! An update that another one to the same field has followed, or overlaps, before anybody read cannot be judged, and
//! isn't: losses are given as a share of those that were. So every loss that is counted is one, whatever the strategy;
//! not every loss is counted where more callers than it has segments wait for a journey, as updates of one field overlap.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use interlock::demo::journey::document::SEGMENTS;
use memchr::memmem;

/// Begins every value, ahead of the update's number.
pub(crate) const VALUE: &str = "Departed-";
/// Begins a status in a stored document: first the journey's own, then one for each segment.
const STATUS: &[u8] = br#""Status":""#;
/// How many updates of a field are remembered: far more than overlap.
const REMEMBERED: usize = 1024;

/// The number of the next update, over all runs: a document may still show one of an earlier run.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A document that can't be judged.
#[derive(Debug, thiserror::Error)]
#[error("a document has {found} statuses and not {}: {document}", SEGMENTS + 1)]
pub(crate) struct Unreadable {
    found: usize,
    document: String,
}

/// What was written, and what became of it.
pub(crate) struct History {
    entities: Vec<Entity>,
}

struct Entity {
    /// Updates of it so far: they go round its segments, so that few of them share one.
    updates: AtomicUsize,
    fields: Mutex<[Field; SEGMENTS]>,
}

#[derive(Default)]
struct Field {
    writes: Vec<Write>,
    /// Of those that are not remembered any more.
    forgotten: Findings,
}

struct Write {
    number: u64,
    sent: Instant,
    /// Unless it never is: one that failed may show up or not.
    acknowledged: Option<Instant>,
    judged: bool,
    lost: bool,
}

/// An update that is about to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    /// Which journey, from 0.
    pub(crate) entity: usize,
    /// Which of its segments, from 0.
    pub(crate) segment: usize,
    /// What makes its value unlike all others.
    pub(crate) number: u64,
}

/// What the reads showed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    /// Acknowledged updates of which a read could tell whether they were there.
    pub(crate) judged: usize,
    /// Those of them that were not.
    pub(crate) lost: usize,
}

impl History {
    /// Nothing was written yet to this many journeys.
    pub(crate) fn new(entities: usize) -> Self {
        let entity = |_| Entity { updates: AtomicUsize::new(0), fields: Mutex::default() };
        Self { entities: (0..entities).map(entity).collect() }
    }

    /// To be called before an update is sent.
    pub(crate) fn begin(&self, entity: usize) -> Update {
        let segment = self.entities[entity].updates.fetch_add(1, Relaxed) % SEGMENTS;
        let number = NEXT.fetch_add(1, Relaxed);
        let mut fields = self.fields(entity);
        let (acknowledged, judged, lost) = (None, false, false);
        let sent = Instant::now();
        fields[segment].remember(Write { number, sent, acknowledged, judged, lost });
        Update { entity, segment, number }
    }

    /// The update was answered with 200, before `now`.
    pub(crate) fn acknowledge(&self, update: Update, now: Instant) {
        let mut fields = self.fields(update.entity);
        if let Some(write) = fields[update.segment].find(update.number) {
            write.acknowledged = Some(now);
        }
    }

    /// A journey's document, from a read that began at `asked`.
    pub(crate) fn read(
        &self,
        entity: usize,
        asked: Instant,
        document: &[u8],
    ) -> Result<(), Unreadable> {
        let shown = numbers(document)?;
        for (field, number) in self.fields(entity).iter_mut().zip(shown) {
            field.judge(number, asked);
        }
        Ok(())
    }

    /// All that the reads have shown so far.
    pub(crate) fn findings(&self) -> Findings {
        let mut sum = Findings::default();
        for entity in 0..self.entities.len() {
            for field in self.fields(entity).iter() {
                sum.judged += field.forgotten.judged;
                sum.lost += field.forgotten.lost;
                field.writes.iter().for_each(|write| sum.count(write));
            }
        }
        sum
    }

    fn fields(&self, entity: usize) -> MutexGuard<'_, [Field; SEGMENTS]> {
        self.entities[entity].fields.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Field {
    fn remember(&mut self, write: Write) {
        if self.writes.len() >= REMEMBERED {
            for old in self.writes.drain(..REMEMBERED / 2) {
                self.forgotten.count(&old);
            }
        }
        self.writes.push(write);
    }

    fn find(&mut self, number: u64) -> Option<&mut Write> {
        self.writes.iter_mut().rev().find(|write| write.number == number)
    }

    fn judge(&mut self, shown: Option<u64>, asked: Instant) {
        let found = shown.and_then(|shown| self.find(shown));
        // What isn't remembered is older than all that is. What isn't acknowledged yet may be later than all others.
        let is_older = match found.map(|write| write.acknowledged) {
            None => Some(None),
            Some(Some(acknowledged)) => Some(Some(acknowledged)),
            Some(None) => None,
        };
        for write in &mut self.writes {
            if write.acknowledged.is_none_or(|acknowledged| acknowledged >= asked) {
                continue;
            }
            let is_gone = match is_older {
                Some(Some(acknowledged)) => acknowledged < write.sent,
                Some(None) => true,
                None => false,
            };
            write.judged |= is_gone || shown == Some(write.number);
            write.lost |= is_gone;
        }
    }
}

impl Findings {
    fn count(&mut self, write: &Write) {
        self.judged += usize::from(write.judged);
        self.lost += usize::from(write.lost);
    }
}

/// Of each segment, the number of the update whose value it shows; `None` where none of a measurement has written it.
fn numbers(document: &[u8]) -> Result<Vec<Option<u64>>, Unreadable> {
    let value = |at: usize| {
        let rest = &document[at + STATUS.len()..];
        let end = memchr::memchr(b'"', rest)?;
        let number = rest.get(..end)?.strip_prefix(VALUE.as_bytes())?;
        u64::from_str_radix(str::from_utf8(number).ok()?, 16).ok()
    };
    let all: Vec<_> = memmem::find_iter(document, STATUS).map(value).collect();
    if all.len() != SEGMENTS + 1 {
        let document = String::from_utf8_lossy(document).into_owned();
        return Err(Unreadable { found: all.len(), document });
    }
    Ok(all.into_iter().skip(1).collect())
}
