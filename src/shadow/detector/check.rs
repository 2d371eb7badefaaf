//! The check of an entity: claimed, read, judged, concluded.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::checked::Checked;
use super::entity::{Journal, Stage, Waiting};
use super::outcome::{Found, Outcome, Settlement};
use super::{Detector, Ended, EntityReader, index};
use crate::clock::{self, Instant};
use crate::domain::effects::history::{Entry, Finding, History, Read, Said};
use crate::domain::effects::{Fields, Stamp};
use crate::shadow::journal::{Claimed, JournalKey, Settled, Ticket};
use crate::shadow::notebook::RawRead;
use crate::telemetry::events::VerifyRead;
use crate::telemetry::labels::{Inconclusive, ReadResult};

/// The most entities under check at once.
const MAX_CHECKS: usize = 256;

/// An entity that could not be claimed or read is tried again after this.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// So many reads of one entity fail, one after the other, before it is given up.
const MAX_FAILURES: u32 = 3;

/// The longest that a finding waits for a sidecar to tell what it knows: longer than a mark is kept of one that has fallen
/// silent, so that in the end it does not count.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(75);

impl<R: EntityReader + 'static> Detector<R> {
    /// The entities whose check is to be begun now. They count as claimed from here on.
    pub(super) fn claim_due(&mut self, now: Instant, most: usize) -> Vec<JournalKey> {
        let busy = |stage: &Stage| !matches!(stage, Stage::Idle);
        let running = self.entities.values().filter(|entity| busy(&entity.stage)).count();
        let room = MAX_CHECKS.saturating_sub(running).min(most);
        let mut due = Vec::new();
        for (key, entity) in &mut self.entities {
            if due.len() >= room {
                break;
            }
            let flag = self.flags.flags.get(entity.flag).and_then(Option::as_ref);
            if !flag.is_some_and(|flag| entity.is_due(flag, now)) {
                continue;
            }
            if !self.parts.notebook.may_read(index(entity.flag)) {
                entity.not_before = now + TRY_AGAIN;
                continue;
            }
            entity.stage = Stage::Claiming;
            due.push(key.clone());
        }
        due
    }

    /// A claim was answered, when all was known up to `open`.
    pub(super) fn take_claim(&mut self, key: &JournalKey, claimed: Option<Claimed>, open: Stamp) {
        let now = clock::now();
        let Some(entity) = self.entities.get_mut(key) else { return };
        let Some(claimed) = claimed else {
            // Somebody else checks it. What was noted here since is looked at afterwards.
            entity.stage = Stage::Idle;
            entity.not_before = now + TRY_AGAIN;
            return;
        };
        if claimed.overflowed {
            let gap = self.gap_from(now);
            self.settle(key, claimed.ticket, claimed.count, vec![gap]);
            return self.give_up(key, Inconclusive::JournalFull);
        }
        let (taken, ticket) = (claimed.count, claimed.ticket);
        let news = entity.news.saturating_sub(entity.drafts.len());
        let mut journal = Journal { history: History::default(), taken, ticket, open, news };
        journal.history.extend(claimed.entries.into_iter().chain([Entry::Gap(self.gap)]));
        if self.clock.stamp(now).is_some_and(|now| journal.history.is_ahead_of(&now)) {
            // The clock was set back.
            let gap = self.gap_from(now);
            self.settle(key, ticket, taken, vec![gap]);
            return self.give_up(key, Inconclusive::JournalLost);
        }
        match std::mem::take(&mut entity.stage) {
            Stage::Waiting(waiting) if !ticket.is_of_the_claim_of(waiting.journal.ticket) => {
                // The claim had run out: others may have checked it since, and forgotten what would explain this read.
                entity.not_before = now + TRY_AGAIN;
                self.settle(key, ticket, 0, Vec::new());
            }
            Stage::Waiting(waiting) => {
                entity.stage = Stage::Waiting(Box::new(Waiting { journal, ..*waiting }));
                self.judge(key, now);
            }
            _ if journal.history.has_news() => {
                entity.stage = Stage::Reading(journal);
                let read = self.reader.read(entity.path.clone());
                let (tell, key) = (self.tell.clone(), key.clone());
                tokio::task::spawn_local(async move {
                    tell.send(Ended::Read(key, read.await)).ok();
                });
            }
            _ => {
                // Somebody else has checked what was noted here.
                entity.set_news(None);
                self.settle(key, ticket, 0, Vec::new());
            }
        }
    }

    /// An entity was read.
    pub(super) fn take_read(&mut self, key: &JournalKey, read: RawRead) {
        let Some(entity) = self.entities.get_mut(key) else { return };
        let Stage::Reading(journal) = std::mem::take(&mut entity.stage) else { return };
        let flag = index(entity.flag);
        let known = self.flags.flags.get(entity.flag).and_then(Option::as_ref);
        let stamps = self.clock.stamp(read.begun).zip(self.clock.stamp(read.ended));
        let document: Option<(Bytes, Value)> = read.document.ok().and_then(|bytes| {
            let document = serde_json::from_slice(&bytes).ok()?;
            Some((bytes, document))
        });
        let (Some((bytes, document)), Some((begun, ended)), Some(known)) =
            (document, stamps, known)
        else {
            VerifyRead { flag, result: ReadResult::Failed }.emit(&self.parts.telemetry);
            entity.failures += 1;
            if entity.failures >= MAX_FAILURES {
                entity.stage = Stage::Reading(journal);
                return self.give_up(key, Inconclusive::ReadFailed);
            }
            entity.not_before = clock::now() + TRY_AGAIN * 4;
            return self.settle(key, journal.ticket, 0, Vec::new());
        };
        VerifyRead { flag, result: ReadResult::Ok }.emit(&self.parts.telemetry);
        entity.failures = 0;
        let read_as = Read { begun, ended, fields: Fields::of(&document, &known.pointers) };
        let findings = journal.history.check(&read_as);
        let is_fine = findings.iter().all(|finding| finding.said == Said::NoPlace);
        let (begun, ended) = (read.begun, read.ended);
        let waiting = Waiting { journal, read: read_as, begun, ended, document: bytes };
        entity.stage = Stage::Waiting(Box::new(waiting));
        if is_fine {
            self.conclude(key, &findings);
        }
    }

    /// Judges what waits, if all have told what they know.
    fn judge(&mut self, key: &JournalKey, now: Instant) {
        let Some(entity) = self.entities.get(key) else { return };
        let Stage::Waiting(waiting) = &entity.stage else { return };
        let others_have_told =
            self.shared.others.is_none_or(|others| others > waiting.read.ended.latest);
        if others_have_told && entity.has_told_all_before(waiting.ended) {
            let findings = waiting.journal.history.check(&waiting.read);
            self.conclude(key, &findings);
        } else if now > waiting.ended + LONGEST_WAIT {
            self.give_up(key, Inconclusive::SilentSidecar);
        }
    }

    /// Makes the read the new baseline. What was found is told when the journals have taken that.
    fn conclude(&mut self, key: &JournalKey, findings: &[Finding]) {
        let Some(entity) = self.entities.get_mut(key) else { return };
        let Stage::Waiting(waiting) = std::mem::take(&mut entity.stage) else { return };
        let Waiting { journal, read, document, begun, ended } = *waiting;
        let Journal { mut history, taken, ticket, open, news } = journal;
        let (flag, times) = (entity.flag, (begun, ended));
        let found = if findings.is_empty() {
            let (flags, entity) = (&self.flags, &*key.entity);
            let checked = Checked { flags, flag, entity, history: &history, findings };
            checked.record(times, &self.parts.telemetry, &self.clock);
            None
        } else {
            let (findings, history, read) = (findings.to_vec(), history.clone(), read.clone());
            Some(Box::new(Found { findings, history, read, times, document }))
        };
        let concluded = history.conclude(read, findings, &open);
        let now = clock::now();
        let has_come = !entity.drafts.is_empty() || entity.news > news;
        let has_more = history.has_news() || has_come;
        entity.set_news(has_more.then_some(now));
        // What is left may have come by way of others, of whom this one did not hear when it ends.
        let open = history.updates.iter().filter(|update| !update.counted);
        let quiet = open
            .map(|update| self.clock.moment(&update.ended) + Duration::from_micros(update.settles));
        entity.quiet_from = quiet.fold(entity.quiet_from.max(now), Instant::max);
        let outcome = Outcome { flag, path: entity.path.clone(), found, concluded };
        let keep = history.entries().collect();
        self.shared.settled.push(Settlement {
            settled: Settled { key: key.clone(), ticket, taken, keep },
            outcome: Some(outcome),
        });
    }

    /// Ends a check without a conclusion. The next update's entity is looked at anew.
    pub(super) fn give_up(&mut self, key: &JournalKey, reason: Inconclusive) {
        let Some(entity) = self.entities.get_mut(key) else { return };
        let (had_news, flag) = (entity.news_since.is_some(), entity.flag);
        let taken = match std::mem::take(&mut entity.stage) {
            Stage::Reading(journal) => Some((journal.ticket, journal.taken)),
            Stage::Waiting(waiting) => Some((waiting.journal.ticket, waiting.journal.taken)),
            Stage::Idle | Stage::Claiming => None,
        };
        entity.set_news(None);
        entity.failures = 0;
        if had_news {
            self.inconclusive(flag, reason);
        }
        if let Some((ticket, taken)) = taken {
            let gap = self.gap_from(clock::now());
            self.settle(key, ticket, taken, vec![gap]);
        }
        self.parts.notebook.forget_sight(index(flag), &key.entity);
    }

    /// A moment before which every update that was sent, by anybody, has ended and is in the journals as they were told last.
    pub(super) fn open(&self) -> Stamp {
        // Of updates that were sent since the notes were taken up last nothing is known yet.
        let mine = self.mark(self.taken_up).map(|stamp| stamp.earliest);
        let open = match (self.shared.others, mine) {
            (Some(others), Some(mine)) => others.min(mine),
            (None, Some(mine)) => mine,
            (_, None) => 0,
        };
        // On no sidecar's own clock.
        Stamp { clock: u64::MAX, ticks: open, earliest: open, latest: open }
    }

    /// Of what was under way up to this moment not all will be known.
    pub(super) fn gap_from(&self, now: Instant) -> Entry {
        let until = self.clock.stamp(now + self.flags.settles);
        Entry::Gap(until.map_or(self.gap, |until| until.latest))
    }

    fn settle(&mut self, key: &JournalKey, ticket: Ticket, taken: usize, keep: Vec<Entry>) {
        let settled = Settled { key: key.clone(), ticket, taken, keep };
        self.shared.settled.push(Settlement { settled, outcome: None });
    }
}
