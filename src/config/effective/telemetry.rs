//! Telemetry as it is in effect; what no key of ours says of traces stands apart.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Time;
use crate::config::mask::MASK;
use crate::config::{DivergenceConfig, LogFormat, OtlpProtocol, TelemetryConfig, TracesConfig};

impl LogFormat {
    /// The word for it in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

impl OtlpProtocol {
    /// The word for it in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }
}

#[derive(Serialize)]
pub(super) struct Telemetry<'c> {
    log: &'c str,
    log_format: &'static str,
    #[serde(flatten)]
    traces: Option<Traces<'c>>,
}

#[derive(Serialize)]
struct Traces<'c> {
    otlp_endpoint: &'c str,
    otlp_protocol: &'static str,
    trace_ratio: f64,
}

#[derive(Serialize)]
pub(super) struct Divergence {
    keep: usize,
    max_age: Time,
}

/// What the `OTEL_*` variables alone say of traces.
#[derive(Serialize)]
pub(super) struct Otel<'c> {
    timeout: Time,
    headers: BTreeMap<&'c str, &'static str>,
    resource: BTreeMap<&'c str, &'c str>,
}

impl<'c> From<&'c TelemetryConfig> for Telemetry<'c> {
    fn from(telemetry: &'c TelemetryConfig) -> Self {
        let traces = telemetry.traces.as_ref().map(|traces| Traces {
            otlp_endpoint: &traces.endpoint,
            otlp_protocol: traces.protocol.as_str(),
            trace_ratio: traces.ratio,
        });
        Self { log: &telemetry.log, log_format: telemetry.log_format.as_str(), traces }
    }
}

impl From<&DivergenceConfig> for Divergence {
    fn from(divergence: &DivergenceConfig) -> Self {
        Self { keep: divergence.keep, max_age: Time(divergence.max_age) }
    }
}

impl<'c> From<&'c TracesConfig> for Otel<'c> {
    fn from(traces: &'c TracesConfig) -> Self {
        let pair = |(name, value): &'c (String, String)| (name.as_str(), value.as_str());
        Self {
            timeout: Time(traces.timeout),
            headers: traces.headers.iter().map(|(name, _)| (name.as_str(), MASK)).collect(),
            resource: traces.resource.iter().map(pair).collect(),
        }
    }
}
