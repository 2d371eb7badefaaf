//! Sidecars that share journals over real servers.

mod claiming;
mod exchanging;
mod filling;
mod handing;
mod marking;
mod parts;
mod trouble;

use std::cell::RefCell;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::clock;
use crate::domain::effects::history::{Ending, Read, Update, UpdateId};
use crate::domain::effects::{EffectPointer, Fields, Fingerprint, Stamp};
use crate::domain::flag::Path;
use crate::fleet::Keys;
use crate::remote::Remote;
use crate::remote::testing::{RedisConfig, TestCluster, TestServer, cli};
use crate::telemetry::{Telemetry, Topology};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough for a busy machine: little here is about the store's loss.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// A store that journals are in.
trait Store {
    fn config(&self) -> RedisConfig;

    /// What `redis-cli` says to a command.
    fn cli(&self, words: &[&str]) -> String {
        let (_, port) = self.config().url.nodes[0];
        // As of a cluster, which one server does not mind.
        cli(port, &[&["-c"], words].concat())
    }

    /// Of all its servers.
    fn ports(&self) -> Vec<u16> {
        vec![self.config().url.nodes[0].1]
    }

    /// The keys that begin so.
    fn keys(&self, beginning: &str) -> Vec<String> {
        let found = |port| cli(port, &["KEYS", &format!("{beginning}*")]);
        let said: Vec<String> = self.ports().into_iter().map(found).collect();
        let names = said.iter().flat_map(|said| said.lines()).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// The only key that begins so.
    fn key(&self, beginning: &str) -> String {
        let found = self.keys(beginning);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    fn journal(&self) -> String {
        self.key("{interlock}:journal:")
    }

    fn claim(&self) -> String {
        self.key("{interlock}:journal-claim:")
    }

    fn marks(&self) -> String {
        self.key("{interlock}:journal-marks:")
    }
}

impl Store for TestServer {
    fn config(&self) -> RedisConfig {
        self.config()
    }
}

impl Store for TestCluster {
    fn config(&self) -> RedisConfig {
        self.config()
    }

    fn ports(&self) -> Vec<u16> {
        let nodes = self.cli(&["CLUSTER", "NODES"]);
        let address = |line: &str| line.split(['@', ' ']).nth(1).unwrap().to_owned();
        nodes
            .lines()
            .map(|line| address(line).rsplit(':').next().unwrap().parse().unwrap())
            .collect()
    }
}

/// One sidecar's journals.
struct Sidecar {
    journal: FleetJournal,
    remote: Remote,
    telemetry: Telemetry,
    /// The store as it was told last.
    store: RefCell<String>,
    clerk: JoinHandle<()>,
}

impl Sidecar {
    async fn at(store: &impl Store, id: &str) -> Self {
        Self::with(store.config(), id).await
    }

    async fn with(config: RedisConfig, id: &str) -> Self {
        let (journal, requests) = FleetJournal::new();
        let (remote, telemetry) = connected(config).await;
        let clerk = clerk(&remote, id, requests);
        let clerk = tokio::task::spawn_local(clerk.run());
        Self { journal, remote, telemetry, store: RefCell::default(), clerk }
    }

    /// Exchanges as the store's that was told last.
    async fn try_exchange(&self, exchange: Exchange) -> Result<Exchanged, JournalError> {
        let exchange = Exchange { store: self.store.borrow().clone(), ..exchange };
        let answer = timeout(PATIENCE, self.journal.exchange(exchange)).await.unwrap();
        if let Ok(exchanged) = &answer {
            self.store.replace(exchanged.identity.clone());
        }
        answer
    }

    async fn exchange(&self, exchange: Exchange) -> Exchanged {
        self.hear().await;
        self.try_exchange(exchange).await.unwrap()
    }

    /// Learns which store it is, if it does not know.
    async fn hear(&self) {
        if self.store.borrow().is_empty() {
            self.try_exchange(Exchange::default()).await.unwrap();
        }
    }

    async fn append(&self, key: &JournalKey, entries: Vec<Entry>) {
        let appends = vec![(key.clone(), entries)];
        self.exchange(Exchange { appends, ..Exchange::default() }).await;
    }

    async fn claim(&self, key: &JournalKey) -> Option<Claimed> {
        let claims = vec![key.clone()];
        let exchanged = self.exchange(Exchange { claims, ..Exchange::default() }).await;
        let [claimed] = exchanged.claimed.try_into().unwrap();
        claimed
    }

    /// Whether it was settled.
    async fn settle(&self, key: &JournalKey, claimed: &Claimed, keep: Vec<Entry>) -> bool {
        let settled = vec![settled(key, claimed, keep)];
        self.exchange(Exchange { settled, ..Exchange::default() }).await.settled == [true]
    }

    async fn marks(&self) -> Vec<(String, u64)> {
        let mut marks: Vec<(String, u64)> = self
            .exchange(Exchange::default())
            .await
            .marks
            .into_iter()
            .map(|mark| (mark.sidecar, mark.until))
            .collect();
        marks.sort_unstable();
        marks
    }

    /// How many commands it sent for journals.
    fn commands(&self) -> f64 {
        let page = self.telemetry.render();
        let series = page.lines().filter(|line| {
            line.starts_with("interlock_store_operations_total{")
                && line.contains(r#"operation="journal""#)
        });
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

async fn connected(config: RedisConfig) -> (Remote, Telemetry) {
    let config = RedisConfig { timeout: STORE_TIMEOUT.min(config.timeout * 10), ..config };
    let telemetry = Telemetry::new(&Topology { flags: Vec::new(), routes: Vec::new() });
    let (push, _) = mpsc::unbounded_channel();
    let remote = Remote::open(config, Vec::new(), push, telemetry.clone());
    until_connected(&remote).await;
    (remote, telemetry)
}

async fn until_connected(remote: &Remote) {
    let mut status = remote.status();
    let connected = status.wait_for(|status| status.connected.is_some());
    drop(timeout(PATIENCE, connected).await.unwrap().unwrap());
}

fn clerk(remote: &Remote, id: &str, requests: JournalRequests) -> JournalClerk {
    let keys = Keys::new("interlock");
    JournalClerk::new(id.to_owned(), remote.clone(), keys, requests)
}

fn key(entity: &str) -> JournalKey {
    JournalKey { flag: "updates".to_owned(), entity: entity.to_owned() }
}

fn settled(key: &JournalKey, claimed: &Claimed, keep: Vec<Entry>) -> Settled {
    let Claimed { ticket, count, .. } = *claimed;
    Settled { key: key.clone(), ticket, taken: count, keep }
}

/// An update by its number.
fn update(number: u64) -> Entry {
    Entry::Update(Update {
        id: UpdateId { clock: 7, number },
        field: "/segments/[segmentId=S1]/status".to_owned(),
        value: Some(Fingerprint::of_text("Departed")),
        shown: Some("\"Departed\"".to_owned()),
        sent: Stamp { clock: 7, ticks: number, earliest: number, latest: number + 1 },
        ended: Stamp { clock: 7, ticks: number, earliest: number, latest: number + 1 },
        settles: 0,
        ending: Ending::Acknowledged,
        path: Path::Legacy,
        route: 0,
        sidecar: "pod-06cf7c".to_owned(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        span_id: "00f067aa0ba902b7".to_owned(),
        sampled: true,
        counted: false,
        doubtful: false,
    })
}

fn updates(numbers: std::ops::Range<u64>) -> Vec<Entry> {
    numbers.map(update).collect()
}

/// A read of a document with one field.
fn read(value: &str) -> Entry {
    let pointer: EffectPointer = "/status".parse().unwrap();
    let fields = Fields::of(&serde_json::json!({ "status": value }), &[pointer]);
    Entry::Read(Read { begun: Stamp::alone(1), ended: Stamp::alone(2), fields })
}

fn numbers_of(entries: &[Entry]) -> Vec<u64> {
    let number = |entry: &Entry| match entry {
        Entry::Update(update) => update.id.number,
        other => panic!("{other:?}"),
    };
    entries.iter().map(number).collect()
}

/// Runs a test on a thread as the store's is.
fn on_store_thread<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.unwrap().block_on(test)
}

/// Makes each behaviour a test over every kind of store.
macro_rules! over_every_store {
    ($($behaviour:ident)+) => {
        over_every_store! { redis => crate::remote::testing::TestServer::redis(), $($behaviour)+ }
        over_every_store! { valkey => crate::remote::testing::TestServer::valkey(), $($behaviour)+ }
        over_every_store! { cluster => crate::remote::testing::TestServer::cluster(), $($behaviour)+ }
    };
    ($store:ident => $new:expr, $($behaviour:ident)+) => {
        mod $store { $(
            #[test]
            fn $behaviour() {
                let store = $new;
                crate::shadow::journal::tests::on_store_thread(super::$behaviour(&store));
            }
        )+ }
    };
}
use over_every_store;
