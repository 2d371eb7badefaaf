//! The overlays without a cluster: what kustomize makes of them is read, and the same processes are started with the same
//! arguments, configuration and probes, in the order in which a kubelet starts and ends them.
//!
//! Only where things are is another matter here: ports, directories and the Redis' name.

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

mod demo;
mod manifests;
mod pod;
mod production;
