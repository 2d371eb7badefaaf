//! Asking a candidate: a client of HTTP/1.1 that does only what a shadow needs.
//!
//! A shadow's call is known whole before it is sent, and of its answer little is looked at. So the message is written once, as
//! bytes, while the control's is made ([`call`]), and the answer is read as far as it is compared, into memory that is bounded
//! ([`answer`], [`chunks`]), without a header map for either. [`pool`] has the connections. What a general client would
//! do more costs as much as the rest of a shadow.
//!
//! It is strict: what is not plainly an answer is none, and its connection is closed.

mod answer;
mod call;
mod chunks;
mod pool;

use std::io;

pub(crate) use call::Call;
pub(crate) use pool::{CandidatePool, Terms};

use super::error::ConnectError;
use super::tap::CaptureError;
use crate::telemetry::labels::UpstreamError;

/// Why a candidate gave no answer that can be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CandidateError {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("it closed the connection")]
    Closed,
    #[error("its answer is not HTTP/1.1")]
    Malformed,
    #[error("it sent more than {limit} bytes ahead of its answer")]
    EndlessHead { limit: usize },
    #[error("it changes the protocol")]
    Switches,
    #[error("{0}")]
    Capture(#[from] CaptureError),
}

impl CandidateError {
    /// What it is in the log's words.
    fn label(&self) -> UpstreamError {
        match self {
            Self::Connect(_) => UpstreamError::Connect,
            Self::Broken(_) | Self::Closed => UpstreamError::Reset,
            Self::Malformed | Self::EndlessHead { .. } | Self::Switches | Self::Capture(_) => {
                UpstreamError::Protocol
            }
        }
    }
}
