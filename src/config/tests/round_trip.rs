//! A configuration in effect, written out, loads back to itself; and no text brings the loader down.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, FixedConfig, LogFormat, RedisConfig, StoreUrl, UpstreamUrl};
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

prop_compose! {
    /// The minimal configuration with everything changed that can be.
    fn configs()(
        times in proptest::collection::vec(durations(), 10),
        (max_body, max_headers) in (1024usize..=1 << 30, 1024usize..=1 << 20),
        (workers, max_connections, max_waiters) in (1usize..=1024, 1usize..=1_000_000, 1usize..=1_000_000),
        hundredths in 0u16..=10_000,
        host in prop_oneof!["10\\.0\\.0\\.[1-9]", Just("2001:db8::1".to_owned()), "[a-z]{1,9}\\.[a-z]{2}"],
        port in 1u16..,
        flip in proptest::collection::vec(any::<bool>(), 6),
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
    fn no_text_panics(text in "[\\[\\]{}=\"'.,#a-z0-9\n -]{0,120}") {
        drop(Files::of(&[&text]).load(&[]));
    }

    #[test]
    fn no_value_panics(
        key in prop_oneof![
            Just("proxy.listen"), Just("proxy.max_body"), Just("proxy.drain"), Just("legacy.url"), Just("store.url"),
            Just("store.prefix"), Just("telemetry.log"),
            Just("flags.journey-updates.entity"), Just("flags.journey-updates.percent"), Just("flags.journey-updates"),
        ],
        value in prop_oneof![".{0,40}", "[0-9a-z:/@\\[\\].%{}=,-]{0,40}"],
    ) {
        let quoted = toml::Value::from(value.as_str()).to_string();
        drop(Files::of(&[MINIMAL, &format!("{key} = {quoted}\n")]).load(&[("INTERLOCK__PROXY__WORKERS", &value)]));
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
