//! The journal of an entity: its updates, what was read of it, and what a read says of them.
//!
//! An update whose value stands stays in it after it was verified for as long as another one, in flight beside it, could still
//! undo it.

mod concluding;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fingerprint::{FieldId, Fingerprint};
use super::register::{Judgement, Known, ReadSpan, Write, judge};
use super::snapshot::{Fields, Seen};
use super::stamp::Stamp;
use crate::domain::flag::Path;
pub use concluding::{Concluded, Conclusion};

/// The most earlier reads that are kept of an entity: the last one is its baseline, those before it know older values.
const MAX_READS: usize = 4;

/// The most values of updates that are not in it any more that are kept of an entity.
const MAX_PAST: usize = 128;

/// Which update: unique among all sidecars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UpdateId {
    /// The sidecar's clock, which no other has.
    #[serde(rename = "c")]
    pub clock: u64,
    /// Its number there.
    #[serde(rename = "n")]
    pub number: u64,
}

/// One update of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Which.
    pub id: UpdateId,
    /// The field that it writes, as a pointer.
    pub field: String,
    /// What it writes; `None` where that is not known.
    pub value: Option<Fingerprint>,
    /// What it writes, as JSON text, where that may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// Before it was sent.
    pub sent: Stamp,
    /// After it was answered, or given up.
    pub ended: Stamp,
    /// For how long after that it may still write, in microseconds: not at all where it was answered.
    #[serde(default)]
    pub settles: u64,
    /// What its sender was told.
    pub ending: Ending,
    /// The path that it took.
    pub path: Path,
    /// Its route's place among all routes.
    pub route: u16,
    /// The sidecar through which it went.
    pub sidecar: String,
    /// Its trace, in hexadecimal; empty where it has none.
    pub trace_id: String,
    /// Its server span, in hexadecimal.
    #[serde(default)]
    pub span_id: String,
    /// Whether its span was recorded.
    #[serde(default)]
    pub sampled: bool,
    /// Whether a conclusion about it was counted.
    #[serde(default)]
    pub counted: bool,
    /// It may explain what is seen and accuses nobody: what was under way beside it is not all known, or a finding that
    /// concerns it was told already.
    #[serde(default)]
    pub doubtful: bool,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was acknowledged.
    Acknowledged,
    /// It was answered with an error: it may have happened all the same.
    Rejected,
    /// There was no answer.
    Unknown,
}

/// A read of the entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Before it was sent.
    pub begun: Stamp,
    /// After it was answered.
    pub ended: Stamp,
    /// What it showed.
    pub fields: Fields,
}

/// What is in the journal of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// An update.
    Update(Update),
    /// A read.
    Read(Read),
    /// What happened up to this moment of the common clock, in microseconds, is not all known.
    Gap(u64),
    /// What was written to fields by updates that are not in it any more.
    Past(Vec<(FieldId, Fingerprint)>),
}

/// An entity's journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Its updates, in no order.
    pub updates: Vec<Update>,
    /// Its reads, the one that began earliest first.
    pub reads: Vec<Read>,
    /// What happened up to this moment of the common clock is not all known; 0 where it is.
    pub gap: u64,
    /// What was written to fields by updates that are not in it any more: such a value is no stranger's.
    pub past: Vec<(FieldId, Fingerprint)>,
}

/// What a read says of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field, as a pointer.
    pub field: String,
    /// What it says.
    pub said: Said,
    /// Of a loss: the acknowledged updates of which one is lost, the one that ended last at the end. More than one only where
    /// they were made at once, so that one of them would have overwritten the others.
    pub updates: Vec<UpdateId>,
}

/// What a read says of one field that should not be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// An acknowledged update is gone, and no later one explains it.
    Lost,
    /// Somebody wrote past the sidecars.
    Unmanaged,
    /// What stood there before the first update is not known.
    NoBaseline,
    /// The document has no such place, or has it twice.
    NoPlace,
}

impl Said {
    /// Whether nothing is known of the field's updates for it.
    const fn is_no_conclusion(self) -> bool {
        match self {
            Self::NoBaseline | Self::NoPlace => true,
            Self::Lost | Self::Unmanaged => false,
        }
    }
}

impl Read {
    /// When it was.
    pub fn span(&self) -> ReadSpan {
        ReadSpan { begun: self.begun, ended: self.ended }
    }
}

impl Update {
    /// After this it writes no more.
    pub fn quiet(&self) -> Stamp {
        self.ended.plus(self.settles)
    }

    fn write(&self) -> Write {
        let known = match self.ending {
            Ending::Acknowledged if !self.doubtful => Known::Acknowledged,
            Ending::Acknowledged | Ending::Rejected | Ending::Unknown => Known::Possible,
        };
        Write {
            value: self.value,
            begun: self.sent,
            ended: self.quiet(),
            known,
            told: self.counted,
        }
    }

    /// Whether a read shows what it wrote, as far as that is known.
    fn may_stand_in(&self, read: &Read) -> bool {
        match read.fields.at(FieldId::of(&self.field)) {
            Seen::Value(shown) => self.value.is_none_or(|value| value == shown),
            Seen::NoPlace => false,
        }
    }

    /// Whether the other one was under way at some moment when this one was, as far as anybody can tell.
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.quiet().is_before(&other.sent) && !other.quiet().is_before(&self.sent)
    }
}

impl History {
    /// Adds what is in a journal. An entry that is there already (it was sent twice) is not added again.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let mut known: BTreeSet<UpdateId> = self.updates.iter().map(|update| update.id).collect();
        for entry in entries {
            match entry {
                Entry::Update(update) if known.insert(update.id) => self.updates.push(update),
                Entry::Update(_) => {}
                Entry::Read(read) if self.reads.contains(&read) => {}
                Entry::Read(read) => self.reads.push(read),
                Entry::Gap(until) => self.gap = self.gap.max(until),
                Entry::Past(values) => {
                    let past = &self.past;
                    let new: Vec<_> = values.into_iter().filter(|v| !past.contains(v)).collect();
                    self.past.extend(new);
                }
            }
        }
        self.doubt_what_is_in_the_gap();
        // The one that a conclusion came from begins after all that it forgot has ended: what began before it may know less.
        self.reads.sort_by_key(|read| (read.begun.earliest, read.begun.ticks));
        self.drop_early_reads();
    }

    /// What only a read saw that goes is an older value all the same, if it comes back.
    fn drop_early_reads(&mut self) {
        let surplus = self.reads.len().saturating_sub(MAX_READS);
        let pairs = self.reads.iter().zip(self.reads.iter().skip(1)).take(surplus);
        let replaced = pairs.flat_map(|(early, next)| early.fields.replaced_in(&next.fields));
        let replaced: Vec<(FieldId, Fingerprint)> = replaced.collect();
        self.reads.drain(..surplus);
        if !self.updates.is_empty() {
            self.remember(replaced);
        }
    }

    /// Something that is not known may have replaced what was written or seen before the gap's end, but nothing after it.
    fn doubt_what_is_in_the_gap(&mut self) {
        let gap = self.gap;
        if gap > 0 {
            self.reads.retain(|read| read.begun.earliest > gap);
            let in_gap = self.updates.iter_mut().filter(|update| update.sent.earliest <= gap);
            in_gap.for_each(|update| update.doubtful = true);
        }
    }

    /// Whether there is an update about which no conclusion was counted yet.
    pub fn has_news(&self) -> bool {
        self.updates.iter().any(|update| !update.counted)
    }

    /// Whether something in it is, by the common clock, from after this moment.
    pub fn is_ahead_of(&self, now: &Stamp) -> bool {
        let ends = self.updates.iter().map(|update| &update.ended);
        let mut ends = ends.chain(self.reads.iter().map(|read| &read.ended));
        ends.any(|end| end.earliest > now.latest)
    }

    /// What a read says that should not be so, by field. Right only where all updates are in that were sent before it ended.
    pub fn check(&self, read: &Read) -> Vec<Finding> {
        let mut fields: BTreeMap<&str, Vec<&Update>> = BTreeMap::new();
        for update in self.updates.iter().filter(|update| update.write().may_precede(&read.span()))
        {
            fields.entry(&update.field).or_default().push(update);
        }
        let judged = fields.into_iter().map(|(field, updates)| self.judge(field, &updates, read));
        judged.flatten().collect()
    }

    fn judge(&self, field: &str, updates: &[&Update], read: &Read) -> Option<Finding> {
        let id = FieldId::of(field);
        let Seen::Value(shown) = read.fields.at(id) else {
            return Some(Finding {
                field: field.to_owned(),
                said: Said::NoPlace,
                updates: Vec::new(),
            });
        };
        let mut writes: Vec<Write> = updates.iter().map(|update| update.write()).collect();
        writes.extend(self.reads.iter().filter(|earlier| *earlier != read).filter_map(|earlier| {
            let Seen::Value(value) = earlier.fields.at(id) else { return None };
            let (begun, ended) = (earlier.begun, earlier.ended);
            Some(Write { value: Some(value), begun, ended, known: Known::Seen, told: false })
        }));
        let said = match judge(&writes, &read.span(), shown) {
            Judgement::Fine => return None,
            Judgement::Lost => Said::Lost,
            _ if self.past.contains(&(id, shown)) => Said::Lost,
            Judgement::Unmanaged => Said::Unmanaged,
            Judgement::NoBaseline => Said::NoBaseline,
        };
        let updates = victims(updates, &read.span());
        if said == Said::Lost && updates.is_empty() {
            // A value from here is back, and no update is gone for it.
            return None;
        }
        Some(Finding { field: field.to_owned(), said, updates })
    }

    /// Everything in it, as entries.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let updates = self.updates.iter().cloned().map(Entry::Update);
        let reads = self.reads.iter().cloned().map(Entry::Read);
        let past = (!self.past.is_empty()).then(|| Entry::Past(self.past.clone()));
        let gap = (self.gap > 0).then_some(Entry::Gap(self.gap));
        updates.chain(reads).chain(past).chain(gap)
    }
}

/// Of the updates of a field that shows something else: those of which one is lost. All earlier ones were replaced by them.
fn victims(updates: &[&Update], read: &ReadSpan) -> Vec<UpdateId> {
    let acknowledged: Vec<(&Update, Write)> = updates
        .iter()
        .map(|update| (*update, update.write()))
        .filter(|(_, write)| write.surely_precedes(read))
        .collect();
    let writes: Vec<Write> = acknowledged.iter().map(|(_, write)| *write).collect();
    let mut last: Vec<&Update> = acknowledged
        .iter()
        .filter(|(_, write)| !write.is_overwritten(&writes, read))
        .map(|(update, _)| *update)
        .collect();
    last.sort_by_key(|update| (update.ended.latest, update.id));
    last.iter().map(|update| update.id).collect()
}

#[cfg(test)]
mod tests;
