//! The table of the standard `OTEL_*` variables that are heeded, for the reference page.

pub(super) const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
pub(super) const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
pub(super) const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
pub(super) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(super) const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
pub(super) const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
pub(super) const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
pub(super) const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
pub(super) const TRACES_TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
pub(super) const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
pub(super) const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
pub(super) const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
pub(super) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
pub(super) const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Each with what it says. Of two that say the same the first wins.
pub(super) const VARIABLES: [(&str, &str); 14] = [
    (SDK_DISABLED, "`true` turns traces off, whatever else is set."),
    (EXPORTER, "`none` turns traces off too; `otlp` is the only other one."),
    (
        TRACES_ENDPOINT,
        "The collector, in place of `telemetry.otlp_endpoint`; of OTLP over HTTP the whole URL.",
    ),
    (ENDPOINT, "The collector; of OTLP over HTTP the URL below which `/v1/traces` stands."),
    (TRACES_PROTOCOL, "`grpc` or `http/protobuf`, in place of `telemetry.otlp_protocol`."),
    (PROTOCOL, "The same."),
    (
        TRACES_HEADERS,
        "Sent along with every export: `key=value,key=value`, the values percent-encoded. Never shown.",
    ),
    (HEADERS, "The same."),
    (
        TRACES_TIMEOUT,
        "The longest that an export may take, in milliseconds, 1 to 3600000; 10000 where none is set.",
    ),
    (TIMEOUT, "The same."),
    (
        SAMPLER,
        "`parentbased_always_on`, `parentbased_always_off` or `parentbased_traceidratio`, in place of \
         `telemetry.trace_ratio`. What a caller has decided is heeded without `parentbased_` as well.",
    ),
    (SAMPLER_ARG, "The ratio for `parentbased_traceidratio`, 0 to 1; 1 where none is set."),
    (SERVICE_NAME, "The resource's `service.name`; `interlock` where none is set."),
    (
        RESOURCE_ATTRIBUTES,
        "More of the resource, beside or in place of `service.name`, `service.version` and `service.instance.id` (the \
         host's name): `key=value,key=value`, the values percent-encoded.",
    ),
];
