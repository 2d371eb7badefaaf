//! The load: on every journey, 20 segment updates and the journey's own status, all at once, round after round.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::client::{Lane, json_request};
use super::journey::document::{self, SEGMENTS};
use super::journey::{DocumentStore, Documents, Journey, Part, StoreError};
use super::oracle::{Sent, ServedBy, Update, fate};
use super::report::LoadReport;
use crate::clock;

/// How many updates a journey gets at once: one per segment, and its own status.
pub const BURST: usize = SEGMENTS + 1;
/// For one update, to the end of its answer. Longer than a sidecar lets it wait, so that the sidecar speaks first.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(12);
/// From the start of one round on a journey to the start of the next, unless the round takes longer. The journeys begin
/// spread out over it: their bursts race within themselves instead of queueing for the processor.
const PERIOD: Duration = Duration::from_millis(250);

/// What to send, and to whom.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Who gets it: each journey's updates go round all of them.
    pub servers: Vec<SocketAddr>,
    /// The journeys' ids.
    pub journeys: Vec<String>,
    /// Rounds per journey.
    pub rounds: usize,
    /// Where the documents can be read back.
    pub store: DocumentStore,
}

impl LoadPlan {
    /// How many updates it sends in all.
    pub fn updates(&self) -> u64 {
        (self.journeys.len() * self.rounds * BURST) as u64
    }
}

/// What a running load has done so far; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Updates that were answered or given up, since the start of the process.
    pub done: AtomicU64,
    /// The number of the last update that was made up: it makes values unique in the whole run.
    last_update: AtomicU64,
}

/// Why a load could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A document was not read back.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was read back is no journey.
    #[error("the document of journey {journey} can't be read back: {source}")]
    BadDocument {
        /// Whose.
        journey: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A document is gone.
    #[error("the document of journey {journey} is gone; did something else delete it?")]
    NoDocument {
        /// Whose.
        journey: String,
    },
    /// No thread or no runtime was to be had, or its task died.
    #[error("the load's thread did not run to its end")]
    Thread,
}

/// Runs a load on a thread and a runtime of its own, so that nothing else in this process slows its clock. Dropping the
/// receiver stops it.
pub fn spawn(
    plan: LoadPlan,
    progress: Arc<Progress>,
) -> oneshot::Receiver<Result<LoadReport, LoadError>> {
    let (mut sender, receiver) = oneshot::channel();
    let thread = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        let report = runtime.block_on(async {
            tokio::select! {
                biased;
                () = sender.closed() => None,
                report = run(plan, progress) => Some(report),
            }
        });
        // Fails only where nobody waits for it any more.
        report.map(|report| sender.send(report).is_ok());
    };
    // Without a thread the sender is dropped, which the receiver sees.
    drop(std::thread::Builder::new().name("demo-load".to_owned()).spawn(thread));
    receiver
}

/// Runs a load to its end and judges it.
pub async fn run(plan: LoadPlan, progress: Arc<Progress>) -> Result<LoadReport, LoadError> {
    let documents = Arc::new(plan.store.open());
    let mut journeys = JoinSet::new();
    let count = u32::try_from(plan.journeys.len().max(1)).unwrap_or(u32::MAX);
    for (index, journey) in (0..count).zip(plan.journeys) {
        // Each journey begins with another server, so that the odd update of a burst goes round too.
        let servers = plan.servers.iter().cycle().skip(index as usize);
        let load = JourneyLoad {
            lanes: servers.take(BURST).map(|server| (*server, Lane::to(*server))).collect(),
            journey,
            documents: Arc::clone(&documents),
            progress: Arc::clone(&progress),
        };
        journeys.spawn(load.run(plan.rounds, PERIOD * index / count));
    }
    let mut report = LoadReport::default();
    while let Some(journey) = journeys.join_next().await {
        report.add(&journey.map_err(|_| LoadError::Thread)??);
    }
    Ok(report)
}

/// The load on one journey: a connection for each update of a burst.
struct JourneyLoad {
    journey: String,
    lanes: Vec<(SocketAddr, Lane)>,
    documents: Arc<Documents>,
    progress: Arc<Progress>,
}

impl JourneyLoad {
    async fn run(mut self, rounds: usize, offset: Duration) -> Result<LoadReport, LoadError> {
        let mut report = LoadReport::default();
        let mut start = tokio::time::interval_at(clock::now() + offset, PERIOD);
        start.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..rounds {
            start.tick().await;
            for (_, lane) in &mut self.lanes {
                // A server that can't be reached fails the update itself, where it is counted.
                lane.connect().await.unwrap_or_default();
            }
            let sent = self.burst().await?;
            let journey = self.read_back().await?;
            sent.iter().for_each(|sent| report.count(sent, fate(sent, &journey)));
        }
        Ok(report)
    }

    /// One update to each part of the journey, all at once.
    async fn burst(&mut self) -> Result<Vec<Sent>, LoadError> {
        let mut updates = JoinSet::new();
        for (index, (server, mut lane)) in self.lanes.drain(..).enumerate() {
            let part = match index {
                SEGMENTS => Part::Journey,
                _ => Part::Segment(document::segment_id(index)),
            };
            let number = self.progress.last_update.fetch_add(1, Ordering::Relaxed) + 1;
            let word = if part == Part::Journey { "Active" } else { "Departed" };
            let update = Update { part, status: format!("{word} {number}") };
            let path = path(&self.journey, &update.part);
            let progress = Arc::clone(&self.progress);
            updates.spawn(async move {
                let sent = send(&mut lane, server, &path, update).await;
                progress.done.fetch_add(1, Ordering::Relaxed);
                (server, lane, sent)
            });
        }
        let mut sent = Vec::with_capacity(BURST);
        while let Some(update) = updates.join_next().await {
            let (server, lane, update) = update.map_err(|_| LoadError::Thread)?;
            self.lanes.push((server, lane));
            sent.push(update);
        }
        Ok(sent)
    }

    async fn read_back(&self) -> Result<Journey, LoadError> {
        let journey = || self.journey.clone();
        let text = self.documents.get(&document::key(&self.journey)).await?;
        let text = text.ok_or_else(|| LoadError::NoDocument { journey: journey() })?;
        serde_json::from_str(&text)
            .map_err(|source| LoadError::BadDocument { journey: journey(), source })
    }
}

fn path(journey: &str, part: &Part) -> String {
    match part {
        Part::Journey => format!("/api/journeys/{journey}/status"),
        Part::Segment(id) => format!("/api/journeys/{journey}/segments/{id}/status"),
    }
}

async fn send(lane: &mut Lane, server: SocketAddr, path: &str, update: Update) -> Sent {
    let body = serde_json::json!({ "status": update.status }).to_string();
    let request = json_request("PUT", server, path, body);
    let sent_at = clock::now();
    let answer = match request {
        Ok(request) => lane.call(request, UPDATE_TIMEOUT).await.ok(),
        Err(_) => None,
    };
    let latency = sent_at.elapsed();
    let path = answer.as_ref().and_then(|answer| answer.headers.get("interlock-path"));
    Sent {
        update,
        served_by: ServedBy::from_header(path.map(|value| value.as_bytes())),
        acknowledged: answer.is_some_and(|answer| answer.status.is_success()),
        latency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::journey::{JourneyOptions, JourneyService};

    /// Wide enough that on a slow machine too most of a burst has read before the first update writes.
    const WIDE: Duration = Duration::from_millis(500);

    async fn service(window: Duration) -> (JourneyService, DocumentStore) {
        let store = DocumentStore::in_process();
        store.open().seed(&["J1".to_owned(), "J2".to_owned()]).await.unwrap();
        let options = JourneyOptions { window, ..JourneyOptions::on_loopback(store.clone()) };
        (JourneyService::start(options).unwrap(), store)
    }

    fn plan(servers: Vec<SocketAddr>, store: &DocumentStore, rounds: usize) -> LoadPlan {
        let journeys = vec!["J1".to_owned(), "J2".to_owned()];
        LoadPlan { servers, journeys, rounds, store: store.clone() }
    }

    #[tokio::test]
    async fn a_burst_straight_at_the_service_loses_most() {
        let (service, store) = service(WIDE).await;
        let progress = Arc::new(Progress::default());

        let report = run(plan(vec![service.addr()], &store, 1), Arc::clone(&progress)).await;

        let total = report.unwrap().total();
        assert_eq!((total.updates, total.acknowledged, total.failed), (42, 42, 0));
        assert!(total.lost > 21 && total.lost <= 40, "{}", total.lost);
        assert_eq!(progress.done.load(Ordering::Relaxed), 42);
        assert!(total.percentile(50).unwrap() >= WIDE);
    }

    #[tokio::test]
    async fn two_replicas_race_over_one_store() {
        let (one, store) = service(WIDE).await;
        let options = JourneyOptions { window: WIDE, ..JourneyOptions::on_loopback(store.clone()) };
        let other = JourneyService::start(options).unwrap();

        let report = run(plan(vec![one.addr(), other.addr()], &store, 1), Arc::default()).await;

        let lost = report.unwrap().total().lost;
        assert!(lost > 21 && lost <= 40, "{lost}");
    }

    #[tokio::test]
    async fn one_after_the_other_none_is_lost() {
        let (service, store) = service(Duration::from_millis(1)).await;
        let mut lane = Lane::to(service.addr());
        let parts = (0..SEGMENTS).map(|index| Part::Segment(document::segment_id(index)));
        let mut sent = Vec::new();

        for part in parts.chain([Part::Journey]) {
            let path = path("J1", &part);
            let update = Update { part, status: format!("Departed {}", sent.len()) };
            sent.push(send(&mut lane, service.addr(), &path, update).await);
        }

        let text = store.open().get("journey:J1").await.unwrap().unwrap();
        let journey: Journey = serde_json::from_str(&text).unwrap();
        assert_eq!(sent.len(), BURST);
        for sent in &sent {
            assert_eq!(fate(sent, &journey), crate::demo::oracle::Fate::Kept, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn the_two_routes_race_with_each_other() {
        let (service, store) = service(WIDE).await;
        let parts = [Part::Segment("S01".to_owned()), Part::Journey];
        let [one, other] = parts.map(|part| async {
            let path = path("J1", &part);
            let update = Update { part, status: "Departed 1".to_owned() };
            send(&mut Lane::to(service.addr()), service.addr(), &path, update).await
        });

        let (one, other) = tokio::join!(one, other);

        let text = store.open().get("journey:J1").await.unwrap().unwrap();
        assert!(one.acknowledged && other.acknowledged);
        assert_eq!(text.matches("Departed 1").count(), 1);
    }

    #[tokio::test]
    async fn what_nobody_answers_has_failed() {
        let (service, store) = service(WIDE).await;
        let gone = service.addr();
        service.stop();

        let report = run(plan(vec![gone], &store, 1), Arc::default()).await.unwrap();

        let total = report.total();
        assert_eq!((total.updates, total.failed, total.lost), (42, 42, 0));
    }

    #[tokio::test]
    async fn a_document_that_is_gone_is_no_result() {
        let (service, _) = service(Duration::from_millis(1)).await;
        let elsewhere = DocumentStore::in_process();

        let report = run(plan(vec![service.addr()], &elsewhere, 1), Arc::default()).await;

        assert!(matches!(report, Err(LoadError::NoDocument { .. })), "{report:?}");
    }

    #[tokio::test]
    async fn a_load_in_its_own_thread_ends_when_nobody_waits_for_it() {
        let (service, store) = service(Duration::from_millis(1)).await;
        let progress = Arc::new(Progress::default());

        let receiver = spawn(plan(vec![service.addr()], &store, 1_000_000), Arc::clone(&progress));
        drop(receiver);

        // The thread holds its clones until it has ended.
        while Arc::strong_count(&progress) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
