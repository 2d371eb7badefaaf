//! The sidecar's specification at the level of processes and sockets: each test is a behaviour that users may rely on.
//!
//! Every test runs a real `interlock` with an upstream of its own; see `tests/support/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test, and show why"
)]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod admin_audit;
mod admin_input;
mod admin_secrets;
mod admin_security;
mod admin_tls;
mod amnesia;
mod atomic;
mod atomic_chaos;
mod atomic_hot;
mod atomic_leases;
mod atomic_outcomes;
mod atomic_refusals;
mod chaos;
mod chaos_callers;
mod collectors;
mod collide;
mod command_line;
mod config;
mod connections;
mod demo;
mod detector;
mod detector_faults;
mod detector_fleet;
mod detector_honest;
mod detector_reads;
mod divergences;
mod drain;
mod early_answers;
mod failures;
mod faults;
mod flag_command;
mod flag_flips;
mod flags;
mod fleet;
mod flips;
mod flips_fleet;
mod flips_load;
mod framing;
mod framing_body;
mod framing_start;
mod headers;
mod health;
mod idempotency;
mod idempotency_bodies;
mod idempotency_fleet;
mod interim;
mod journey;
mod limits;
mod observability;
mod plan;
mod prometheus;
mod readme;
mod regressions;
mod rights;
mod routing;
mod serialize;
mod serialize_bounds;
mod shadow;
mod shadow_faults;
mod shadow_seen;
mod store_loss;
mod store_return;
mod streaming;
mod traces;
mod traces_failed;
mod traces_within;
mod upgrade;
