//! What the workers have done at the desk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::hold::Hold;
use crate::domain::trace::TraceContext;
use crate::fleet::gate::Place;
use crate::lease::{Purpose, StoreTerms};

/// What is done for the workers.
pub(crate) enum Errand {
    /// Ask for a lease.
    Ask(Question),
    /// Give one back.
    Release { entity: Arc<str>, hold: Hold },
    /// Leave an entity alone for a time.
    Keep { entity: Arc<str>, hold: Hold, settle: Duration },
    /// Finish all that came before, and nothing that comes after.
    Close,
}

impl Errand {
    /// The trace for which it is done.
    pub(super) fn trace(&self) -> TraceContext {
        match self {
            Self::Ask(question) => question.terms.0.trace.wait,
            Self::Release { hold, .. } | Self::Keep { hold, .. } => hold.terms.trace.call,
            Self::Close => TraceContext::NONE,
        }
    }
}

/// A question for a lease.
pub(crate) struct Question {
    pub(super) entity: Arc<str>,
    pub(super) place: Arc<Place>,
    pub(super) terms: (StoreTerms, Duration),
    pub(super) reply: oneshot::Sender<Result<Hold, Refused>>,
}

/// Why the store grants nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It can't be asked.
    Unreachable,
    /// It is another one.
    Replaced,
}

/// A question under way. Dropped, it is withdrawn, and a lease that has come meanwhile goes back.
pub(super) struct Asked {
    pub(super) entity: Arc<str>,
    pub(super) place: Arc<Place>,
    pub(super) purpose: Purpose,
    pub(super) answer: oneshot::Receiver<Result<Hold, Refused>>,
    pub(super) answered: bool,
    pub(super) desk: mpsc::UnboundedSender<Errand>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.answer.close();
        if let Ok(Ok(hold)) = self.answer.try_recv() {
            let entity = Arc::clone(&self.entity);
            // A desk that is gone gave nothing that would not run out.
            drop(self.desk.send(Errand::Release { entity, hold }));
        }
    }
}
