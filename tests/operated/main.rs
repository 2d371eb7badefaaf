//! What operators load: dashboards, alerting rules and their runbooks.
//!
//! Some tests read the files and hold them against the metric catalogue and each other. The others run real servers:
//! a Prometheus that scrapes a fleet with faults in it, and an Alertmanager that tells of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test, and show why"
)]

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the harness of the behaviour tests, of which this needs a part"
)]
mod support;

mod alerting;
mod alerts;
mod catalogue;
mod dashboards;
mod files;
mod inhibited;
#[path = "../support/markdown.rs"]
mod markdown;
mod panels;
mod promql;
mod promtool;
mod queried;
mod stack;
