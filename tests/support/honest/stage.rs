//! Sidecars in front of the honest app that verify all of its documents, and what they say about it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::super::config::store_at;
use super::super::redis::Redis;
use super::super::sidecar::Sidecar;
use super::super::stall_proxy::StallProxy;
use super::super::updates::Knowledge;
use super::super::wait::{eventually_within, until};
use super::callers::Attempt;
use super::{Callers, DOCUMENTS, HonestApp, Manner};

/// The sidecars' `legacy.timeout`: short, as callers wait for it again and again, and longer than a busy machine takes.
pub(super) const TIMEOUT: Duration = Duration::from_millis(400);

/// D is much longer than an update lands late, so that it holds on a busy machine too.
const LEGACY: &str = r#"
connect_timeout = "500ms"
timeout = "400ms"
settle_after_timeout = "1500ms"
"#;

/// The longest until all that was sent is verified: reads of a burst wait for their turn.
const VERIFIED_WITHIN: Duration = Duration::from_secs(60);

/// What is yet to be started.
#[derive(Clone)]
pub(crate) struct StagePlan {
    /// How many sidecars.
    pub(crate) sidecars: usize,
    /// Whether they share a store, each by way of a relay of its own.
    pub(crate) over_store: bool,
    /// How the app behaves.
    pub(crate) manner: Manner,
    /// The flag's percentage.
    pub(crate) percent: u8,
    /// Whether the fixed path serialises, and refuses while the store is gone. Otherwise it is the same app once more.
    pub(crate) serialize: bool,
    /// How many documents there are.
    pub(crate) documents: usize,
    /// How many fields in all that one update each may write.
    pub(crate) lone: usize,
}

impl StagePlan {
    /// One sidecar without a store.
    pub(crate) fn alone() -> Self {
        Self {
            sidecars: 1,
            over_store: false,
            manner: Manner::honest(),
            percent: 50,
            serialize: false,
            documents: 24,
            lone: 500,
        }
    }

    /// Three over one store.
    pub(crate) fn fleet() -> Self {
        Self { sidecars: 3, over_store: true, ..Self::alone() }
    }

    /// Starts all of it and waits until every sidecar knows the others.
    #[track_caller]
    pub(crate) fn start(&self) -> Stage {
        let app = HonestApp::start(self.manner, self.documents, self.lone);
        let store = self.over_store.then(Redis::start);
        let stand = |_| {
            let relay = store.as_ref().map(|store| StallProxy::to(store.address()));
            let table =
                relay.as_ref().map_or(String::new(), |relay| store_at(&relay.url(), "250ms"));
            let sidecar = Sidecar::at(&app.url()).legacy(LEGACY).with(&table);
            (sidecar.with(&self.flag(&app)).start(), relay)
        };
        let (sidecars, relays): (Vec<_>, Vec<_>) = (0..self.sidecars).map(stand).unzip();
        let relays = relays.into_iter().flatten().collect();
        let stage = Stage { sidecars, app, store, relays, documents: self.documents };
        stage.wait_until_whole();
        stage
    }

    fn flag(&self, app: &HonestApp) -> String {
        let fixed = match self.serialize {
            true => r#"strategy = "serialize""#.to_owned(),
            false => format!(r#"strategy = "upstream", url = "{}""#, app.url()),
        };
        let percent = self.percent;
        format!(
            r#"
[flags.{DOCUMENTS}]
entity = "document:{{document}}"
percent = {percent}
on_store_loss = "reject"
lease = {{ wait = "8s" }}
fixed = {{ {fixed} }}

[flags.{DOCUMENTS}.verify]
read = "/docs/{{document}}"
settle = "200ms"
max_reads = 1000

[[flags.{DOCUMENTS}.routes]]
name = "field"
methods = ["PUT"]
path = "/docs/{{document}}/fields/{{field}}"
effect = {{ pointer = "/fields/{{field}}", value = "body:/value" }}
"#
        )
    }
}

/// All of it, running; killed when dropped.
pub(crate) struct Stage {
    /// The sidecars.
    pub(crate) sidecars: Vec<Sidecar>,
    /// The app behind all of them.
    pub(crate) app: HonestApp,
    /// What they share, if they do.
    pub(crate) store: Option<Redis>,
    /// Their ways to it.
    pub(crate) relays: Vec<StallProxy>,
    documents: usize,
}

/// What the detectors of all sidecars have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Lost updates.
    pub(crate) lost: usize,
    /// Values that nobody here wrote.
    pub(crate) unmanaged: usize,
    /// Updates about which there is a conclusion.
    pub(crate) verified: usize,
    /// Checks without one.
    pub(crate) inconclusive: usize,
}

impl Stage {
    /// Callers of a round, so many at each sidecar, who pause so long that journals are checked before they are full.
    pub(crate) fn callers(&self, round: &'static str, each: usize) -> Callers {
        let pause = Duration::from_millis(if self.store.is_some() { 12 } else { 5 });
        let documents = self.documents;
        Callers { round, each, pause, documents, first_lone: 0 }
    }

    /// Where the sidecars are called.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.sidecars.iter().map(Sidecar::address).collect()
    }

    /// Waits until every sidecar has leases to grant, knows the others and has live flags.
    #[track_caller]
    pub(crate) fn wait_until_whole(&self) {
        let gate = if self.store.is_some() { "open" } else { "local" };
        for sidecar in &self.sidecars {
            sidecar.wait_for_metric("interlock_lease_gate", &[("state", gate)], 1.0);
            if self.store.is_some() {
                until("all sidecars to know each other", || {
                    // One that crashed is still registered.
                    let known = sidecar.metrics().sum("interlock_fleet_sidecars", &[]);
                    known >= Some(self.sidecars.len() as f64)
                });
                sidecar.wait_for_metric("interlock_freshness", &[("state", "live")], 1.0);
                sidecar.wait_for_metric("interlock_detector", &[("state", "shared")], 1.0);
            }
        }
    }

    /// The sum of series over all sidecars.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        let count = |sidecar: &Sidecar| sidecar.metrics().sum(name, labels).unwrap_or(0.0) as usize;
        self.sidecars.iter().map(count).sum()
    }

    /// What the detectors have counted.
    #[track_caller]
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            lost: self.sum("interlock_lost_updates_total", &[]),
            unmanaged: self.sum("interlock_unmanaged_writes_total", &[]),
            verified: self.sum("interlock_verified_updates_total", &[]),
            inconclusive: self.sum("interlock_verify_inconclusive_total", &[]),
        }
    }

    /// Waits until so many updates are verified.
    #[track_caller]
    pub(crate) fn wait_until_verified(&self, updates: usize) {
        let mut last = Figures::default();
        eventually_within(VERIFIED_WITHIN, "all updates to be verified", || {
            let now = self.figures();
            if now.inconclusive != last.inconclusive {
                eprintln!("{now:?} of {updates}");
                last = now;
            }
            (now.verified >= updates).then_some(())
        });
    }

    /// The fields whose update was acknowledged and never took effect, as the callers' history and the app's have it. Fails the
    /// test where one took effect twice.
    #[track_caller]
    pub(crate) fn lost(&self, attempts: &[Attempt]) -> BTreeSet<(String, String)> {
        let is_lost = |attempt: &&Attempt| {
            let effects = self.app.effects(&attempt.id);
            assert!(effects <= 1, "{attempt:?} took effect {effects} times");
            attempt.knew == Knowledge::Acknowledged && effects == 0
        };
        let place = |lost: &Attempt| (lost.document.clone(), lost.field.clone());
        attempts.iter().filter(is_lost).map(place).collect()
    }

    /// The fields that the records of one cause name, those of the whole fleet where there is a store.
    #[track_caller]
    pub(crate) fn recorded(&self, cause: &str) -> BTreeSet<(String, String)> {
        let path = format!("/api/v1/divergences?limit=1000&cause={cause}");
        let list = self.sidecars[0].admin_get(&path).json();
        let from = if self.store.is_some() { "store" } else { "memory" };
        assert_eq!((&list["from"], &list["next"]), (&from.into(), &serde_json::Value::Null));
        let mut fields = BTreeSet::new();
        for record in list["divergences"].as_array().unwrap() {
            let document = record["entity"].as_str().unwrap().trim_start_matches("document:");
            for pointer in record["pointers"].as_array().unwrap() {
                let field = pointer.as_str().unwrap().trim_start_matches("/fields/");
                fields.insert((document.to_owned(), field.to_owned()));
            }
        }
        fields
    }
}
