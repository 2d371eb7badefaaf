//! Copies of one fleet's flags over a real server, each as a sidecar would have it.

mod outages;
mod refusals;
mod steps;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinHandle;

use super::*;
use crate::domain::flag::{Author, Change};
use crate::remote::testing::TestServer;
use crate::store::tests::{TempDir, percent, seed};
use crate::store::{Applied, FlagSeed, StoreChangeError};
use crate::telemetry::Topology;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the copies' flags are called.
const FLAG: &str = "a";

/// Runs a test on a thread as the store's is.
fn on_store_thread<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.unwrap().block_on(test)
}

/// Waits until something holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn keys() -> Keys {
    Keys::new("interlock")
}

/// How a copy is made.
struct Setup {
    seeds: Vec<FlagSeed>,
    snapshot: Option<PathBuf>,
    push: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { seeds: vec![seed(FLAG, "0")], snapshot: None, push: true }
    }
}

impl Setup {
    fn starting_at(start: &str) -> Self {
        Self { seeds: vec![seed(FLAG, start)], ..Self::default() }
    }

    fn without_push() -> Self {
        Self { push: false, ..Self::default() }
    }

    fn remembering_in(dir: &TempDir) -> Self {
        Self { snapshot: Some(dir.file()), ..Self::default() }
    }

    fn start(self, server: &TestServer) -> Copy {
        let names = self.seeds.iter().map(|seed| seed.name.clone()).collect();
        let telemetry = Telemetry::new(&Topology { flags: names, routes: Vec::new() });
        let (store, _) = FlagStore::of_fleet(&self.seeds, self.snapshot).unwrap();
        let (flags, requests) = FleetFlags::new();
        let (contact, contacted) = watch::channel(Contact::default());
        let (push, pushed) = mpsc::unbounded_channel();
        let channels = if self.push { vec![keys().changes()] } else { Vec::new() };
        let remote = Remote::open(server.config(), channels, push, telemetry.clone());
        let heard = Rc::<RefCell<Vec<_>>>::default();
        let hears = Rc::clone(&heard);
        let on_change = move |flag: &str, from: &FlagState, to: &FlagState| {
            hears.borrow_mut().push((flag.to_owned(), from.version, to.version));
        };
        let (copy, share) = (store.clone(), telemetry.clone());
        let sync = FlagSync::new(remote.clone(), keys(), copy, share, requests, on_change);
        let task = tokio::task::spawn_local(sync.run(contacted, pushed));
        Copy { flags, store, contact, telemetry, remote, heard, task }
    }

    /// Starts a copy and waits until it has read the store.
    async fn ready(self, server: &TestServer) -> Copy {
        let copy = self.start(server);
        copy.connected().await;
        copy.beat(server);
        copy.read().await;
        copy
    }
}

/// One sidecar's flags, and what it was told.
struct Copy {
    flags: FleetFlags,
    store: FlagStore,
    contact: watch::Sender<Contact>,
    telemetry: Telemetry,
    remote: Remote,
    heard: Rc<RefCell<Vec<(String, u64, u64)>>>,
    task: JoinHandle<()>,
}

impl Copy {
    async fn connected(&self) {
        let mut status = self.remote.status();
        let connected = status.wait_for(|status| status.connected.is_some());
        drop(tokio::time::timeout(PATIENCE, connected).await.unwrap().unwrap());
    }

    async fn read(&self) {
        let mut applied = self.flags.applied();
        let read = applied.wait_for(Option::is_some);
        drop(tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap());
    }

    /// A beat as the session makes them: the store answers, and says which revision it has.
    fn beat(&self, server: &TestServer) {
        let revision = server.cli(&["GET", &keys().revision()]).parse().unwrap_or(0);
        self.contact.send_replace(Contact { live: true, revision: Some(revision) });
    }

    /// A beat that the store does not answer.
    fn miss_a_beat(&self) {
        self.contact.send_modify(|contact| contact.live = false);
    }

    async fn make(&self, change: Change) -> Result<Applied, StoreChangeError> {
        let author = Author { by: "ann".into(), reason: "try it".into(), at_ms: 7 };
        self.flags.change(FLAG, None, change, author).await
    }

    async fn set(&self, to: &str) -> Result<Applied, StoreChangeError> {
        self.make(Change::Percent(percent(to))).await
    }

    fn state(&self) -> Arc<FlagState> {
        self.store.flag(FLAG).unwrap().1
    }

    fn percent(&self) -> String {
        self.state().percent.to_string()
    }

    fn freshness(&self) -> Freshness {
        self.store.snapshot().freshness
    }

    /// The kinds of refusal that stand. Fails the test where the metrics say something else.
    #[track_caller]
    fn refused(&self) -> Vec<&'static str> {
        let standing = self.flags.refused();
        for seed in self.store.seeds() {
            let listed = standing.iter().any(|refused| refused.flag == seed.name);
            let series = format!("interlock_flag_refused{{flag=\"{}\"}}", seed.name);
            assert_eq!(self.metric(&series), if listed { 1.0 } else { 0.0 }, "{}", seed.name);
        }
        standing.iter().map(|refused| refused.reason).collect()
    }

    /// The versions in the history, the latest first.
    fn history(&self) -> Vec<u64> {
        self.store.history(FLAG).unwrap().iter().map(|entry| entry.version).collect()
    }

    /// The value of a series.
    fn metric(&self, series: &str) -> f64 {
        let page = self.telemetry.render();
        let line = page
            .lines()
            .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no {series} in {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn rejected(&self, reason: &str) -> f64 {
        self.metric(&format!("interlock_flags_rejected_total{{reason=\"{reason}\"}}"))
    }

    /// Ends as a sidecar does, with the snapshot file written.
    async fn end(self) {
        drop(self.contact);
        self.task.await.unwrap();
    }
}

/// What the store has of the flag.
fn document(server: &TestServer) -> String {
    server.cli(&["HGET", &keys().flags(), FLAG])
}

/// Writes by hand, as no sidecar does, and says so.
fn write_by_hand(server: &TestServer, document: &str) {
    server.cli(&["HSET", &keys().flags(), FLAG, document]);
    server.cli(&["INCR", &keys().revision()]);
}
