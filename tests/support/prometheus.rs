//! A real Prometheus that scrapes sidecars.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use super::client::{Raw, get};
use super::ports::ReservedPort;
use super::process::Process;
use super::sidecar::Sidecar;
use super::temp::TempDir;
use super::wait::eventually;

/// A Prometheus server; killed when dropped.
pub(crate) struct Prometheus {
    _process: Process,
    port: ReservedPort,
    _data: TempDir,
}

impl Prometheus {
    /// One that scrapes these sidecars every 200 ms.
    #[track_caller]
    pub(crate) fn scraping<'s>(sidecars: impl IntoIterator<Item = &'s Sidecar>) -> Self {
        let mut config = String::from(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n\
             - job_name: interlock\n  static_configs:\n  - targets: [",
        );
        for sidecar in sidecars {
            let address = sidecar.admin_url().replace("http://", "");
            write!(config, "'{address}', ").unwrap();
        }
        config.push_str("]\n");
        Self::configured(&config)
    }

    /// One with this configuration.
    #[track_caller]
    pub(crate) fn configured(config: &str) -> Self {
        let (port, data) = (ReservedPort::new(), TempDir::new());
        let file = data.write("prometheus.yml", config);
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.file("tsdb").display()))
            .arg(format!("--web.listen-address={}", port.address()));
        let mut process = Process::start(&mut command);
        process.wait_until_it_serves(port.address(), "/-/ready");
        Self { _process: process, port, _data: data }
    }

    /// The values of an instant query, each with its labels.
    #[track_caller]
    pub(crate) fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let data = self.api("query", &[("query", query)]);
        let series = data["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series.iter().map(|series| (series["metric"].clone(), value(series))).collect()
    }

    /// What a call of its API gives.
    #[track_caller]
    pub(crate) fn api(&self, call: &str, parameters: &[(&str, &str)]) -> Value {
        let encoded =
            |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let mut client = Raw::connect(self.port.address());
        client.send(&get(&format!("/api/v1/{call}?{}", parameters.join("&"))));
        let answer = client.response().json();
        assert_eq!(answer["status"], "success", "{call} {parameters:?}: {answer}");
        answer["data"].clone()
    }

    /// Waits until a query's only series has a value.
    #[track_caller]
    pub(crate) fn wait_for(&self, query: &str, value: f64) {
        eventually(&format!("{query} to be {value}"), || {
            let found = self.query(query);
            (found.len() == 1 && found[0].1 == value).then_some(())
        });
    }
}
