//! Where traces go: what a file says, and what the standard `OTEL_*` variables say over it.

use std::time::Duration;

use super::*;
use crate::config::{OtlpProtocol, TracesConfig, host_name};

const FILE: &str = "[telemetry]\notlp_endpoint = \"http://127.0.0.1:4317\"\notlp_protocol = \"grpc\"\ntrace_ratio = 0.5";

fn load_with(file: &str, env: &[(&str, &str)]) -> Loaded {
    Files::of(&[MINIMAL, file]).load(env).unwrap_or_else(|problems| panic!("{problems}"))
}

fn traces(file: &str, env: &[(&str, &str)]) -> TracesConfig {
    load_with(file, env).config.telemetry.traces.expect("traces")
}

fn warnings(file: &str, env: &[(&str, &str)]) -> Vec<String> {
    let files = Files::of(&[MINIMAL, file]);
    let loaded = files.load(env).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.warnings.iter().map(|warning| files.named(&warning.to_string())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A resource has these attributes, wherever they stand.
fn check_resource(env: &[(&str, &str)], expected: &[(&str, &str)]) {
    let resource = traces(FILE, env).resource;
    for attribute in pairs(expected) {
        assert!(resource.contains(&attribute), "{attribute:?} in {resource:?}");
    }
}

#[test]
fn without_an_endpoint_nothing_is_traced() {
    assert_eq!(loaded(MINIMAL).config.telemetry.traces, None);
}

#[test]
fn a_file_is_enough() {
    let traces = traces(FILE, &[]);

    assert_eq!(traces.endpoint, "http://127.0.0.1:4317");
    assert_eq!((traces.protocol, traces.ratio), (OtlpProtocol::Grpc, 0.5));
    assert_eq!((traces.timeout, traces.headers), (Duration::from_secs(10), Vec::new()));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        traces.resource,
        pairs(&[
            ("service.instance.id", &host_name()),
            ("service.name", "interlock"),
            ("service.version", version),
        ])
    );
    assert_eq!(warnings(FILE, &[]), Vec::<String>::new());
}

#[test]
fn variables_win_over_files_and_over_our_own_variables() {
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/base/"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%2Cb"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("INTERLOCK__TELEMETRY__OTLP_ENDPOINT", "http://other:1"),
        ("INTERLOCK__TELEMETRY__TRACE_RATIO", "0.75"),
    ];

    let traces = traces(FILE, &env);

    assert_eq!(traces.endpoint, "http://collector:4318/base/v1/traces");
    assert_eq!((traces.protocol, traces.ratio), (OtlpProtocol::HttpProtobuf, 0.25));
    assert_eq!(traces.timeout, Duration::from_millis(2500));
    let [(name, value)] = traces.headers.as_slice() else { panic!("{:?}", traces.headers) };
    assert_eq!((name.as_str(), value.reveal()), ("x-tenant", "a,b"));
    assert_eq!(warnings(FILE, &env), Vec::<String>::new());
}

#[test]
fn what_is_about_traces_alone_wins_over_what_is_about_all_signals() {
    let traces = traces(
        "",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/as/it/is"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=all"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=traces"),
        ],
    );

    assert_eq!(traces.endpoint, "http://traces:4318/as/it/is");
    assert_eq!(traces.protocol, OtlpProtocol::HttpProtobuf);
    assert_eq!(traces.timeout, Duration::from_millis(2));
    let names: Vec<_> = traces.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn an_empty_variable_is_none() {
    let empty = |name| (name, " ");

    let traces = traces(
        FILE,
        &[
            empty("OTEL_SDK_DISABLED"),
            empty("OTEL_TRACES_EXPORTER"),
            empty("OTEL_EXPORTER_OTLP_ENDPOINT"),
            empty("OTEL_EXPORTER_OTLP_PROTOCOL"),
            empty("OTEL_EXPORTER_OTLP_HEADERS"),
            empty("OTEL_EXPORTER_OTLP_TIMEOUT"),
            empty("OTEL_TRACES_SAMPLER"),
            empty("OTEL_TRACES_SAMPLER_ARG"),
            empty("OTEL_SERVICE_NAME"),
            empty("OTEL_RESOURCE_ATTRIBUTES"),
        ],
    );

    assert_eq!(Some(traces), load_with(FILE, &[]).config.telemetry.traces);
}

#[test]
fn every_sampler_is_a_ratio_of_calls_whose_caller_has_not_decided() {
    let check = |sampler: &str, ratio: f64, warned: usize| {
        let env = [("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", "0.25")];
        assert_eq!(traces(FILE, &env).ratio, ratio, "{sampler}");
        let said = warnings(FILE, &env);
        assert_eq!(said.len(), warned, "{sampler}: {said:?}");
    };

    check("parentbased_always_on", 1.0, 0);
    check("parentbased_always_off", 0.0, 0);
    check("Parentbased_TraceIdRatio", 0.25, 0);
    check("always_on", 1.0, 1);
    check("always_off", 0.0, 1);
    check("traceidratio", 0.25, 1);
    check("xray", 0.5, 1);
    assert_eq!(traces(FILE, &[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")]).ratio, 1.0);
}

#[test]
fn what_is_not_understood_is_passed_over_with_a_warning() {
    let check = |name: &str, value: &str, said: &str| {
        let env = [(name, value)];
        assert_eq!(traces(FILE, &env), traces(FILE, &[]), "{name} {value}");
        let found = warnings(FILE, &env);
        let said = format!("environment variable {name}: {said}");
        assert!(found.len() == 1 && found[0].starts_with(&said), "{name} {value}: {found:?}");
    };

    check(
        "OTEL_SDK_DISABLED",
        "1",
        "is \"1\", and must be true or false: it is passed over, as if it was not set",
    );
    check("OTEL_TRACES_EXPORTER", "zipkin", "is \"zipkin\", and must be otlp or none");
    check(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/json",
        "is \"http/json\", and must be grpc or http/protobuf",
    );
    check("OTEL_TRACES_SAMPLER", "jaeger_remote", "is \"jaeger_remote\", and must be tr");
    check("OTEL_TRACES_SAMPLER_ARG", "0.1", "has no effect without OTEL_TRACES_SAMPLER");
    for timeout in ["0", "-1", "10s", "3600001", "99999999999999999999"] {
        check(
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            timeout,
            &format!("is \"{timeout}\", and must be whole milliseconds from 1 to 3600000"),
        );
    }
    for attributes in ["tenant", "=x", "tenant=%ff"] {
        check("OTEL_RESOURCE_ATTRIBUTES", attributes, "");
    }
}

#[test]
fn a_ratio_that_is_none_is_the_samplers_own() {
    for ratio in ["1.5", "-0.1", "nan", "half"] {
        let env = [
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", ratio),
        ];

        assert_eq!(traces(FILE, &env).ratio, 1.0, "{ratio}");
        let said = warnings(FILE, &env);
        assert_eq!(
            said,
            [format!(
                "environment variable OTEL_TRACES_SAMPLER_ARG: is {ratio:?}, and must be a number from 0 to 1: \
                 it is passed over, as if it was not set"
            )]
        );
    }
}

#[test]
fn an_endpoint_or_headers_that_cannot_be_used_are_refused() {
    let check = |name: &str, value: &str, said: &str| {
        let found = problems_of(&[MINIMAL, FILE], &[(name, value)]);
        let said = format!("environment variable {name}: {said}");
        assert!(found.len() == 1 && found[0].starts_with(&said), "{found:?}");
    };

    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
        check(
            name,
            "https://collector:4317",
            "telemetry.otlp_endpoint = \"https://collector:4317\": is no collector's URL: https:// is not supported by \
             this version: put a collector beside the sidecar",
        );
        check(
            name,
            "collector:4317",
            "telemetry.otlp_endpoint = \"collector:4317\": is no collector's URL: write http://",
        );
    }
    check(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "hunter2",
        "is no list of headers: entry 1 is not key=value: write key=value,key=value",
    );
    check(
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "a=1,b=%00",
        "is no list of headers: the value of entry 2",
    );
}

#[test]
fn secrets_of_the_environment_are_never_shown() {
    let said = problems_of(
        &[MINIMAL],
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2%0a"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@collector"),
        ],
    );
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(!said.concat().contains("hunter2"), "{said:?}");
    let query =
        problems_of(&[MINIMAL], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/?key=hunter2")]);
    assert!(query.len() == 1 && !query[0].contains("hunter2"), "{query:?}");
    let attributes = warnings(FILE, &[("OTEL_RESOURCE_ATTRIBUTES", "hunter2")]);
    assert!(attributes.len() == 1 && !attributes[0].contains("hunter2"), "{attributes:?}");

    let config = load_with(FILE, &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")]).config;

    let shown = [
        config.effective_toml().unwrap(),
        config.effective_json().unwrap().to_string(),
        format!("{config:?}"),
    ];
    for shown in shown {
        assert!(shown.contains("authorization") && shown.contains("***"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn the_resource_says_who_it_is_and_variables_say_it_better() {
    check_resource(&[("OTEL_SERVICE_NAME", "journeys")], &[("service.name", "journeys")]);
    check_resource(
        &[("OTEL_RESOURCE_ATTRIBUTES", "service.version=7,k8s.pod.name=a%2Cb, service.name=x ")],
        &[("service.name", "x"), ("service.version", "7"), ("k8s.pod.name", "a,b")],
    );
    check_resource(
        &[("OTEL_SERVICE_NAME", "wins"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x")],
        &[("service.name", "wins")],
    );
}

#[test]
fn traces_can_be_turned_off_and_then_nothing_else_is_looked_at() {
    let check = |name: &str, value: &str| {
        let env = [
            (name, value),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://unusable"),
            ("OTEL_TRACES_SAMPLER", "unknown"),
        ];
        let loaded = load_with(FILE, &env);
        assert_eq!(loaded.config.telemetry.traces, None, "{name}");
        let said = warnings(FILE, &env);
        let off = format!("the environment variable {name} turns traces off");
        assert!(said.len() == 1 && said[0].ends_with(&off), "{said:?}");
    };

    check("OTEL_SDK_DISABLED", "TRUE");
    check("OTEL_TRACES_EXPORTER", "none");
    assert_eq!(warnings("", &[("OTEL_SDK_DISABLED", "true")]), Vec::<String>::new());
}

#[test]
fn what_is_said_of_traces_without_a_collector_is_warned_about() {
    let said = warnings(
        "[telemetry]\notlp_protocol = \"http/protobuf\"\ntrace_ratio = 0.1",
        &[("OTEL_TRACES_EXPORTER", "otlp")],
    );

    assert_eq!(
        said,
        [
            "FILE1: telemetry.otlp_protocol: has no effect without a collector: set OTEL_EXPORTER_OTLP_ENDPOINT or \
             telemetry.otlp_endpoint",
            "environment variable OTEL_TRACES_EXPORTER: has no effect without a collector: set \
             OTEL_EXPORTER_OTLP_ENDPOINT or telemetry.otlp_endpoint",
        ]
    );
}

#[test]
fn an_endpoint_that_looks_like_the_other_protocols_is_warned_about() {
    let check = |endpoint: &str, protocol: &str, said: Option<&str>| {
        let file =
            format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\notlp_protocol = \"{protocol}\"");
        let found = warnings(&file, &[]);
        assert_eq!(found.len(), said.iter().count(), "{file}: {found:?}");
        assert!(said.is_none_or(|said| found[0].contains(said)), "{file}: {found:?}");
    };

    check("http://c:4317", "grpc", None);
    check("http://c:4317/", "grpc", None);
    check("http://c:4318", "http/protobuf", None);
    check("http://c:4318", "grpc", Some("has the usual port of the other protocol"));
    check("http://c:4317", "http/protobuf", Some("has the usual port of the other protocol"));
    check("http://c:9/v1/traces", "grpc", Some("has a path, which OTLP over gRPC does not use"));
}

#[test]
fn a_collector_is_not_interlock_itself() {
    check_refused(
        "[telemetry]\notlp_endpoint = \"http://localhost:8080\"",
        &[
            "FILE1: telemetry.otlp_endpoint = \"http://localhost:8080\": is where Interlock itself listens (proxy.listen",
        ],
    );
}

#[test]
fn what_the_environment_adds_is_shown_beside_the_configuration() {
    let env = [("OTEL_EXPORTER_OTLP_HEADERS", "x-key=k"), ("OTEL_SERVICE_NAME", "journeys")];
    let config = load_with(FILE, &env).config;

    let text = config.effective_toml().unwrap();
    let document = config.effective_json().unwrap();

    assert!(text.contains("otlp_endpoint = \"http://127.0.0.1:4317\"\n"), "{text}");
    for line in ["# timeout = \"10s\"", "# x-key = \"***\"", "# \"service.name\" = \"journeys\""] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert_eq!(document["telemetry"]["otel"]["headers"]["x-key"], "***");
    assert_eq!(document["telemetry"]["otel"]["resource"]["service.name"], "journeys");
    let again = Files::of(&[&text]).load(&env).unwrap().config;
    assert_eq!(again, config);
}
