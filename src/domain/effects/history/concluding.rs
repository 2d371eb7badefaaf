//! The end of a check: what can be told of each update, and what is still needed of the history.

use std::collections::BTreeSet;

use super::{Ending, Entry, Finding, History, MAX_PAST, MAX_READS, Read, Said, Update};
use crate::domain::effects::fingerprint::{FieldId, Fingerprint};
use crate::domain::effects::register::Known;
use crate::domain::effects::snapshot::Seen;
use crate::domain::effects::stamp::Stamp;
use crate::domain::flag::Path;

/// An update about which a first conclusion was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concluded {
    /// The path that it took.
    pub path: Path,
    /// What became of it, as far as that can be told.
    pub conclusion: Conclusion,
}

/// What can be told of an update after a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// It was acknowledged, and is there, was replaced, or is lost.
    Verified,
    /// It was acknowledged, and nothing was seen of its field before: had it been lost, nobody could have told. If it counted as
    /// verified where it is there, losses would look rarer than they are.
    NoBaseline,
    /// It was acknowledged, and not all is known that was under way beside it.
    Gap,
    /// It was not acknowledged, or a finding has told of its field already.
    Told,
}

impl History {
    /// Takes in what a read said, as [`Self::check`] found it: it is the new baseline, and what it settled for good is forgotten. `open`
    /// is a moment before which every update that was sent has ended and is in. Gives the updates about which this is the
    /// first conclusion.
    pub fn conclude(&mut self, read: Read, findings: &[Finding], open: &Stamp) -> Vec<Concluded> {
        let span = read.span();
        let told = findings.iter().filter(|finding| finding.said != Said::NoPlace);
        let told: BTreeSet<&str> = told.map(|finding| finding.field.as_str()).collect();
        let open_questions = findings.iter().filter(|finding| finding.said.is_no_conclusion());
        let unclear: BTreeSet<&str> =
            open_questions.map(|finding| finding.field.as_str()).collect();
        let concludes = |update: &Update| !update.counted && update.quiet().is_before(&span.begun);
        let mut news = Vec::new();
        for update in self.updates.iter().filter(|update| concludes(update)) {
            let is_clear = !unclear.contains(update.field.as_str());
            let conclusion = if is_clear { self.conclusion_on(update) } else { Conclusion::Told };
            news.push(Concluded { path: update.path, conclusion });
        }
        for update in &mut self.updates {
            let is_concluded = concludes(update);
            // Once is enough, whatever the next read shows.
            update.doubtful |=
                told.contains(update.field.as_str()) && update.write().may_precede(&span);
            update.counted |= is_concluded;
        }
        self.forget_what_is_settled(&read, open);
        if self.gap < span.begun.earliest.min(open.earliest) {
            // Whatever was under way in it is in by now, and this read came after it.
            self.gap = 0;
        }
        self.extend([Entry::Read(read)]);
        news
    }

    fn conclusion_on(&self, update: &Update) -> Conclusion {
        if update.ending != Ending::Acknowledged {
            Conclusion::Told
        } else if self.gap > 0 && update.sent.earliest <= self.gap {
            Conclusion::Gap
        } else if update.doubtful {
            Conclusion::Told
        } else if self.knows_what_was_there_before(update) {
            Conclusion::Verified
        } else {
            Conclusion::NoBaseline
        }
    }

    /// Whether something was seen of its field by the time it had ended, or was written before it.
    fn knows_what_was_there_before(&self, update: &Update) -> bool {
        let id = FieldId::of(&update.field);
        let saw = |read: &Read| {
            !update.quiet().is_before(&read.begun) && read.fields.at(id) != Seen::NoPlace
        };
        let came_before = |other: &Update| {
            other.field == update.field
                && other.write().known == Known::Acknowledged
                && other.quiet().is_before(&update.sent)
        };
        // Where that many are remembered, earlier ones were forgotten.
        let has_long_been_read = self.reads.len() >= MAX_READS;
        has_long_been_read || self.reads.iter().any(saw) || self.updates.iter().any(came_before)
    }

    /// Forgets what the read has settled. An update that ended before it was replaced if the read shows something else, and may
    /// never come back. One whose value it shows is needed as long as another one, which was under way beside it, may still
    /// undo it.
    fn forget_what_is_settled(&mut self, read: &Read, open: &Stamp) {
        let is_open = |update: &Update| {
            !update.quiet().is_before(&read.begun) || !update.quiet().is_before(open)
        };
        let (open_ones, settled): (Vec<Update>, Vec<Update>) =
            std::mem::take(&mut self.updates).into_iter().partition(is_open);
        let may_be_undone = |update: &Update| {
            update.may_stand_in(read) && open_ones.iter().any(|other| other.overlaps(update))
        };
        let (kept, forgotten): (Vec<Update>, Vec<Update>) =
            settled.into_iter().partition(may_be_undone);
        self.updates = open_ones;
        self.updates.extend(kept);
        let values = forgotten.iter().filter_map(|u| Some((FieldId::of(&u.field), u.value?)));
        self.remember(values.collect());
    }

    /// Remembers values that what is still under way may have seen, and put back.
    pub(super) fn remember(&mut self, mut values: Vec<(FieldId, Fingerprint)>) {
        values.retain(|value| !self.past.contains(value));
        self.past.extend(values);
        let surplus = match self.updates.is_empty() {
            true => self.past.len(),
            false => self.past.len().saturating_sub(MAX_PAST),
        };
        self.past.drain(..surplus);
    }
}
