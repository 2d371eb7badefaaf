//! Records over memory and over real servers.

mod outages;

use std::rc::Rc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::*;
use crate::domain::divergence::lost_updates;
use crate::domain::divergence::{Cause, Record};
use crate::fleet::Keys;
use crate::remote::Remote;
use crate::remote::testing::{RedisConfig, TestServer};
use crate::telemetry::Topology;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: DivergenceConfig =
    DivergenceConfig { keep: 1_000, max_age: Duration::from_secs(3_600) };

const ALL: Query = Query { flag: None, cause: None, after: None, limit: 1_000 };

/// The stream's key.
const KEY: &str = "{interlock}:divergences";

impl Records {
    /// Records in memory for two flags, for tests of whoever shows them.
    pub(crate) fn of_a_test() -> Self {
        Self::in_memory(&CONFIG, 2, &telemetry())
    }
}

fn telemetry() -> Telemetry {
    let flags = vec!["journey-updates".to_owned(), "seats".to_owned()];
    Telemetry::new(&Topology { flags, routes: Vec::new() })
}

fn of(entity: impl ToString) -> Divergence {
    Divergence { entity: entity.to_string(), ..lost_updates() }
}

/// What the metrics say of the first flag's records: those kept, and those dropped.
fn counted(telemetry: &Telemetry) -> (u64, u64) {
    let page = telemetry.render();
    let value = |name: &str| {
        let series = format!("interlock_divergence_records_{name}{{flag=\"journey-updates\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    };
    (value("total"), value("dropped_total"))
}

/// Runs a test on a thread as the store's is.
fn on_store_thread(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.unwrap().block_on(async { timeout(PATIENCE * 3, test).await.expect("it hangs") });
}

/// Waits until something holds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// One sidecar's records over a server.
struct Sidecar {
    records: Records,
    telemetry: Telemetry,
    end: oneshot::Sender<()>,
    ran: JoinHandle<()>,
    remote: Rc<Remote>,
}

impl Sidecar {
    fn new(server: &TestServer) -> Self {
        Self::with(server.config(), &CONFIG)
    }

    fn with(redis: RedisConfig, config: &DivergenceConfig) -> Self {
        let telemetry = telemetry();
        let (push, _pushed) = mpsc::unbounded_channel();
        let keys = Keys::new(&redis.prefix);
        let remote = Remote::open(redis, Vec::new(), push, telemetry.clone());
        let (records, archive) = Records::in_store(config, 2, &telemetry);
        let (end, ended) = oneshot::channel();
        let ran = spawn_local(archive.run(remote.clone(), keys, ended));
        Self { records, telemetry, end, ran, remote: Rc::new(remote) }
    }

    fn add(&self, entity: impl ToString) {
        self.records.add(FlagIndex(0), of(entity));
    }

    /// Adds as many as there may be at once, by turns for both flags: what is about the rate is tested elsewhere.
    fn add_all(&self, entities: impl IntoIterator<Item = u32>) {
        for entity in entities {
            let item = Item::of(FlagIndex(0), of(entity)).unwrap();
            for item in self.records.inner.ring().push(item, clock::wall_ms()) {
                self.records.inner.count(item.flag, false);
            }
        }
        self.records.inner.more.notify_one();
    }

    async fn list(&self) -> Page {
        self.records.list(&ALL).await
    }

    /// Waits until the store is connected or gone.
    async fn until(&self, connected: bool) {
        let mut status = self.remote.status();
        let reached = status.wait_for(|status| status.connected.is_some() == connected);
        timeout(PATIENCE, reached).await.expect("the store's status does not change").unwrap();
    }

    async fn until_written(&self, records: u64) {
        let what = format!("{records} records are written");
        eventually(&what, async || counted(&self.telemetry).0 == records).await;
    }
}

fn entities(page: &Page) -> Vec<&str> {
    page.divergences.iter().map(|listed| listed.summary.entity.as_str()).collect()
}

#[tokio::test]
async fn without_a_store_memory_keeps_and_answers() {
    let telemetry = telemetry();
    let records = Records::in_memory(&CONFIG, 2, &telemetry);
    records.add(FlagIndex(0), of("a"));
    records.add(FlagIndex(0), of("b"));

    let page = records.list(&ALL).await;

    assert_eq!((entities(&page), page.from), (vec!["b", "a"], Source::Memory));
    let found = records.find(page.divergences[1].id).await;
    let expected = Record { id: page.divergences[1].id, divergence: of("a") };
    assert_eq!(found, Found { record: Some(expected), from: Source::Memory });
    assert_eq!(records.find("1-1".parse().unwrap()).await.record, None);
    assert_eq!(counted(&telemetry), (2, 0));
}

#[tokio::test]
async fn a_flag_that_diverges_all_the_time_is_counted_and_leaves_others_their_room() {
    let telemetry = telemetry();
    let records = Records::in_memory(&CONFIG, 2, &telemetry);
    for n in 0..1_000 {
        records.add(FlagIndex(0), of(n));
    }
    records.add(FlagIndex(1), of("other"));
    records.add(FlagIndex(2), of("a flag that is none"));

    let (kept, dropped) = counted(&telemetry);
    assert_eq!(kept + dropped, 1_000);
    // As long as this took, some more may have come.
    assert!((rate::BURST..rate::BURST + 20).contains(&kept), "{kept}");
    let page = records.list(&ALL).await;
    assert_eq!(entities(&page)[0], "other");
    assert_eq!(page.divergences.len() as u64, kept + 1);
}

#[test]
fn any_thread_may_add_and_nobody_waits() {
    let telemetry = telemetry();
    // Nothing ever writes or answers.
    let (records, _archive) = Records::in_store(&CONFIG, 1, &telemetry);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|n| records.add(FlagIndex(0), of(n))));
        }
    });

    let (kept, dropped) = counted(&telemetry);
    assert_eq!(kept, 0);
    let waiting = records.inner.ring().list(&ALL, clock::wall_ms()).divergences.len() as u64;
    assert!(waiting >= rate::BURST);
    assert_eq!(waiting + dropped, 2_000);
}

fn are_shared(server: &TestServer) {
    on_store_thread(async {
        let (one, two) = (Sidecar::new(server), Sidecar::new(server));
        one.add("a");
        one.until_written(1).await;
        two.add("b");
        two.until_written(1).await;

        let (first, second) = (one.list().await, two.list().await);

        assert_eq!((entities(&first), first.from), (vec!["b", "a"], Source::Store));
        assert_eq!(second, first);
        let found = two.records.find(first.divergences[1].id).await;
        let expected = Record { id: first.divergences[1].id, divergence: of("a") };
        assert_eq!(found, Found { record: Some(expected), from: Source::Store });
        let missing = two.records.find("1-1".parse().unwrap()).await;
        assert_eq!(missing, Found { record: None, from: Source::Store });
    });
}

#[test]
fn a_fleet_shares_its_records_on_redis() {
    are_shared(&TestServer::redis());
}

#[test]
fn a_fleet_shares_its_records_on_valkey() {
    are_shared(&TestServer::valkey());
}

fn are_paged_and_filtered(server: &TestServer) {
    on_store_thread(async {
        let sidecar = Sidecar::new(server);
        sidecar.add_all(0..150);
        sidecar.until_written(150).await;
        let body = Divergence { cause: Cause::Body, ..of("body") };
        sidecar.records.add(FlagIndex(0), body);
        let seats = Divergence { flag: "seats".to_owned(), ..of("seats") };
        sidecar.records.add(FlagIndex(1), seats);
        sidecar.until_written(151).await;
        eventually("both are there", async || sidecar.list().await.divergences.len() == 152).await;
        sidecar.add_all(150..190);
        sidecar.until_written(191).await;

        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = sidecar.records.list(&Query { limit: 50, after, ..ALL }).await;
            seen.extend(page.divergences.iter().map(|listed| listed.id));
            (after, pages) = (page.next, pages + 1);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((seen.len(), pages), (192, 4));
        assert!(seen.is_sorted_by(|a, b| a > b));
        let of_cause = sidecar.records.list(&Query { cause: Some(Cause::Body), ..ALL }).await;
        assert_eq!((entities(&of_cause), of_cause.next), (vec!["body"], None));
        let flag = Some("seats".to_owned());
        let of_flag = sidecar.records.list(&Query { flag, limit: 1, ..ALL }).await;
        assert_eq!((entities(&of_flag), of_flag.next), (vec!["seats"], None));
        let before_all = Some("0-0".parse().unwrap());
        assert_eq!(
            entities(&sidecar.records.list(&Query { after: before_all, ..ALL }).await),
            [""; 0]
        );
    });
}

#[test]
fn lists_are_paged_and_filtered_on_redis() {
    are_paged_and_filtered(&TestServer::redis());
}

#[test]
fn lists_are_paged_and_filtered_on_valkey() {
    are_paged_and_filtered(&TestServer::valkey());
}

#[test]
fn the_store_keeps_no_more_than_it_should_for_no_longer() {
    on_store_thread(async {
        let server = TestServer::redis();
        let config = DivergenceConfig { keep: 10, ..CONFIG };
        let sidecar = Sidecar::with(server.config(), &config);
        for round in 0..40 {
            sidecar.add_all(round * 10..round * 10 + 10);
            sidecar.until_written(u64::from(round + 1) * 10).await;
        }
        let length: usize = server.cli(&["XLEN", KEY]).parse().unwrap();
        // Whole nodes are cut, and a node ends at 4 KiB: at a record or two.
        assert!((10..20).contains(&length), "{length}");
        let left: u64 = server.cli(&["PTTL", KEY]).parse().unwrap();
        assert!((3_500_000..=3_600_000).contains(&left), "{left}");

        let short = DivergenceConfig { max_age: Duration::from_millis(300), ..CONFIG };
        let brief = Sidecar::with(server.config(), &short);
        brief.until(true).await;
        eventually("none is young enough", async || brief.list().await.divergences.is_empty())
            .await;
        let old = sidecar.list().await.divergences[0].id;
        assert_eq!(brief.records.find(old).await, Found { record: None, from: Source::Store });
        brief.add_all([1, 2]);
        brief.until_written(2).await;
        let length: usize = server.cli(&["XLEN", KEY]).parse().unwrap();
        assert!(length < 6, "those that were too old are gone: {length}");
    });
}

#[test]
fn what_no_sidecar_wrote_is_passed_over() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::new(&server);
        server.cli(&["XADD", KEY, "*", "hand", "made"]);
        let late = ["flag", "f", "cause", "c", "summary", "{}", "record", "{}"];
        server.cli(&[&["XADD", KEY, "*"][..], &late].concat());
        sidecar.add("a");
        sidecar.until_written(1).await;

        let page = sidecar.list().await;

        assert_eq!((entities(&page), page.from), (vec!["a"], Source::Store));
        let by_hand = server.cli(&["XREVRANGE", KEY, "+", "-", "COUNT", "2"]);
        let id = by_hand.lines().find(|line| line.contains('-') && !line.contains('{')).unwrap();
        assert!(id.parse::<RecordId>().is_ok(), "{by_hand}");
        for line in by_hand.lines().filter_map(|line| line.parse().ok()) {
            let found = sidecar.records.find(line).await.record;
            assert!(found.is_none_or(|record| record.divergence.entity == "a"));
        }
    });
}
