//! The harness of the process-level tests: a real `interlock` process, a client that sends exact bytes, and an upstream
//! that does as it is told. Plain blocking threads and sockets: nothing here shares code with what is being tested.
//!
//! Nothing waits for ever: whatever is waited for has [`DEADLINE`], which is generous, as tests run in parallel on slow
//! machines. A test that passes never waits that long.

mod certificates;
mod client;
mod cluster;
mod collector;
mod config;
mod fleet;
mod headers;
mod honest;
mod journey;
mod load;
mod metrics;
mod oracle;
mod outage;
mod ports;
mod process;
mod prometheus;
mod reader;
mod redis;
mod resp;
mod sentinels;
mod sidecar;
mod spans;
mod stall_proxy;
mod temp;
mod trial;
mod updates;
mod upstream;
mod wait;

pub(crate) use certificates::{Authority, Issued, Trusting};
pub(crate) use client::{Raw, Response, get, put};
pub(crate) use cluster::Cluster;
pub(crate) use collector::{Collector, Otlp};
pub(crate) use config::{
    JOURNEYS, JourneyFlag, SEGMENT, STATUS, segment_of, serialized, serialized_with, set_to,
    status_of, store_at, to_fixed_app, to_fixed_app_at,
};
pub(crate) use fleet::{Fleet, FleetPlan};
pub(crate) use headers::Headers;
pub(crate) use honest::{Attempt, Figures, LONE_EVERY, Manner, Stage, StagePlan};
pub(crate) use journey::{JourneyService, Part, SEGMENTS, key_of, store_journey};
pub(crate) use load::Load;
pub(crate) use metrics::Metrics;
pub(crate) use oracle::{Findings, findings, logged};
pub(crate) use outage::{Loss, Outage};
pub(crate) use ports::ReservedPort;
pub(crate) use process::Process;
pub(crate) use prometheus::Prometheus;
pub(crate) use reader::{Framing, ReadError};
pub(crate) use redis::{Flavor, Redis};
pub(crate) use resp::Reply;
pub(crate) use sentinels::Sentinels;
pub(crate) use sidecar::{AdminPlane, Run, Sidecar, interlock, raise_own_open_files_limit};
pub(crate) use spans::{Span, only};
pub(crate) use stall_proxy::{Fate, StallProxy};
pub(crate) use temp::TempDir;
pub(crate) use trial::Trial;
pub(crate) use updates::{Caller, Knowledge, STORE_UNAVAILABLE, Sent, update};
pub(crate) use upstream::{Exchange, Next, Recorded, Upstream};
pub(crate) use wait::{
    DEADLINE, GLANCE, Gate, eventually, eventually_within, in_parallel, stays, stopped, take_time,
    until,
};
