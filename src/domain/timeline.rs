//! The timeline of an entity: its updates and reads around a divergence, in order, and drawn as a diagram.

mod mermaid;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::flag::Path;

/// The most steps of a timeline, in a record and in a diagram: whoever looks wants the end of it, and what a page can show.
pub const MAX_STEPS: usize = 200;

/// What happened to an entity, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The steps, the earliest first.
    pub steps: Vec<Step>,
    /// Whether earlier steps were left out.
    #[serde(default)]
    pub truncated: bool,
}

/// One step of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Microseconds since the first step, one that was left out included; of steps on different sidecars only as exact as their clocks agree.
    pub at_us: u64,
    /// Who: one name per update or read, such as `update 1`. The same one begins and ends.
    pub caller: String,
    /// What.
    pub what: StepKind,
    /// The field that the update writes, or that was read, as a pointer.
    pub field: String,
    /// The value written or read, as JSON text; `None` where it is redacted or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The path that the update took; of a read, the one by which it was made.
    pub path: Path,
    /// The sidecar through which it went.
    pub sidecar: String,
    /// Its trace, in hexadecimal; empty where it has none.
    pub trace_id: String,
    /// Whether this update is one that was lost.
    #[serde(default)]
    pub lost: bool,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// An update was sent: from now on the app may read the entity for it.
    Sent,
    /// It was acknowledged: the app has written.
    Acknowledged,
    /// It was answered with an error.
    Rejected,
    /// It was given up: whether the app has written, or will, is not known.
    Unknown,
    /// The entity was read: this is what was there.
    Read,
}

impl Timeline {
    /// In the order of time, and with so many steps at most: the latest.
    pub fn bounded(mut self, most: usize) -> Self {
        self.steps.sort_by_key(|step| step.at_us);
        let cut = self.steps.len().saturating_sub(most);
        self.steps.drain(..cut);
        self.truncated |= cut > 0;
        self
    }

    /// How many updates are lost, and how many there are.
    pub fn losses(&self) -> (usize, usize) {
        let updates = self.steps.iter().filter(|step| step.what != StepKind::Read);
        let (mut lost, mut all) = (BTreeSet::new(), BTreeSet::new());
        for step in updates {
            all.insert(&step.caller);
            if step.lost {
                lost.insert(&step.caller);
            }
        }
        (lost.len(), all.len())
    }
}

#[cfg(test)]
pub(crate) mod tests;
