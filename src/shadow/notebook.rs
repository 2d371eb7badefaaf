//! What the workers note of updates whose entity is verified. Noting takes no lock, waits for nothing and wakes nobody: the
//! detector comes by and looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::sights::{Budget, Sights};
use crate::clock::{self, Instant};
use crate::config::Config;
use crate::domain::bucket::Bucket;
use crate::domain::effects::FieldId;
use crate::domain::effects::history::Ending;
use crate::domain::flag::Path;
use crate::domain::percent::Percent;
use crate::domain::trace::TraceContext;
use crate::telemetry::{FlagIndex, RouteIndex};

/// The most updates that are noted and not yet looked at, or still in flight.
const MAX_NOTED: usize = 64 * 1024;

/// The most of bodies that wait to be looked at for the value in them, in bytes.
const MAX_BODIES: usize = 32 * 1024 * 1024;

/// An update whose entity is verified.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) flag: FlagIndex,
    pub(crate) route: RouteIndex,
    /// The entity's key.
    pub(crate) entity: String,
    /// Where the entity can be read.
    pub(crate) read: String,
    /// The field that it writes.
    pub(crate) field: String,
    pub(crate) value: Written,
    /// The path that it takes.
    pub(crate) path: Path,
    pub(crate) trace: TraceContext,
}

/// What an update writes.
#[derive(Debug)]
pub(crate) enum Written {
    /// This text.
    Text(String),
    /// What stands in this body where the route says.
    Body(Bytes),
    /// That could not be seen.
    Unknown,
}

/// Something that was noted.
#[derive(Debug)]
pub(crate) enum Note {
    /// An update is about to be sent.
    Sent { number: u64, at: Instant, watched: Box<Watched> },
    /// It was answered or given up. For `settles` after that it may still write.
    Ended { number: u64, at: Instant, ending: Ending, settles: Duration },
    /// An entity was read ahead of its first update.
    Looked { flag: FlagIndex, entity: String, path: String, read: RawRead },
}

/// An entity as it was read.
#[derive(Debug)]
pub(crate) struct RawRead {
    /// Before it was sent.
    pub(crate) begun: Instant,
    /// After its answer was here.
    pub(crate) ended: Instant,
    /// The document.
    pub(crate) document: Result<Bytes, ReadFault>,
}

/// Why an entity could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadFault {
    /// No answer, or not a whole one.
    #[error("the app did not answer")]
    Unanswered,
    /// Another answer than the document.
    #[error("the app answered with status {0}")]
    Status(u16),
    /// The document is larger than is read.
    #[error("the document is too large")]
    TooLarge,
}

/// Where workers note; clones share everything.
#[derive(Clone)]
pub(crate) struct Notebook {
    inner: Arc<Inner>,
}

struct Inner {
    notes: mpsc::UnboundedSender<Note>,
    /// Updates that are noted and whose end was not looked at yet: bounds the channel.
    waiting: AtomicUsize,
    bodies: AtomicUsize,
    /// Updates that could not be noted.
    missed: AtomicU64,
    numbers: AtomicU64,
    sights: Sights,
    /// By flag, where it is verified.
    flags: Vec<Option<Verified>>,
    started: Instant,
}

struct Verified {
    sample: Percent,
    reads: Budget,
}

impl Notebook {
    /// For the flags of a configuration; `None` where none is verified. What is noted comes out of the other half.
    pub(crate) fn new(config: &Config) -> Option<(Self, mpsc::UnboundedReceiver<Note>)> {
        if !config.flags.iter().any(|flag| flag.verify.is_some()) {
            return None;
        }
        let verified = config.flags.iter().map(|flag| {
            let verify = flag.verify.as_ref()?;
            Some(Verified { sample: verify.sample, reads: Budget::new(verify.max_reads) })
        });
        let (notes, noted) = mpsc::unbounded_channel();
        let inner = Inner {
            notes,
            waiting: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
            sights: Sights::new(),
            flags: verified.collect(),
            started: clock::now(),
        };
        Some((Self { inner: Arc::new(inner) }, noted))
    }

    /// Whether an entity is one of those that are verified.
    pub(crate) fn verifies(&self, flag: FlagIndex, name: &str, entity: &str) -> bool {
        let verified = self.verified(flag);
        verified.is_some_and(|flag| flag.sample.admits(Bucket::of_sample(name, entity)))
    }

    /// Whether an entity should be read ahead: it was not seen lately, and a read may be made.
    pub(crate) fn wants_a_look(&self, flag: FlagIndex, entity: &str) -> bool {
        let hash = sight_of(flag, entity);
        let seconds = self.seconds();
        self.inner.sights.is_first(hash, seconds) && self.may_read(flag)
    }

    /// Whether the detector may make one more read now.
    pub(crate) fn may_read(&self, flag: FlagIndex) -> bool {
        let seconds = self.seconds();
        self.verified(flag).is_some_and(|flag| flag.reads.take(seconds))
    }

    /// The entity is one that was not seen.
    pub(super) fn forget_sight(&self, flag: FlagIndex, entity: &str) {
        self.inner.sights.forget(sight_of(flag, entity));
    }

    /// Every entity is one that was not seen.
    pub(super) fn forget_sights(&self) {
        self.inner.sights.clear();
    }

    /// Notes that an update is about to be sent; `None` where too many are noted.
    /// `settles` is for how long it may still write if it is given up.
    pub(crate) fn note(&self, mut watched: Box<Watched>, settles: Duration) -> Option<Noted> {
        let inner = &self.inner;
        if inner.waiting.fetch_add(1, Relaxed) >= MAX_NOTED {
            inner.waiting.fetch_sub(1, Relaxed);
            inner.missed.fetch_add(1, Relaxed);
            return None;
        }
        if let Written::Body(body) = &watched.value
            && inner.bodies.fetch_add(body.len(), Relaxed) >= MAX_BODIES
        {
            inner.bodies.fetch_sub(body.len(), Relaxed);
            watched.value = Written::Unknown;
        }
        let number = inner.numbers.fetch_add(1, Relaxed);
        let sent = Note::Sent { number, at: clock::now(), watched };
        inner.notes.send(sent).ok();
        Some(Noted { notebook: self.clone(), number, settles, ended: false })
    }

    /// An entity was read ahead of its first update.
    pub(crate) fn looked(&self, flag: FlagIndex, entity: String, path: String, read: RawRead) {
        self.inner.notes.send(Note::Looked { flag, entity, path, read }).ok();
    }

    /// The detector has taken up a body.
    pub(super) fn took_body(&self, length: usize) {
        self.inner.bodies.fetch_sub(length, Relaxed);
    }

    /// The detector has seen the end of an update.
    pub(super) fn took_end(&self) {
        self.inner.waiting.fetch_sub(1, Relaxed);
    }

    /// How many updates could not be noted, in all.
    pub(super) fn missed(&self) -> u64 {
        self.inner.missed.load(Relaxed)
    }

    fn verified(&self, flag: FlagIndex) -> Option<&Verified> {
        self.inner.flags.get(usize::from(flag.0))?.as_ref()
    }

    fn seconds(&self) -> u64 {
        clock::now().saturating_duration_since(self.inner.started).as_secs() + 1
    }
}

/// An entity's hash; a flag's number tells entities of two flags apart.
fn sight_of(flag: FlagIndex, entity: &str) -> u64 {
    FieldId::of(entity).get() ^ u64::from(flag.0) << 48
}

/// An update that is noted as sent. Dropped, it counts as given up.
#[derive(Debug)]
pub(crate) struct Noted {
    notebook: Notebook,
    number: u64,
    settles: Duration,
    ended: bool,
}

impl Noted {
    /// Notes how it ended.
    pub(crate) fn end(mut self, ending: Ending) {
        self.tell(ending);
    }

    fn tell(&mut self, ending: Ending) {
        self.ended = true;
        let settles = match ending {
            Ending::Unknown => self.settles,
            // An app that has answered writes no more.
            Ending::Acknowledged | Ending::Rejected => Duration::ZERO,
        };
        let ended = Note::Ended { number: self.number, at: clock::now(), ending, settles };
        self.notebook.inner.notes.send(ended).ok();
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if !self.ended {
            self.tell(Ending::Unknown);
        }
    }
}

impl std::fmt::Debug for Notebook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notebook").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
