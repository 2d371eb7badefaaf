//! What an operator runs beside a fleet: a Prometheus with the rules, and an Alertmanager.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use crate::support::{Fleet, Process, Prometheus, ReservedPort, TempDir, Upstream};

/// The namespace that sidecars are scraped under.
pub(crate) const NAMESPACE: &str = "shop";
/// The app that they stand in front of.
pub(crate) const APP: &str = "journeys";

/// How often sidecars are scraped, and rules evaluated.
const INTERVAL: &str = "500ms";

/// A Prometheus that scrapes a fleet as one app, with the rules in these files, and tells an Alertmanager.
#[track_caller]
pub(crate) fn prometheus(
    fleet: &Fleet,
    rules: &str,
    alertmanager: Option<SocketAddr>,
) -> Prometheus {
    let mut config = format!(
        "global: {{scrape_interval: {INTERVAL}, scrape_timeout: {INTERVAL}, evaluation_interval: {INTERVAL}}}\n\
         rule_files: ['{rules}']\n"
    );
    if let Some(address) = alertmanager {
        let targets = format!("[{{static_configs: [{{targets: ['{address}']}}]}}]");
        writeln!(config, "alerting: {{alertmanagers: {targets}}}").unwrap();
    }
    config.push_str("scrape_configs:\n- job_name: interlock\n  static_configs:\n");
    for (n, sidecar) in fleet.sidecars().enumerate() {
        let address = sidecar.admin_url().replace("http://", "");
        let labels = format!("{{namespace: {NAMESPACE}, app: {APP}, pod: {APP}-{n}}}");
        writeln!(config, "  - {{targets: ['{address}'], labels: {labels}}}").unwrap();
    }
    Prometheus::configured(&config)
}

/// An Alertmanager; killed when dropped.
pub(crate) struct Alertmanager {
    _process: Process,
    port: ReservedPort,
    _data: TempDir,
}

impl Alertmanager {
    /// One with this configuration.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        let (port, data) = (ReservedPort::new(), TempDir::new());
        let file = data.write("alertmanager.yml", config);
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", data.file("data").display()))
            .arg(format!("--web.listen-address={}", port.address()))
            .arg("--cluster.listen-address=");
        let mut process = Process::start(&mut command);
        process.wait_until_it_serves(port.address(), "/-/ready");
        Self { _process: process, port, _data: data }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }
}

/// Whom an Alertmanager tells: somebody's pager, say.
pub(crate) struct Receiver(Upstream);

impl Receiver {
    /// One that listens.
    pub(crate) fn start() -> Self {
        Self(Upstream::running(|exchange| exchange.ok("")))
    }

    /// Where it is told.
    pub(crate) fn url(&self) -> String {
        format!("{}/", self.0.url())
    }

    /// All alerts that it was told of, each as it was at that time.
    #[track_caller]
    pub(crate) fn told(&self) -> Vec<Value> {
        let whole = self.0.requests().into_iter().filter(|request| request.complete);
        let alerts = whole.flat_map(|request| {
            let notification: Value = serde_json::from_slice(&request.body).unwrap();
            notification["alerts"].as_array().cloned().unwrap_or_default()
        });
        alerts.collect()
    }

    /// Those of one name in one state, `firing` or `resolved`.
    #[track_caller]
    pub(crate) fn told_of(&self, alert: &str, status: &str) -> Vec<Value> {
        let mut told = self.told();
        told.retain(|told| told["labels"]["alertname"] == alert && told["status"] == status);
        told
    }
}
