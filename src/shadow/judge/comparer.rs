//! What the comparing thread does.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Captured, Case, Cases, Finding, Subject, spans};
use crate::clock;
use crate::config::FlagConfig;
use crate::domain::compare::{Comparison, MAX_PLACES, Noise, PointerPattern, Rules, compare};
use crate::domain::divergence::{Cause, Divergence, Verdict};
use crate::domain::trace::TraceContext;
use crate::shadow::Records;
use crate::telemetry::events::{
    Compared, ComparerPanicked, NoiseCompared, NoiseFound, ShadowSkipped,
};
use crate::telemetry::labels::ShadowSkip;
use crate::telemetry::{FlagIndex, Telemetry};

/// Comparisons of legacy with itself between two looks at what they taught.
const LOOK_FOR_NOISE: u32 = 20;

/// So many matches in a row say all that more would: noise is known by its last few thousand comparisons.
const MOST_MATCHED: usize = 4_000;

/// What two answers come to that are the same byte for byte.
const MATCHED: Comparison = Comparison {
    verdict: Verdict::Matched,
    cause: None,
    differences: Vec::new(),
    truncated: false,
};

/// Compares answers, learns what differs by itself, and keeps records of what should not.
pub(crate) struct Comparer {
    /// By flag.
    terms: Vec<Terms>,
    records: Records,
    telemetry: Telemetry,
}

/// How a flag's answers are compared.
struct Terms {
    flag: String,
    routes: Vec<String>,
    rules: Rules,
    reveal: Vec<PointerPattern>,
    /// What declared edits write, in any element.
    declared: Vec<PointerPattern>,
    noise: Noise,
    /// Comparisons of legacy with itself.
    learnt: u32,
    /// Places whose noise was told of.
    told: BTreeSet<String>,
}

impl Comparer {
    /// One for these flags, in the order of their indices.
    pub(crate) fn new(flags: &[FlagConfig], records: Records, telemetry: Telemetry) -> Self {
        let terms = flags.iter().map(|flag| Terms {
            flag: flag.name.clone(),
            routes: flag.routes.iter().map(|route| route.name.clone()).collect(),
            rules: flag.shadow.as_ref().map(|shadow| shadow.rules.clone()).unwrap_or_default(),
            reveal: flag.reveal.clone(),
            declared: declared(flag),
            noise: Noise::default(),
            learnt: 0,
            told: BTreeSet::new(),
        });
        Self { terms: terms.collect(), records, telemetry }
    }

    /// Judges until there are no more cases.
    pub(crate) fn run(mut self, cases: &Cases) {
        while let Some((case, skip)) = cases.next() {
            let flag = case.subject.flag;
            if skip {
                ShadowSkipped { flag, reason: ShadowSkip::Draining }.emit(&self.telemetry);
            } else {
                self.note_matched(flag, cases.take_matched(flag));
                self.judge(*case);
            }
        }
    }

    /// Takes in comparisons that matched without a look: only so it is known how often a place differs.
    pub(super) fn note_matched(&mut self, flag: FlagIndex, count: usize) {
        let Some(terms) = self.terms.get_mut(usize::from(flag.0)) else { return };
        for _ in 0..count.min(MOST_MATCHED) {
            terms.noise.observe(&MATCHED);
        }
    }

    pub(super) fn judge(&mut self, case: Case) {
        let Case { subject, finding } = case;
        let begun = clock::now();
        let Some(terms) = self.terms.get_mut(usize::from(subject.flag.0)) else { return };
        let mut is_concurrent = subject.contended;
        let comparison = match finding {
            Finding::Failed(cause) => failed(cause),
            Finding::Documents { control, candidate, has_values } => {
                let compared =
                    guarded(&self.telemetry, || terms.compare_documents(&control, &candidate));
                let (comparison, only_declared) =
                    compared.unwrap_or_else(|| (failed(Cause::Error), false));
                // An update at another sidecar shows as nothing else.
                is_concurrent |= has_values && only_declared;
                comparison
            }
            Finding::Answers { control, candidate } => {
                let compared = guarded(&self.telemetry, || {
                    terms.compare_answers(&control, &candidate, subject.noise)
                });
                compared.unwrap_or_else(|| failed(Cause::Error))
            }
        };
        if subject.noise {
            let (flag, verdict) = (subject.flag, comparison.verdict);
            NoiseCompared { flag, verdict }.emit(&self.telemetry);
            for place in terms.newly_noisy() {
                NoiseFound { flag, pointer: &place }.emit(&self.telemetry);
            }
            return;
        }
        let cause = comparison.cause.map(|cause| explained(cause, is_concurrent));
        let Subject { flag, contended, .. } = subject;
        let (verdict, first) = (comparison.verdict, comparison.differences.first());
        let (entity, pointer) = (&*subject.entity, first.map_or("", |it| &*it.pointer));
        Compared { flag, verdict, cause, contended, entity, pointer }.emit(&self.telemetry);
        if let Some(cause) = cause {
            let compared = spans::record(&self.telemetry, &terms.flag, &subject, cause, begun);
            let traces = [subject.trace, subject.shadow, compared];
            self.records.add(flag, terms.divergence(subject, cause, comparison, traces));
        }
    }
}

impl Terms {
    fn compare(&self, control: &Captured, candidate: &Captured) -> Comparison {
        compare(
            &self.rules,
            &self.noise,
            &self.reveal,
            &control.answer(&control.headers(), &control.body()),
            &candidate.answer(&candidate.headers(), &candidate.body()),
        )
    }

    fn compare_answers(
        &mut self,
        control: &Captured,
        candidate: &Captured,
        same_app: bool,
    ) -> Comparison {
        let comparison = self.compare(control, candidate);
        if same_app {
            self.noise.learn(&comparison);
            self.learnt = self.learnt.wrapping_add(1);
        } else {
            self.noise.observe(&comparison);
        }
        comparison
    }

    /// Compares two documents; also tells whether nothing differs but what declared edits write.
    fn compare_documents(&self, control: &Captured, candidate: &Captured) -> (Comparison, bool) {
        let mut comparison = self.compare(control, candidate);
        if comparison.cause == Some(Cause::Body) {
            comparison.cause = Some(Cause::State);
        }
        let counts = comparison.differences.iter().filter(|it| it.excused.is_none());
        let mut declared =
            counts.map(|it| self.declared.iter().any(|pattern| pattern.covers(&it.pointer)));
        let only_declared = !comparison.truncated && declared.all(|is_declared| is_declared);
        (comparison, only_declared)
    }

    /// Places that are found to differ by themselves, once each; looked for now and then.
    fn newly_noisy(&mut self) -> Vec<String> {
        if !self.learnt.is_multiple_of(LOOK_FOR_NOISE) {
            return Vec::new();
        }
        let excused = self.noise.report().into_iter().filter(|place| place.excused);
        let new = excused.map(|place| place.pointer).filter(|place| !self.told.contains(place));
        let mut new: Vec<String> = new.collect();
        new.truncate(MAX_PLACES.saturating_sub(self.told.len()));
        self.told.extend(new.iter().cloned());
        new
    }

    fn divergence(
        &self,
        subject: Subject,
        cause: Cause,
        comparison: Comparison,
        traces: [TraceContext; 3],
    ) -> Divergence {
        let traces = traces.into_iter().filter(|trace| !trace.is_none());
        Divergence {
            at_ms: clock::wall_ms(),
            flag: self.flag.clone(),
            route: self.routes.get(subject.route).cloned().unwrap_or_default(),
            entity: subject.entity,
            path: subject.path,
            cause,
            contended: subject.contended,
            differences: comparison.differences,
            truncated: comparison.truncated,
            trace_ids: traces.map(|trace| trace.trace_hex().as_str().to_owned()).collect(),
            timeline: None,
        }
    }
}

/// The places that a flag's declared edits write.
fn declared(flag: &FlagConfig) -> Vec<PointerPattern> {
    let edits = flag.routes.iter().filter_map(|route| route.atomic.as_ref());
    let pointers = edits.flat_map(|edit| &edit.edits).map(|edit| edit.pointer.pattern());
    pointers.filter_map(|pattern| pattern.parse().ok()).collect()
}

/// Compares; `None` where that panicked. A fault in there must not end the comparing: those who serve would not notice, and nobody
/// else.
fn guarded<T>(telemetry: &Telemetry, compare: impl FnOnce() -> T) -> Option<T> {
    let compared = catch_unwind(AssertUnwindSafe(compare));
    let panicked = |panic: Box<dyn Any + Send>| {
        let said = panic.downcast_ref::<&str>().copied().unwrap_or("a panic");
        ComparerPanicked { said }.emit(telemetry);
    };
    compared.map_err(panicked).ok()
}

/// There is no answer to compare.
fn failed(cause: Cause) -> Comparison {
    Comparison {
        verdict: Verdict::Mismatched,
        cause: Some(cause),
        differences: Vec::new(),
        truncated: false,
    }
}

/// What may be another update's doing is told as that. That there was no answer is none's.
fn explained(cause: Cause, contended: bool) -> Cause {
    match cause {
        Cause::Timeout | Cause::Error => cause,
        _ if contended => Cause::ConcurrentWrite,
        _ => cause,
    }
}
