//! What the detector found, told: counted, logged, and written down as a record with the timeline that shows how.

use std::collections::BTreeMap;

use serde_json::Value;

use super::checked::Checked;
use super::index;
use crate::clock;
use crate::domain::divergence::{Cause, Difference, DifferenceKind, Divergence};
use crate::domain::effects::Stamp;
use crate::domain::effects::history::{
    Concluded, Conclusion, Ending, Finding, Read, Said, Update, UpdateId,
};
use crate::domain::flag::Path;
use crate::domain::timeline::{Step, StepKind, Timeline};
use crate::domain::trace::TraceContext;
use crate::shadow::records::Records;
use crate::telemetry::Telemetry;
use crate::telemetry::events::{
    UnmanagedWrite, UpdateExposed, UpdatesLost, UpdatesVerified, VerifyInconclusive,
};
use crate::telemetry::labels::{Exposure, Inconclusive};

/// The most updates that a timeline shows.
const MAX_SHOWN_UPDATES: usize = 60;

/// The most fields of one entity that one record lists.
const MAX_DIFFERENCES: usize = 64;

/// What was found on one entity, and all that it takes to tell of it.
pub(super) struct Report<'a> {
    pub(super) checked: &'a Checked<'a>,
    pub(super) read: &'a Read,
    pub(super) document: &'a Value,
    /// The sidecar that read it.
    pub(super) sidecar: &'a str,
    /// The check's own trace.
    pub(super) trace: TraceContext,
}

impl Report<'_> {
    /// Tells of it.
    pub(super) fn tell(&self, telemetry: &Telemetry, records: &Records) {
        let Checked { flag, entity, findings, .. } = *self.checked;
        let index = index(flag);
        let mut lost: BTreeMap<Path, Vec<(&Finding, &Update)>> = BTreeMap::new();
        let mut unmanaged = Vec::new();
        for finding in findings {
            match (finding.said, finding.updates.last().and_then(|id| self.checked.update(*id))) {
                (Said::Lost, Some(last)) => {
                    lost.entry(last.path).or_default().push((finding, last))
                }
                (Said::Lost, None) => {}
                (Said::Unmanaged, _) => unmanaged.push(finding),
                (Said::NoBaseline, _) => {
                    let reason = Inconclusive::NoBaseline;
                    VerifyInconclusive { flag: index, reason }.emit(telemetry);
                }
                (Said::NoPlace, _) => {
                    let reason = Inconclusive::NoPlace;
                    VerifyInconclusive { flag: index, reason }.emit(telemetry);
                }
            }
        }
        for (path, lost) in &lost {
            let Some((finding, update)) = lost.first() else { continue };
            UpdatesLost {
                flag: index,
                path: *path,
                count: lost.len() as u64,
                entity,
                field: &finding.field,
                trace_id: &update.trace_id,
            }
            .emit(telemetry);
            let findings: Vec<&Finding> = lost.iter().map(|(finding, _)| *finding).collect();
            records.add(index, self.divergence(Cause::LostUpdate, update, &findings));
        }
        for finding in &unmanaged {
            UnmanagedWrite { flag: index, entity, field: &finding.field }.emit(telemetry);
            let replaced = finding.updates.last().and_then(|id| self.checked.update(*id));
            // Of the legacy path nothing was promised.
            if replaced.is_some_and(|update| update.path == Path::Fixed) {
                UpdateExposed { flag: index, reason: Exposure::ForeignWriter }.emit(telemetry);
            }
        }
        let about = unmanaged.first().and_then(|finding| self.latest_of(&finding.field));
        if let Some(update) = about {
            records.add(index, self.divergence(Cause::UnmanagedWriter, update, &unmanaged));
        }
    }

    fn latest_of(&self, field: &str) -> Option<&Update> {
        let of_field = self.checked.history.updates.iter().filter(|update| update.field == field);
        of_field.max_by_key(|update| (update.ended.latest, update.id))
    }

    fn divergence(&self, cause: Cause, about: &Update, findings: &[&Finding]) -> Divergence {
        let victims: Vec<UpdateId> =
            findings.iter().flat_map(|finding| finding.updates.last()).copied().collect();
        let involved = self.involved(&victims, findings);
        let lost = |update: &&&Update| cause == Cause::LostUpdate && victims.contains(&update.id);
        let first: Vec<&str> = involved.iter().filter(lost).map(|u| u.trace_id.as_str()).collect();
        let others = involved.iter().filter(|update| !lost(update)).map(|u| u.trace_id.as_str());
        let mut trace_ids: Vec<String> = Vec::new();
        for id in first.into_iter().chain(others).filter(|id| !id.is_empty()) {
            if !trace_ids.iter().any(|known| known == id) {
                trace_ids.push(id.to_owned());
            }
        }
        if !self.trace.is_none() {
            trace_ids.push(self.trace.trace_hex().to_string());
        }
        let overlapping = |update: &&Update| {
            self.checked
                .history
                .updates
                .iter()
                .any(|other| other.id != update.id && other.overlaps(update))
        };
        let route = self.checked.flags.routes.get(usize::from(about.route));
        Divergence {
            at_ms: clock::wall_ms(),
            flag: self.checked.flag_name(),
            route: route.map(|route| route.name.clone()).unwrap_or_default(),
            entity: self.checked.entity.to_owned(),
            path: about.path,
            cause,
            contended: victims
                .iter()
                .filter_map(|id| self.checked.update(*id))
                .any(|u| overlapping(&u)),
            truncated: findings.len() > MAX_DIFFERENCES,
            differences: findings
                .iter()
                .take(MAX_DIFFERENCES)
                .map(|f| self.difference(f))
                .collect(),
            trace_ids,
            timeline: Some(self.timeline(cause, &involved, &victims, findings)),
        }
    }

    fn difference(&self, finding: &Finding) -> Difference {
        let written = finding.updates.last().and_then(|id| self.checked.update(*id));
        Difference {
            pointer: finding.field.clone(),
            kind: match finding.said {
                Said::Lost => DifferenceKind::Lost,
                Said::Unmanaged | Said::NoBaseline | Said::NoPlace => DifferenceKind::Unmanaged,
            },
            expected: written
                .or_else(|| self.latest_of(&finding.field))
                .and_then(|update| update.shown.clone()),
            found: self
                .checked
                .flag()
                .and_then(|flag| flag.shown_in(self.document, &finding.field)),
            excused: None,
        }
    }

    /// The updates that have to do with it, in the order in which they were sent: the lost ones, what was under way beside them,
    /// and whatever wrote the same fields.
    fn involved(&self, victims: &[UpdateId], findings: &[&Finding]) -> Vec<&Update> {
        let lost: Vec<&Update> = victims.iter().filter_map(|id| self.checked.update(*id)).collect();
        let concerns = |update: &&Update| {
            lost.iter().any(|victim| victim.overlaps(update))
                || findings.iter().any(|finding| finding.field == update.field)
        };
        let mut involved: Vec<&Update> =
            self.checked.history.updates.iter().filter(concerns).collect();
        involved.sort_by_key(|update| (middle(&update.sent), update.id));
        let surplus = involved.len().saturating_sub(MAX_SHOWN_UPDATES);
        involved.drain(..surplus);
        involved
    }

    fn timeline(
        &self,
        cause: Cause,
        involved: &[&Update],
        victims: &[UpdateId],
        findings: &[&Finding],
    ) -> Timeline {
        let mut steps: Vec<(u64, Step)> = Vec::new();
        for (number, update) in involved.iter().enumerate() {
            let lost = cause == Cause::LostUpdate && victims.contains(&update.id);
            let step = |what: StepKind| Step {
                at_us: 0,
                caller: format!("update {}", number + 1),
                what,
                field: update.field.clone(),
                value: update.shown.clone(),
                path: update.path,
                sidecar: update.sidecar.clone(),
                trace_id: update.trace_id.clone(),
                lost,
            };
            let ending = match update.ending {
                Ending::Acknowledged => StepKind::Acknowledged,
                Ending::Rejected => StepKind::Rejected,
                Ending::Unknown => StepKind::Unknown,
            };
            steps.push((middle(&update.sent), step(StepKind::Sent)));
            steps.push((middle(&update.ended), step(ending)));
        }
        for finding in findings.iter().take(MAX_DIFFERENCES) {
            let found =
                self.checked.flag().and_then(|flag| flag.shown_in(self.document, &finding.field));
            let step = Step {
                at_us: 0,
                caller: "detector".to_owned(),
                what: StepKind::Read,
                field: finding.field.clone(),
                value: found,
                path: Path::Legacy,
                sidecar: self.sidecar.to_owned(),
                trace_id: String::new(),
                lost: false,
            };
            steps.push((middle(&self.read.ended), step));
        }
        steps.sort_by_key(|(at, step)| (*at, step.what == StepKind::Read));
        let origin = steps.first().map_or(0, |(at, _)| *at);
        let all = self.checked.history.updates.len();
        Timeline {
            truncated: all > involved.len() && involved.len() >= MAX_SHOWN_UPDATES,
            steps: steps
                .into_iter()
                .map(|(at, step)| Step { at_us: at.saturating_sub(origin), ..step })
                .collect(),
        }
    }
}

fn middle(stamp: &Stamp) -> u64 {
    stamp.earliest / 2 + stamp.latest / 2 + (stamp.earliest % 2 + stamp.latest % 2) / 2
}

/// Counts the updates about which a first conclusion was reached, and that there were others.
pub(super) fn tell_concluded(telemetry: &Telemetry, flag: usize, concluded: &[Concluded]) {
    let flag = index(flag);
    for path in Path::ALL {
        let counts = |concluded: &&Concluded| {
            concluded.path == path && concluded.conclusion == Conclusion::Verified
        };
        let count = concluded.iter().filter(counts).count() as u64;
        if count > 0 {
            UpdatesVerified { flag, path, count }.emit(telemetry);
        }
    }
    let reasons =
        [(Conclusion::NoBaseline, Inconclusive::NoBaseline), (Conclusion::Gap, Inconclusive::Gap)];
    for (conclusion, reason) in reasons {
        if concluded.iter().any(|concluded| concluded.conclusion == conclusion) {
            VerifyInconclusive { flag, reason }.emit(telemetry);
        }
    }
}
