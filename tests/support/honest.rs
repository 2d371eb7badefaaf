//! An honest app behind sidecars that verify it, and callers that make it hard for them: many writers of one field, the same few
//! values again and again, calls that time out and land late, connections that break, and retries.
//!
//! Both sides keep a history of their own. What was acknowledged to a caller and never took effect is lost; nobody else knows that.

mod app;
mod callers;
mod stage;

pub(crate) use app::{HonestApp, Manner};
pub(crate) use callers::{Attempt, Callers};
pub(crate) use stage::{Figures, Stage, StagePlan};

/// The flag's name.
pub(crate) const DOCUMENTS: &str = "documents";

/// Of so many updates one is to a field that nobody else writes. A lost update that is overwritten before anybody looks is explained by
/// the one that did it; the loss of such a lone one is seen for good.
pub(crate) const LONE_EVERY: usize = 200;

/// The name of the document with this number.
pub(crate) fn document_name(number: usize) -> String {
    format!("d{number}")
}

/// The name of the field that only one update writes.
pub(crate) fn lone_field(number: usize) -> String {
    format!("lone-{number}")
}
