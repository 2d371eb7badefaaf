//! A configuration in effect, written out, loads back to itself; and no text brings the loader down.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{
    AdminOpen, AdminTlsConfig, Config, DivergenceConfig, EffectConfig, FixedConfig,
    IdempotencyConfig, LogFormat, OtlpProtocol, RedisConfig, ShadowConfig, ShadowMode, StoreUrl,
    TracesConfig, UpstreamUrl, VerifyConfig,
};
use crate::domain::compare::{DecimalText, PointerPattern, Rules, StatusRule};
use crate::domain::flag::OnStoreLoss;
use crate::domain::percent::Percent;

fn reloaded(config: &Config) -> Config {
    loaded(&config.effective_toml().unwrap()).config
}

fn durations() -> impl Strategy<Value = Duration> {
    (1u64..=3_600_000).prop_map(Duration::from_millis)
}

prop_compose! {
    /// A store without a password of its own: a masked one doesn't load.
    fn stores()(
        url in prop_oneof![
            "redis://[a-z]{1,9}:[1-9][0-9]{0,3}(/[1-9])?",
            "redis\\+sentinel://[a-z]{1,9},[a-z]{1,9}/[a-z.-]{1,9}(/[1-9])?",
            "rediss(\\+sentinel)?://us%40er@[a-z]{1,9}/[1-9]",
            "rediss?://[a-z]{1,9},\\[::1\\]:7",
        ],
        cluster in any::<bool>(),
        timeout in 1u64..=10_000,
        prefix in "[A-Za-z0-9_.-]{1,30}",
        username_file in proptest::option::of("[a-z/]{1,9}"),
        ca_file in "[a-z/]{1,9}",
    ) -> RedisConfig {
        let url: StoreUrl = url.parse().unwrap();
        RedisConfig {
            ca_file: url.tls.then(|| ca_file.into()),
            url: if cluster { url.clone().of_cluster().unwrap_or(url) } else { url },
            timeout: Duration::from_millis(timeout),
            prefix,
            username_file: username_file.map(PathBuf::from),
            password_file: Some("password".into()),
        }
    }
}

fn percents() -> impl Strategy<Value = Percent> {
    (0u16..=10_000).prop_map(|hundredths| Percent::from_hundredths(hundredths).unwrap())
}

fn patterns() -> impl Strategy<Value = Vec<PointerPattern>> {
    let pattern = prop_oneof![Just("/a/*/b"), Just("/**/at"), Just("/x~1y"), Just("/0")];
    proptest::collection::vec(pattern.prop_map(|text| text.parse().unwrap()), 0..4)
}

prop_compose! {
    fn rules()(
        flip in proptest::collection::vec(any::<bool>(), 2),
        headers in proptest::collection::vec("[a-z][a-z-]{0,9}", 0..4),
        ignore in patterns(),
        unordered in patterns(),
        tolerance in 0.0..=1.0,
    ) -> Rules {
        Rules {
            status: if flip[0] { StatusRule::Class } else { StatusRule::Exact },
            headers: headers.iter().map(|name| name.parse().unwrap()).collect(),
            ignore,
            unordered,
            tolerance,
            decimal_text: if flip[1] { DecimalText::ByValue } else { DecimalText::Exact },
        }
    }
}

prop_compose! {
    /// One that does no harm: a candidate of its own, and noise under `dry_run` alone.
    fn shadows()(
        isolated in any::<bool>(),
        (sample, noise) in (percents(), percents()),
        port in 1u16..,
        timeout in durations(),
        (max_inflight, queue) in (1usize..=10_000, 1usize..=100_000),
        rules in rules(),
    ) -> ShadowConfig {
        ShadowConfig {
            mode: if isolated { ShadowMode::Isolated } else { ShadowMode::DryRun },
            sample,
            noise: if isolated { Percent::ZERO } else { noise },
            url: Some(UpstreamUrl { host: "the-candidate".to_owned(), port }),
            timeout,
            max_inflight,
            queue,
            rules,
        }
    }
}

prop_compose! {
    fn detectors()(
        read in prop_oneof![Just("/api/journeys/{journeyId}"), Just("/{journeyId}")],
        sample in percents(),
        (settle, interval) in (durations(), durations()),
        max_reads in 1u32..=10_000,
    ) -> VerifyConfig {
        VerifyConfig { read: read.parse().unwrap(), sample, settle, interval, max_reads }
    }
}

prop_compose! {
    fn effects()(
        pointer in prop_oneof![Just("/status"), Just("/a~1b/[id={journeyId}]/{journeyId}/0")],
        value in prop_oneof![Just("body:/status"), Just("path:journeyId"), Just("query:s"), Just("header:x-s")],
    ) -> EffectConfig {
        EffectConfig { pointer: pointer.parse().unwrap(), value: value.parse().unwrap() }
    }
}

prop_compose! {
    /// As a file alone can have them.
    fn collectors()(
        (host, port) in ("[a-z]{1,9}", 1u16..),
        path in "(/[a-z]{1,9}){1,3}",
        http in any::<bool>(),
        ratio in 0.0..=1.0,
    ) -> TracesConfig {
        let file = "[telemetry]\notlp_endpoint = \"http://c\"";
        let usual = loaded(&format!("{MINIMAL}{file}")).config.telemetry.traces.unwrap();
        let (protocol, path) = match http {
            true => (OtlpProtocol::HttpProtobuf, path.as_str()),
            false => (OtlpProtocol::Grpc, ""),
        };
        TracesConfig { endpoint: format!("http://{host}:{port}{path}"), protocol, ratio, ..usual }
    }
}

prop_compose! {
    /// What is seen of divergence: traces, a detector with what the updates do, a shadow, records.
    fn sights()(
        traces in proptest::option::of(collectors()),
        (keep, max_age) in (1usize..=100_000, 60u64..=2_592_000),
        verify in proptest::option::of(detectors()),
        effect in effects(),
        shadow in proptest::option::of(shadows()),
        reveal in patterns(),
    ) -> Config {
        let mut config = loaded(MINIMAL).config;
        config.telemetry.traces = traces;
        config.divergence = DivergenceConfig { keep, max_age: Duration::from_secs(max_age) };
        let flag = &mut config.flags[0];
        flag.verify = verify;
        flag.routes[0].effect = Some(effect);
        flag.shadow = shadow;
        flag.reveal = reveal;
        config
    }
}

prop_compose! {
    /// The minimal configuration with everything changed that can be.
    fn configs()(
        times in proptest::collection::vec(durations(), 10),
        (max_body, max_headers) in (1024usize..=1 << 30, 1024usize..=1 << 20),
        (workers, max_connections, max_waiters) in (1usize..=1024, 1usize..=1_000_000, 1usize..=1_000_000),
        hundredths in 0u16..=10_000,
        host in prop_oneof!["10\\.0\\.0\\.[1-9]", Just("2001:db8::1".to_owned()), "[a-z]{1,9}\\.[a-z]{2}"],
        port in 1u16..,
        flip in proptest::collection::vec(any::<bool>(), 10),
        redis in proptest::option::of(stores()),
        name in "[A-Za-z0-9_.-]{1,30}",
        file in "[ -~]{0,20}[a-z]",
    ) -> Config {
        let mut config = loaded(MINIMAL).config;
        let url = UpstreamUrl { host, port };
        config.proxy.workers = workers;
        config.proxy.max_body = max_body;
        config.proxy.max_headers = max_headers;
        config.proxy.max_connections = max_connections;
        config.proxy.header_timeout = times[0];
        config.proxy.body_timeout = times[1];
        config.proxy.idle_timeout = times[2];
        config.proxy.drain = times[3];
        config.proxy.path_header = flip[0];
        config.legacy.url = url.clone();
        config.legacy.connect_timeout = times[4];
        config.legacy.timeout = times[5];
        config.legacy.settle_after_timeout = times[6];
        config.legacy.idle_timeout = times[7];
        config.admin.tokens_file = flip[1].then(|| file.clone().into());
        config.admin.open = AdminOpen { probes: flip[6], metrics: flip[7] };
        config.admin.tls = flip[8].then(|| AdminTlsConfig {
            cert_file: file.clone().into(),
            key_file: "key".into(),
            client_ca_file: flip[9].then(|| file.clone().into()),
        });
        config.store.snapshot = flip[2].then(|| file.into());
        config.store.redis = redis;
        if flip[3] {
            config.telemetry.log_format = LogFormat::Text;
        }
        let flag = &mut config.flags[0];
        flag.name = name;
        flag.percent = Percent::from_hundredths(hundredths).unwrap();
        flag.store_patience = times[8].min(times[9]);
        flag.lease.wait = times[9];
        flag.lease.max_waiters = max_waiters;
        flag.idempotency = IdempotencyConfig { keep: times[8], max_body: max_waiters };
        if flip[4] {
            flag.on_store_loss = OnStoreLoss::Reject;
        }
        if flip[5] {
            flag.fixed = FixedConfig::Upstream { url };
        }
        config
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_in_effect_loads_back(config in configs()) {
        prop_assert_eq!(reloaded(&config), config);
    }

    #[test]
    fn what_is_seen_of_divergence_loads_back(config in sights()) {
        prop_assert_eq!(reloaded(&config), config);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}=\"'.,#a-z0-9\n -]{0,120}") {
        drop(Files::of(&[&text]).load(&[]));
    }

    #[test]
    fn no_value_panics(
        key in prop_oneof![
            Just("proxy.listen"), Just("proxy.max_body"), Just("proxy.drain"), Just("legacy.url"), Just("store.url"),
            Just("store.prefix"), Just("telemetry.log"), Just("telemetry.otlp_endpoint"),
            Just("flags.journey-updates.verify.read"), Just("flags.journey-updates.shadow.url"),
            Just("flags.journey-updates.shadow.compare.ignore"),
            Just("flags.journey-updates.entity"), Just("flags.journey-updates.percent"), Just("flags.journey-updates"),
        ],
        value in prop_oneof![".{0,40}", "[0-9a-z:/@\\[\\].%{}=,-]{0,40}"],
    ) {
        let quoted = toml::Value::from(value.as_str()).to_string();
        drop(Files::of(&[MINIMAL, &format!("{key} = {quoted}\n")]).load(&[("INTERLOCK__PROXY__WORKERS", &value)]));
    }

    #[test]
    fn no_variable_about_traces_panics(index in 0usize..14, value in "[a-z0-9:/@\\[\\].%=, -]{0,40}") {
        let (name, _) = crate::config::otel_table::VARIABLES[index];
        drop(Files::of(&[MINIMAL]).load(&[(name, &value)]));
    }
}

#[test]
fn sources_beside_the_path_are_written_out() {
    let text = MINIMAL.replace("journey:{journeyId}", "{tenant}:{journeyId}")
        + "placeholders = { tenant = \"query:t\", journeyId = \"body:/id\" }";
    let config = loaded(&text).config;

    assert_eq!(reloaded(&config), config);
}

#[test]
fn json_says_the_same_as_toml() {
    let config = loaded(MINIMAL).config;

    let from_toml: toml::Value = toml::from_str(&config.effective_toml().unwrap()).unwrap();

    assert_eq!(serde_json::to_value(from_toml).unwrap(), config.effective_json().unwrap());
}
