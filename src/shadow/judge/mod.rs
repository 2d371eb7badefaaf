//! Judging shadows: comparing a candidate's answer with the control's, on a thread of its own.
//!
//! A worker looks itself only at whether both are the same byte for byte. Whatever is not goes to the [`Comparer`], through a
//! queue that is bounded in number and in bytes; a worker never waits for it. JSON is read and compared there, and records are
//! made there.

mod captured;
mod comparer;
mod spans;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::domain::divergence::Cause;
use crate::domain::flag::Path;
use crate::domain::trace::TraceContext;
use crate::telemetry::FlagIndex;

pub(crate) use captured::{Captured, WORTH_SHARING};
pub(crate) use comparer::Comparer;

/// The most cases that wait: a tenth of a second's work of the comparing thread, and a burst's worth.
const MOST_CASES: usize = 1024;

/// The most bytes of answers that wait, unless a single case is larger.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// What a shadow is about.
pub(crate) struct Subject {
    /// The flag.
    pub(crate) flag: FlagIndex,
    /// The route's place among the flag's.
    pub(crate) route: usize,
    /// The entity's key.
    pub(crate) entity: String,
    /// The path that served.
    pub(crate) path: Path,
    /// Whether legacy was run beside itself.
    pub(crate) noise: bool,
    /// Whether another update of the entity was in flight meanwhile.
    pub(crate) contended: bool,
    /// The control's trace.
    pub(crate) trace: TraceContext,
    /// The candidate's, where it is traced.
    pub(crate) shadow: TraceContext,
}

/// What came of a shadow.
#[allow(clippy::large_enum_variant, reason = "it is boxed with its case as soon as it is made")]
pub(crate) enum Finding {
    /// Two answers that are not the same byte for byte, or that legacy gave both.
    Answers { control: Captured, candidate: Captured },
    /// A document as the app left it and as a declared edit would have, and whether both have the edit's new values.
    Documents { control: Captured, candidate: Captured, has_values: bool },
    /// The candidate gave none.
    Failed(Cause),
}

/// A shadow to be judged.
pub(crate) struct Case {
    pub(crate) subject: Subject,
    pub(crate) finding: Finding,
}

impl Case {
    fn bytes(&self) -> usize {
        match &self.finding {
            Finding::Answers { control, candidate }
            | Finding::Documents { control, candidate, .. } => control.len() + candidate.len(),
            Finding::Failed(_) => 0,
        }
    }
}

/// What the comparing thread and those who feed it share.
struct Docket {
    bytes: AtomicUsize,
    closed: AtomicBool,
    /// By flag: comparisons that workers found to match since the thread looked last.
    matched: Vec<AtomicUsize>,
}

/// Where cases are handed in. Clones share everything.
#[derive(Clone)]
pub(crate) struct Judge {
    /// `None` ends the thread.
    sender: SyncSender<Option<Box<Case>>>,
    docket: Arc<Docket>,
}

/// Where the comparing thread takes them from.
pub(crate) struct Cases {
    receiver: Receiver<Option<Box<Case>>>,
    docket: Arc<Docket>,
}

impl Judge {
    /// Both ends of the queue, for so many flags.
    pub(crate) fn new(flags: usize) -> (Self, Cases) {
        let (sender, receiver) = sync_channel(MOST_CASES);
        let docket = Arc::new(Docket {
            bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            matched: (0..flags).map(|_| AtomicUsize::new(0)).collect(),
        });
        (Self { sender, docket: Arc::clone(&docket) }, Cases { receiver, docket })
    }

    /// Hands a case in, unless as many wait as may; never waits.
    pub(crate) fn submit(&self, case: Case) -> Result<(), Busy> {
        let bytes = case.bytes();
        let before = self.docket.bytes.fetch_add(bytes, Relaxed);
        if (before > 0 && before + bytes > MOST_BYTES)
            || self.sender.try_send(Some(Box::new(case))).is_err()
        {
            self.docket.bytes.fetch_sub(bytes, Relaxed);
            return Err(Busy);
        }
        Ok(())
    }

    /// Counts a comparison that matches without a look from the thread: how often a place differs is known only by it.
    pub(crate) fn matched(&self, flag: FlagIndex) {
        if let Some(matched) = self.docket.matched.get(usize::from(flag.0)) {
            matched.fetch_add(1, Relaxed);
        }
    }

    /// What still waits is skipped, and the thread ends; waits at most for the comparison that is under way.
    pub(crate) fn close(&self) {
        self.docket.closed.store(true, Relaxed);
        // It fails where the thread has ended already.
        drop(self.sender.send(None));
    }
}

/// As many cases wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

impl Cases {
    /// The next case, and whether it is to be skipped as everything ends; `None` at the end.
    fn next(&self) -> Option<(Box<Case>, bool)> {
        let case = self.receiver.recv().ok().flatten()?;
        self.docket.bytes.fetch_sub(case.bytes(), Relaxed);
        Some((case, self.docket.closed.load(Relaxed)))
    }

    /// How many comparisons of a flag matched without a look since this was asked last.
    fn take_matched(&self, flag: FlagIndex) -> usize {
        let matched = self.docket.matched.get(usize::from(flag.0));
        matched.map_or(0, |matched| matched.swap(0, Relaxed))
    }
}
