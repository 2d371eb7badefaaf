//! What the script proved, in one sentence that is true to its numbers.

use super::fleet::Leases;
use super::oracle::ServedBy;
use super::report::{StepReport, Tally};
use crate::domain::percent::Percent;

/// The end of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether updates were lost without the fixed path and none with it, and none failed at 100 %.
    pub proved: bool,
    /// Why, or why not.
    pub sentence: String,
}

/// Judges a whole script, run against `replicas` sidecars.
pub fn verdict(steps: &[StepReport], replicas: u16, leases: Leases) -> Verdict {
    let at = |percent: Percent| {
        let mut load = super::report::LoadReport::default();
        steps.iter().filter(|step| step.percent == percent).for_each(|step| load.add(&step.load));
        load
    };
    let (zero, full_load) = (at(Percent::ZERO).total(), at(Percent::FULL));
    let full = full_load.total();
    let fixed_lost: u64 = steps.iter().map(|step| step.load.path(ServedBy::Fixed).lost).sum();

    // Leases of their own don't keep several sidecars from writing one journey at once.
    let unprotected = replicas > 1 && leases == Leases::OfEach;
    let disproved = |sentence| Verdict { proved: false, sentence };
    if full.lost > 0 || fixed_lost > 0 {
        return disproved(not_protected(&full, fixed_lost, unprotected.then_some(replicas)));
    }
    if full.failed > 0 {
        return disproved(format!(
            "Not proved: nothing was lost at 100 %, but {} of {} updates failed there.",
            full.failed, full.updates
        ));
    }
    let by_fixed = full_load.path(ServedBy::Fixed).updates;
    if by_fixed != full.updates || full.updates == 0 {
        return disproved(format!(
            "Nothing proved: at 100 % only {by_fixed} of {} updates were served by the fixed path.",
            full.updates
        ));
    }
    if zero.lost == 0 {
        return disproved(format!(
            "Nothing proved: no update was lost at 100 %, but none at 0 % either: the race didn't show among {} \
             updates; run it again.",
            zero.updates
        ));
    }
    if unprotected {
        return disproved(format!(
            "Nothing proved: no update was lost at 100 %, but with {replicas} sidecars that was luck: each keeps its \
             leases in itself, so two of them can still write one journey at once: add --redis URL, and all share them."
        ));
    }
    let mut sentence = proved(steps, &zero, &full);
    if leases == Leases::Shared && replicas > 1 {
        sentence.push_str(&format!(" The {replicas} sidecars shared their leases."));
    }
    Verdict { proved: true, sentence }
}

/// Why updates were lost, of `alone` sidecars where each had leases of its own.
fn not_protected(full: &Tally, fixed_lost: u64, alone: Option<u16>) -> String {
    if let Some(replicas) = alone {
        return format!(
            "At 100 % {} of {} acknowledged updates were lost, because protection is local here: each of the \
             {replicas} sidecars keeps its leases in itself, so two of them still write one journey at once; leases \
             in one process are right for one replica only: add --redis URL, and all share them.",
            full.lost, full.acknowledged
        );
    }
    format!(
        "Disproved: {} of {} acknowledged updates were lost at 100 %, and {fixed_lost} on the fixed path in all.",
        full.lost, full.acknowledged
    )
}

fn proved(steps: &[StepReport], zero: &Tally, full: &Tally) -> String {
    let failed: u64 = steps.iter().map(|step| step.load.total().failed).sum();
    let failures = match failed {
        0 => String::new(),
        failed => format!(" ({failed} failed below 100 %)"),
    };
    format!(
        "Proved: the same unmodified service lost {} of {} acknowledged updates at 0 %; at 100 % all {} were \
         acknowledged and none was lost, nor was any on the fixed path at a percentage in between{failures}.",
        zero.lost, zero.acknowledged, full.acknowledged
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::oracle::Fate;
    use crate::demo::report::LoadReport;
    use crate::demo::report::tests::sent;

    /// A step at `percent` with these numbers of (path, kept, lost, failed).
    fn step(percent: &str, loads: &[(ServedBy, u64, u64, u64)]) -> StepReport {
        let mut load = LoadReport::default();
        for (path, kept, lost, failed) in loads {
            for (fate, count) in [(Fate::Kept, kept), (Fate::Lost, lost), (Fate::Failed, failed)] {
                (0..*count).for_each(|_| load.count(&sent(*path, 1), fate));
            }
        }
        StepReport { percent: percent.parse().unwrap(), load }
    }

    fn check(steps: &[StepReport], replicas: u16, proved: bool, parts: &[&str]) {
        check_of(verdict(steps, replicas, Leases::OfEach), proved, parts);
    }

    fn check_of(verdict: Verdict, proved: bool, parts: &[&str]) {
        assert_eq!(verdict.proved, proved, "{}", verdict.sentence);
        for part in parts {
            assert!(verdict.sentence.contains(part), "{part:?} in {:?}", verdict.sentence);
        }
    }

    use ServedBy::{Fixed, Legacy};

    #[test]
    fn proved_when_lost_without_and_kept_with() {
        let steps = [
            step("0", &[(Legacy, 1, 9, 0)]),
            step("50", &[(Legacy, 1, 4, 0), (Fixed, 5, 0, 0)]),
            step("100", &[(Fixed, 10, 0, 0)]),
            step("0", &[(Legacy, 2, 8, 0)]),
        ];

        check(&steps, 1, true, &["lost 17 of 20", "all 10 were acknowledged and none was lost"]);
    }

    #[test]
    fn failures_elsewhere_are_told() {
        let steps = [step("0", &[(Legacy, 1, 9, 3)]), step("100", &[(Fixed, 10, 0, 0)])];

        check(&steps, 1, true, &["(3 failed below 100 %)"]);
    }

    #[test]
    fn a_loss_or_a_failure_at_100_disproves() {
        let zero = || step("0", &[(Legacy, 1, 9, 0)]);

        check(&[zero(), step("100", &[(Fixed, 9, 1, 0)])], 1, false, &["1 of 10", "Disproved"]);
        check(&[zero(), step("100", &[(Fixed, 9, 0, 1)])], 1, false, &["1 of 10 updates failed"]);
    }

    #[test]
    fn a_loss_on_the_fixed_path_disproves_at_any_percentage() {
        let steps = [
            step("0", &[(Legacy, 1, 9, 0)]),
            step("10", &[(Fixed, 9, 1, 0)]),
            step("100", &[(Fixed, 10, 0, 0)]),
        ];

        check(&steps, 1, false, &["1 on the fixed path"]);
    }

    #[test]
    fn a_race_that_did_not_show_proves_nothing() {
        let steps = [step("0", &[(Legacy, 10, 0, 0)]), step("100", &[(Fixed, 10, 0, 0)])];

        check(&steps, 1, false, &["the race didn't show"]);
    }

    #[test]
    fn what_the_fixed_path_did_not_serve_proves_nothing_about_it() {
        let zero = || step("0", &[(Legacy, 1, 9, 0)]);

        check(&[zero(), step("100", &[(Legacy, 10, 0, 0)])], 1, false, &["only 0 of 10"]);
        check(&[zero()], 1, false, &["only 0 of 0"]);
    }

    #[test]
    fn several_replicas_lose_and_the_sentence_says_why() {
        let zero = || step("0", &[(Legacy, 1, 9, 0)]);

        let lost = step("100", &[(Fixed, 6, 4, 0)]);
        check(
            &[zero(), lost],
            2,
            false,
            &["4 of 10", "2 sidecars", "one replica only", "add --redis"],
        );
        let lucky = step("100", &[(Fixed, 10, 0, 0)]);
        check(&[zero(), lucky], 2, false, &["luck"]);
    }
    #[test]
    fn several_replicas_that_share_their_leases_prove_it() {
        let zero = || step("0", &[(Legacy, 1, 9, 0)]);
        let judge = |full| verdict(&[zero(), full], 3, Leases::Shared);

        let kept = judge(step("100", &[(Fixed, 10, 0, 0)]));
        check_of(kept, true, &["lost 9 of 10", "The 3 sidecars shared their leases."]);
        let lost = judge(step("100", &[(Fixed, 9, 1, 0)]));
        check_of(lost, false, &["Disproved: 1 of 10"]);
        let went_around = judge(step("100", &[(Fixed, 9, 0, 0), (Legacy, 1, 0, 0)]));
        check_of(went_around, false, &["only 9 of 10"]);
    }
}
