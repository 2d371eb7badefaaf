//! Whatever happens, the page shows what a simple count says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;

use super::{FLAGS, ROUTES, families, telemetry, value_in};
use crate::domain::decision::{Decision, Reason};
use crate::domain::flag::{Path, Protection};
use crate::domain::transition::Stage;
use crate::telemetry::events::*;
use crate::telemetry::exposition::Families;
use crate::telemetry::labels::*;
use crate::telemetry::logging::{LogFormat, capture};
use crate::telemetry::names::CATALOGUE;
use crate::telemetry::{FlagIndex, RouteIndex, Telemetry};

/// An event that moves a counter, with the series that it moves.
#[derive(Clone, Copy, Debug)]
enum Step {
    Answered(Option<u16>, Path, Option<u16>),
    Refused(ClientError),
    Failed(Path, UpstreamError),
    Decided(u16, Path, Reason),
    Finished(u16, Path, Protection, Outcome),
    Exposed(u16, Exposure),
    Lease(u16, LeaseRefusal),
    Gone(u16),
}

impl Step {
    fn emit(self, telemetry: &Telemetry) {
        let elapsed = Duration::from_millis(3);
        match self {
            Self::Answered(route, path, code) => {
                let code = code.map(|code| StatusCode::from_u16(code).unwrap());
                let route = route.map(RouteIndex);
                RequestAnswered { route, path, code, elapsed, overhead: Some(elapsed) }
                    .emit(telemetry);
            }
            Self::Refused(reason) => ClientRefused { reason }.emit(telemetry),
            Self::Failed(upstream, error) => {
                UpstreamFailed { upstream, error, details: format_args!("") }.emit(telemetry)
            }
            Self::Decided(flag, path, reason) => {
                Decided {
                    flag: FlagIndex(flag),
                    decision: Decision { path, stage: Stage::at_rest(path), reason },
                }
                .emit(telemetry);
            }
            Self::Finished(flag, path, protection, outcome) => {
                UpdateFinished { flag: FlagIndex(flag), path, protection, outcome }.emit(telemetry);
            }
            Self::Exposed(flag, reason) => {
                UpdateExposed { flag: FlagIndex(flag), reason }.emit(telemetry)
            }
            Self::Lease(flag, reason) => {
                LeaseRefused { flag: FlagIndex(flag), reason }.emit(telemetry)
            }
            Self::Gone(flag) => ClientGone { flag: FlagIndex(flag) }.emit(telemetry),
        }
    }

    /// The family and the label values, in the order of the catalogue.
    fn series(self) -> (&'static str, Vec<String>) {
        let name = |flag: u16| FLAGS[usize::from(flag)];
        let (family, labels) = match self {
            Self::Answered(route, path, code) => {
                let class = code.map_or("none".to_owned(), |code| format!("{}xx", code / 100));
                let (route, flag) = route.map_or(("unmatched", ""), |route| {
                    let (route, flag) = ROUTES[usize::from(route)];
                    (route, FLAGS[flag])
                });
                let path = if flag.is_empty() { "legacy" } else { path.as_str() };
                let labels = [route, flag, path, &class].map(str::to_owned);
                return ("interlock_requests_total", labels.to_vec());
            }
            Self::Refused(reason) => ("interlock_client_errors_total", vec![reason.word()]),
            Self::Failed(path, error) => {
                ("interlock_upstream_errors_total", vec![path.as_str(), error.word()])
            }
            Self::Decided(flag, path, reason) => {
                ("interlock_decisions_total", vec![name(flag), path.as_str(), reason.as_str()])
            }
            Self::Finished(flag, path, protection, outcome) => (
                "interlock_updates_total",
                vec![name(flag), path.as_str(), protection.as_str(), outcome.word()],
            ),
            Self::Exposed(flag, reason) => {
                ("interlock_exposed_updates_total", vec![name(flag), reason.word()])
            }
            Self::Lease(flag, reason) => {
                ("interlock_lease_refused_total", vec![name(flag), reason.word()])
            }
            Self::Gone(flag) => ("interlock_client_gone_total", vec![name(flag)]),
        };
        (family, labels.into_iter().map(str::to_owned).collect())
    }
}

fn one_of<L: LabelValue + std::fmt::Debug>() -> impl Strategy<Value = L> {
    proptest::sample::select(L::VALUES)
}

fn step() -> impl Strategy<Value = Step> {
    let flag = 0..FLAGS.len() as u16;
    let route = proptest::option::of(0..ROUTES.len() as u16);
    let code = proptest::option::of(100u16..600);
    prop_oneof![
        (route, one_of(), code).prop_map(|(r, p, c)| Step::Answered(r, p, c)),
        one_of().prop_map(Step::Refused),
        (one_of(), one_of()).prop_map(|(p, e)| Step::Failed(p, e)),
        (flag.clone(), one_of(), one_of()).prop_map(|(f, p, r)| Step::Decided(f, p, r)),
        (flag.clone(), one_of(), one_of(), one_of())
            .prop_map(|(f, p, g, o)| Step::Finished(f, p, g, o)),
        (flag.clone(), one_of()).prop_map(|(f, e)| Step::Exposed(f, e)),
        (flag.clone(), one_of()).prop_map(|(f, r)| Step::Lease(f, r)),
        flag.prop_map(Step::Gone),
    ]
}

fn every_step() -> [Step; 8] {
    [
        Step::Answered(Some(0), Path::Fixed, Some(204)),
        Step::Refused(ClientError::BadHost),
        Step::Failed(Path::Fixed, UpstreamError::Timeout),
        Step::Decided(0, Path::Fixed, Reason::Split),
        Step::Finished(0, Path::Fixed, Protection::Local, Outcome::Applied),
        Step::Exposed(0, Exposure::LeaseLost),
        Step::Lease(0, LeaseRefusal::QueueFull),
        Step::Gone(0),
    ]
}

/// The counters that the steps move, read from a page: those that are not zero.
fn counted(families: &Families) -> BTreeMap<(&'static str, Vec<String>), u64> {
    let moved: BTreeSet<&str> = every_step().iter().map(|step| step.series().0).collect();
    let mut counts = BTreeMap::new();
    for metric in CATALOGUE.iter().filter(|metric| moved.contains(metric.name)) {
        for ((_, labels), value) in &families[metric.name].samples {
            let values = metric.labels.iter().map(|label| labels[label.name].clone()).collect();
            if *value > 0.0 {
                counts.insert((metric.name, values), *value as u64);
            }
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_happens_the_page_shows_what_a_simple_count_says(
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let telemetry = telemetry();
        let mut model: BTreeMap<_, u64> = BTreeMap::new();

        for step in &steps {
            step.emit(&telemetry);
            *model.entry(step.series()).or_default() += 1;
        }

        let page = families(&telemetry);
        prop_assert_eq!(counted(&page), model);
        let answered = steps.iter().filter(|step| matches!(step, Step::Answered(..))).count();
        prop_assert_eq!(value_in(&page, "interlock_overhead_seconds_count", &[]), answered as f64);
        prop_assert_eq!(value_in(&page, "interlock_unattributed_events_total", &[]), 0.0);
    }
}

#[test]
fn requests_write_no_line_at_info() {
    let lines = capture::lines("info", LogFormat::Json, || {
        let telemetry = telemetry();
        for step in every_step() {
            step.emit(&telemetry);
        }
    });

    let of_requests = lines.iter().filter(|line| line.contains("request_answered")).count();
    assert_eq!(of_requests, 0);
}
