//! A check that has come to its end, for whoever tells of it.

use super::flags::{Flag, Flags};
use crate::domain::effects::history::{Finding, History, Update, UpdateId};

/// What was checked, and what was found.
pub(super) struct Checked<'a> {
    pub(super) flags: &'a Flags,
    /// The flag's index.
    pub(super) flag: usize,
    pub(super) entity: &'a str,
    /// As it was judged, before the conclusion.
    pub(super) history: &'a History,
    pub(super) findings: &'a [Finding],
}

impl<'a> Checked<'a> {
    pub(super) fn flag(&self) -> Option<&'a Flag> {
        self.flags.flags.get(self.flag).and_then(Option::as_ref)
    }

    pub(super) fn flag_name(&self) -> String {
        self.flag().map(|flag| flag.name.clone()).unwrap_or_default()
    }

    pub(super) fn update(&self, id: UpdateId) -> Option<&'a Update> {
        self.history.updates.iter().find(|update| update.id == id)
    }
}
