//! What must hold between where traces go, how, and what the environment says of it.

use super::check::{self, Findings};
use super::error::Origin;
use super::otel::{self, Otel};
use super::otel_table::EXPORTER;
use super::tree::Branch;
use super::values;
use super::warning::{Notice, Warning};

/// Where collectors listen for OTLP over gRPC.
const GRPC_PORT: u16 = 4317;
/// Where they listen for OTLP over HTTP.
const HTTP_PORT: u16 = 4318;

/// Checks all of it.
pub(super) fn check(root: &Branch<'_>, otel: &Otel, findings: &mut Findings) {
    let telemetry = root.at("telemetry");
    let endpoint = telemetry.at("otlp_endpoint");
    match (endpoint.value(), otel.off) {
        (Some(_), Some(variable)) => findings.warn(&endpoint, Notice::TracesOff { variable }),
        (Some(_), None) => protocol(&telemetry, findings),
        (None, Some(_)) => {}
        (None, None) => without_endpoint(&telemetry, otel, findings),
    }
}

fn without_endpoint(telemetry: &Branch<'_>, otel: &Otel, findings: &mut Findings) {
    for key in super::keys::keys_in("telemetry") {
        let (_, name) = key.split();
        let at = telemetry.at(name);
        let about_traces = matches!(name, "otlp_protocol" | "trace_ratio");
        if about_traces && at.origin() != Origin::Nowhere && !check::says_default(&at, key) {
            findings.warn(&at, Notice::NoCollector);
        }
    }
    if otel.asked_for {
        let origin = Origin::Layer(otel::origin(EXPORTER));
        findings.warnings.push(Warning { origin, key: String::new(), notice: Notice::NoCollector });
    }
}

/// A collector that is spoken to in the wrong way says nothing that anybody would see.
fn protocol(telemetry: &Branch<'_>, findings: &mut Findings) {
    let endpoint = telemetry.at("otlp_endpoint");
    let Some(url) = telemetry.peek("otlp_endpoint", values::collector) else {
        return;
    };
    match check::text(&telemetry.at("otlp_protocol")) {
        Some("grpc") if !matches!(url.path.as_str(), "" | "/") => {
            findings.warn(&endpoint, Notice::PathOverGrpc);
        }
        Some("grpc") if url.port == HTTP_PORT => {
            findings.warn(&endpoint, Notice::OtherPort { protocol: "grpc" });
        }
        Some("http/protobuf") if url.port == GRPC_PORT => {
            findings.warn(&endpoint, Notice::OtherPort { protocol: "http/protobuf" });
        }
        _ => {}
    }
}
