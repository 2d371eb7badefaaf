//! The queue's bounds, and what judging tells.

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::config::{
    FixedConfig, FlagConfig, IdempotencyConfig, LeaseConfig, ShadowConfig, ShadowMode,
};
use crate::domain::compare::Rules;
use crate::domain::flag::OnStoreLoss;
use crate::domain::percent::Percent;
use crate::shadow::Records;
use crate::telemetry::{Telemetry, Topology};

const FLAG: &str = "journeys";

fn flag() -> FlagConfig {
    let shadow = ShadowConfig {
        mode: ShadowMode::DryRun,
        sample: Percent::FULL,
        noise: Percent::ZERO,
        url: None,
        timeout: Duration::from_secs(1),
        max_inflight: 1,
        queue: 1,
        rules: Rules::default(),
    };
    FlagConfig {
        name: FLAG.to_owned(),
        entity: "journey:{id}".parse().unwrap(),
        percent: Percent::ZERO,
        on_store_loss: OnStoreLoss::default(),
        store_patience: Duration::ZERO,
        lease: LeaseConfig { wait: Duration::ZERO, max_waiters: 0 },
        idempotency: IdempotencyConfig { keep: Duration::ZERO, max_body: 0 },
        fixed: FixedConfig::Serialize,
        max_document: 0,
        routes: Vec::new(),
        verify: None,
        shadow: Some(shadow),
        reveal: Vec::new(),
    }
}

fn subject() -> Subject {
    Subject {
        flag: FlagIndex(0),
        route: 0,
        entity: "journey:1".to_owned(),
        path: Path::Legacy,
        noise: false,
        contended: false,
        trace: TraceContext::NONE,
        shadow: TraceContext::NONE,
    }
}

fn answer(status: u16, body: &'static str) -> Captured {
    let status = StatusCode::from_u16(status).unwrap();
    let mut captured = Captured::with_status(status);
    captured.push(body.as_bytes());
    captured
}

fn answers(control: Captured, candidate: Captured) -> Finding {
    Finding::Answers { control, candidate }
}

fn telemetry() -> Telemetry {
    Telemetry::new(&Topology { flags: vec![FLAG.to_owned()], routes: Vec::new() })
}

/// What a scrape shows of these cases, once each was judged: the series that are not at zero.
fn judged(cases: impl IntoIterator<Item = (Subject, Finding)>) -> Vec<String> {
    let telemetry = telemetry();
    let mut comparer = Comparer::new(&[flag()], Records::of_a_test(), telemetry.clone());
    for (subject, finding) in cases {
        comparer.judge(Case { subject, finding });
    }
    moved(&telemetry)
}

/// The series of comparisons and shadows that are not at zero, without their common prefix.
fn moved(telemetry: &Telemetry) -> Vec<String> {
    let page = telemetry.render();
    let told = ["comparisons_total{", "mismatches_total{", "shadow_skipped_total{"];
    let lines = page.lines().filter(|line| told.iter().any(|name| line.contains(name)));
    let moved = lines.filter(|line| !line.ends_with(" 0"));
    moved.map(|line| line.replace("interlock_", "").replace("flag=\"journeys\",", "")).collect()
}

#[test]
fn answers_that_mean_the_same_match() {
    let same = (subject(), answers(answer(200, "{}"), answer(200, "{}")));

    assert_eq!(judged([same]), [r#"comparisons_total{verdict="matched"} 1"#]);
}

#[test]
fn a_mismatch_tells_its_cause() {
    let cause = |finding| judged([(subject(), finding)]).pop().unwrap();

    let status = answers(answer(200, "{}"), answer(404, "{}"));
    assert_eq!(cause(status), r#"mismatches_total{cause="status"} 1"#);
    let body = answers(answer(200, "1"), answer(200, "2"));
    assert_eq!(cause(body), r#"mismatches_total{cause="body"} 1"#);
    assert_eq!(cause(Finding::Failed(Cause::Timeout)), r#"mismatches_total{cause="timeout"} 1"#);
}

#[test]
fn a_difference_in_a_contended_window_may_be_the_other_updates_and_no_answer_is_nobodys() {
    let contended = || Subject { contended: true, ..subject() };
    let differs = answers(answer(200, "1"), answer(200, "2"));

    let told = judged([(contended(), differs), (contended(), Finding::Failed(Cause::Error))]);

    assert_eq!(
        told,
        [
            r#"comparisons_total{verdict="mismatched"} 2"#,
            r#"contended_comparisons_total{verdict="mismatched"} 2"#,
            r#"mismatches_total{cause="concurrent_write"} 1"#,
            r#"mismatches_total{cause="error"} 1"#,
        ]
    );
}

#[test]
fn legacy_beside_itself_is_counted_apart() {
    let same_app = || Subject { noise: true, ..subject() };
    let cases = [
        (same_app(), answers(answer(200, "1"), answer(200, "2"))),
        (same_app(), answers(answer(200, "1"), answer(200, "1"))),
        (same_app(), Finding::Failed(Cause::Timeout)),
    ];

    assert_eq!(
        judged(cases),
        [
            r#"noise_comparisons_total{verdict="matched"} 1"#,
            r#"noise_comparisons_total{verdict="mismatched"} 2"#,
        ]
    );
}

#[test]
fn no_more_cases_wait_than_may() {
    let (judge, _cases) = Judge::new(1);
    let submit =
        || judge.submit(Case { subject: subject(), finding: Finding::Failed(Cause::Error) });

    for _ in 0..MOST_CASES {
        assert_eq!(submit(), Ok(()));
    }

    assert_eq!(submit(), Err(Busy));
}

#[test]
fn no_more_bytes_wait_than_may_unless_one_case_is_larger_by_itself() {
    let (judge, cases) = Judge::new(1);
    let submit = |length: usize| {
        let mut large = answer(200, "");
        large.push(&vec![0; length]);
        judge.submit(Case { subject: subject(), finding: answers(answer(200, ""), large) })
    };

    assert_eq!(submit(MOST_BYTES + 1), Ok(()));
    assert_eq!(submit(1), Err(Busy));
    drop(cases.next());

    assert_eq!(submit(MOST_BYTES), Ok(()));
    assert_eq!(submit(1), Err(Busy));
}

#[test]
fn what_waits_at_the_end_is_skipped_and_the_thread_ends() {
    let telemetry = telemetry();
    let (judge, cases) = Judge::new(1);
    let comparer = Comparer::new(&[flag()], Records::of_a_test(), telemetry.clone());
    for _ in 0..2 {
        let case = Case { subject: subject(), finding: Finding::Failed(Cause::Error) };
        assert_eq!(judge.submit(case), Ok(()));
    }

    judge.close();
    comparer.run(&cases);

    assert_eq!(moved(&telemetry), [r#"shadow_skipped_total{reason="draining"} 2"#]);
    drop(cases);
    let case = Case { subject: subject(), finding: Finding::Failed(Cause::Error) };
    assert_eq!(judge.submit(case), Err(Busy));
}
