//! Several sidecars, each in front of a replica of the app of its own, all over one store: a deployment in small.

use std::net::SocketAddr;

use super::config::{JOURNEYS, JourneyFlag};
use super::journey::{JourneyService, store_journey};
use super::load::Targets;
use super::redis::Redis;
use super::sidecar::Sidecar;
use super::stall_proxy::StallProxy;
use super::temp::TempDir;
use super::updates::{Caller, Sent};
use super::wait::in_parallel;
use super::{Part, until};

/// For each command to the store: longer than the default, as tests share two cores with each other.
const STORE_TIMEOUT: &str = "250ms";

/// Short, as a lease lasts for all three together, and longer than anything takes here.
const LEGACY: &str = r#"
connect_timeout = "500ms"
timeout = "1s"
settle_after_timeout = "1s"
"#;

/// A fleet yet to be started.
#[derive(Clone)]
pub(crate) struct FleetPlan {
    /// How many sidecars, and as many replicas.
    pub(crate) sidecars: usize,
    /// Where the store is; without one, every sidecar is on its own.
    pub(crate) store_url: Option<String>,
    /// The store's own address, where every sidecar is to reach it by a relay of its own.
    pub(crate) relayed: Option<SocketAddr>,
    /// More lines of `[store]`.
    pub(crate) store: String,
    /// Whether flags are written down at each sidecar.
    pub(crate) snapshots: bool,
    /// Lines of `[legacy]`.
    pub(crate) legacy: String,
    /// Between a replica's read and its write.
    pub(crate) window: &'static str,
    /// The flag.
    pub(crate) flag: JourneyFlag,
    /// How many journeys there are.
    pub(crate) journeys: usize,
}

impl FleetPlan {
    /// Three sidecars on their own at this percentage, ten journeys.
    pub(crate) fn new(percent: u8) -> Self {
        let flag =
            JourneyFlag { lease: r#"wait = "8s""#.into(), ..JourneyFlag::serialized(percent) };
        Self {
            sidecars: 3,
            store_url: None,
            relayed: None,
            store: format!("timeout = \"{STORE_TIMEOUT}\"\n"),
            snapshots: false,
            legacy: LEGACY.into(),
            window: "5ms",
            flag,
            journeys: 10,
        }
    }

    /// The same over one store.
    pub(crate) fn over(percent: u8, store_url: &str) -> Self {
        Self { store_url: Some(store_url.to_owned()), ..Self::new(percent) }
    }

    /// The same, each sidecar by way of a relay of its own.
    pub(crate) fn relayed(percent: u8, store: &Redis) -> Self {
        Self { relayed: Some(store.address()), ..Self::over(percent, &store.url()) }
    }

    /// What the flag does when the store is gone.
    pub(crate) fn on_store_loss(mut self, policy: &str) -> Self {
        self.flag.more += &format!("on_store_loss = \"{policy}\"\n");
        self
    }

    /// Starts all of it and waits until every sidecar is one of the fleet.
    #[track_caller]
    pub(crate) fn start(self) -> Fleet {
        let fleet = self.start_alone();
        fleet.wait_until_whole();
        fleet
    }

    /// Starts all of it and doesn't wait for the store.
    #[track_caller]
    pub(crate) fn start_alone(self) -> Fleet {
        let documents = Redis::start();
        let journeys: Vec<String> = (1..=self.journeys).map(|n| format!("F{n}")).collect();
        journeys.iter().for_each(|journey| store_journey(&documents, journey));
        let directory = TempDir::new();
        let stands = (0..self.sidecars).map(|n| self.stand(n, &documents, &directory)).collect();
        Fleet { stands, documents, journeys, over_store: self.store_url.is_some(), directory }
    }

    #[track_caller]
    fn stand(&self, number: usize, documents: &Redis, directory: &TempDir) -> Stand {
        let app = JourneyService::start(&documents.url(), self.window);
        let relay = self.relayed.map(StallProxy::to);
        let url = relay.as_ref().map(StallProxy::url).or_else(|| self.store_url.clone());
        let mut table = String::from("[store]\n");
        if let Some(url) = url {
            table += &format!("url = \"{url}\"\n{}", self.store);
        }
        if self.snapshots {
            let file = directory.file(&format!("flags-{number}.json"));
            table += &format!("snapshot = {file:?}\n");
        }
        let sidecar = Sidecar::at(&app.url())
            .legacy(&self.legacy)
            .with(&table)
            .with(&self.flag.toml())
            .start();
        Stand { sidecar, app, relay }
    }
}

/// A sidecar and what is its own.
pub(crate) struct Stand {
    /// The sidecar.
    pub(crate) sidecar: Sidecar,
    /// The replica behind it.
    pub(crate) app: JourneyService,
    relay: Option<StallProxy>,
}

impl Stand {
    /// Its way to the store.
    #[track_caller]
    pub(crate) fn relay(&self) -> &StallProxy {
        self.relay.as_ref().expect("a fleet that was planned with relays")
    }
}

/// A fleet that runs; all of it is killed when dropped.
pub(crate) struct Fleet {
    /// The sidecars.
    pub(crate) stands: Vec<Stand>,
    /// Where the app keeps its documents: a Redis that no sidecar knows.
    pub(crate) documents: Redis,
    /// The ids of the journeys.
    pub(crate) journeys: Vec<String>,
    over_store: bool,
    directory: TempDir,
}

impl Fleet {
    /// One of the sidecars, from 0.
    pub(crate) fn sidecar(&self, number: usize) -> &Sidecar {
        &self.stands[number].sidecar
    }

    /// All sidecars.
    pub(crate) fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        self.stands.iter().map(|stand| &stand.sidecar)
    }

    /// All sidecars and journeys, as a load's targets.
    pub(crate) fn targets(&self) -> Targets {
        let addresses = self.sidecars().map(Sidecar::address).enumerate().collect();
        Targets { sidecars: addresses, journeys: self.journeys.clone() }
    }

    /// The ways to the store.
    pub(crate) fn relays(&self) -> impl Iterator<Item = &StallProxy> {
        self.stands.iter().map(Stand::relay)
    }

    /// Where a sidecar writes its flags down.
    pub(crate) fn snapshot(&self, number: usize) -> std::path::PathBuf {
        self.directory.file(&format!("flags-{number}.json"))
    }

    /// Waits until every sidecar has leases to grant, knows the others and has live flags.
    #[track_caller]
    pub(crate) fn wait_until_whole(&self) {
        let gate = if self.over_store { "open" } else { "local" };
        let live = [("state", "live")];
        for sidecar in self.sidecars() {
            sidecar.wait_for_metric("interlock_lease_gate", &[("state", gate)], 1.0);
            if self.over_store {
                until("all sidecars to know each other", || {
                    // One that crashed is still registered.
                    let known = sidecar.metrics().sum("interlock_fleet_sidecars", &[]);
                    known >= Some(self.stands.len() as f64)
                });
                sidecar.wait_for_metric("interlock_freshness", &live, 1.0);
            }
        }
    }

    /// Waits until a series of every sidecar has a value.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.sidecars().for_each(|sidecar| sidecar.wait_for_metric(name, labels, value));
    }

    /// The sum of series over all sidecars that run.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sidecars().map(|sidecar| sidecar.metrics().sum(name, labels).unwrap_or(0.0)).sum()
    }

    /// Sets the percentage through one sidecar and waits until the flip is over, and all know it.
    #[track_caller]
    pub(crate) fn set_percent(&self, through: usize, percent: f64) {
        self.sidecar(through).set_percent(JOURNEYS, percent);
        until("all sidecars to have the percentage", || {
            self.sidecars().all(|sidecar| {
                let flag = sidecar.flag(JOURNEYS);
                flag["percent"] == percent && flag["transition"]["step"] == "settled"
            })
        });
    }

    /// One update by way of a sidecar.
    #[track_caller]
    pub(crate) fn update(&self, sidecar: usize, journey: &str, part: Part, id: &str) -> Sent {
        let address = self.sidecar(sidecar).address();
        Caller::of(sidecar, address).update(journey, part, id.to_owned())
    }

    /// Updates of every segment of each of these journeys, all at once, spread over the sidecars; `round` makes them unique.
    pub(crate) fn burst(&self, journeys: &[String], segments: usize, round: &str) -> Vec<Sent> {
        in_parallel(journeys.len() * segments, |n| {
            let (journey, segment) = (&journeys[n / segments], 1 + n % segments);
            let sidecar = n % self.stands.len();
            let id = format!("{round}-{journey}-{segment}");
            self.update(sidecar, journey, Part::Segment(segment), &id)
        })
    }
}
