//! What is on trial: asked for its answer to the same call.

use std::rc::Rc;

use super::Shadows;
use crate::domain::flag::Path;
use crate::proxy::candidate::{Call, CandidateError, CandidatePool};
use crate::shadow::Captured;
use crate::telemetry::trace::ActiveSpan;

/// What is on trial. Whatever can make up an answer to a call without serving it may become one, with a variant of its own and what
/// that does below.
#[derive(Clone)]
pub(super) enum Candidate {
    /// The app of the path that did not serve.
    Other(Rc<CandidatePool>),
    /// Legacy once more: what differs then differs by itself.
    Same(Rc<CandidatePool>),
}

impl Candidate {
    /// The one for a call that a path served; `noise` was drawn.
    pub(super) fn beside(served: Path, noise: bool, shadows: &Shadows) -> Self {
        match (served, noise) {
            (Path::Legacy, true) => Self::Same(Rc::clone(&shadows.same)),
            (Path::Legacy, false) => Self::Other(Rc::clone(&shadows.fixed)),
            (Path::Fixed, _) => Self::Other(Rc::clone(&shadows.legacy)),
        }
    }

    /// Whether it is legacy beside itself.
    pub(super) fn is_same(&self) -> bool {
        matches!(self, Self::Same(_))
    }

    /// Makes a call ready for it. Gives the span of that, where it is traced.
    pub(super) fn begin(&self, call: &mut Call) -> Option<ActiveSpan> {
        match self {
            Self::Other(pool) | Self::Same(pool) => pool.begin(call),
        }
    }

    /// Its whole answer. Whoever drops the future cuts it off.
    pub(super) async fn answer(
        &self,
        call: &Call,
        span: &mut Option<ActiveSpan>,
    ) -> Result<Captured, CandidateError> {
        match self {
            Self::Other(pool) | Self::Same(pool) => pool.ask(call, span).await,
        }
    }
}
