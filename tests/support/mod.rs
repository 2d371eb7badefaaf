//! The harness of the process-level tests: a real `interlock` process, a client that sends exact bytes, and an upstream
//! that does as it is told. Plain blocking threads and sockets: nothing here shares code with what is being tested.
//!
//! Nothing waits for ever: whatever is waited for has [`DEADLINE`], which is generous, as tests run in parallel on slow
//! machines. A test that passes never waits that long.

mod client;
mod config;
mod headers;
mod journey;
mod metrics;
mod ports;
mod process;
mod reader;
mod redis;
mod sidecar;
mod temp;
mod upstream;
mod wait;

pub(crate) use client::{Raw, Response, get, put};
pub(crate) use config::{
    JOURNEYS, SEGMENT, STATUS, segment_of, serialized, serialized_with, status_of, to_fixed_app,
    to_fixed_app_at,
};
pub(crate) use headers::Headers;
pub(crate) use journey::{
    Findings, JourneyService, Part, SEGMENTS, Sent, findings, key_of, logged, store_journey, update,
};
pub(crate) use ports::ReservedPort;
pub(crate) use process::Process;
pub(crate) use reader::{Framing, ReadError};
pub(crate) use redis::Redis;
pub(crate) use sidecar::{Run, Sidecar, interlock, raise_own_open_files_limit};
pub(crate) use temp::TempDir;
pub(crate) use upstream::{Exchange, Next, Recorded, Upstream};
pub(crate) use wait::{
    DEADLINE, GLANCE, Gate, eventually, in_parallel, stays, stopped, take_time, until,
};
