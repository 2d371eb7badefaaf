//! The racy service with its update log on, the updates that it gets, and which of them are gone.
//!
//! Each update leaves an id of its own in the document, appended to a list. So each has a field of its own, as in the model: an
//! acknowledged update whose id is not there at the end was lost, whatever came later.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use interlock::demo::client::{Lane, json_request};
use interlock::demo::journey::document::{self, SEGMENTS};
use interlock::demo::journey::{DocumentStore, Documents, Journey, JourneyOptions, JourneyService};
use interlock::domain::collision::Estimate;
use tokio::task::JoinSet;

/// The journey that all updates are of.
const JOURNEY: &str = "J0001";
/// For one answer: a window is some milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Updates that tell how long one takes alone.
const ALONE: u32 = 101;
/// The parts that a stream is cut into, each on a document of its own: how far they differ tells how far the mean may be off.
const PARTS: u32 = 10;

/// The service and its callers.
pub(crate) struct Stage {
    service: JourneyService,
    documents: Documents,
    random: fastrand::Rng,
    /// Connections that nobody uses now.
    lanes: Arc<Mutex<Vec<Lane>>>,
    last_id: u64,
}

/// What bursts came to.
pub(crate) struct Bursts {
    /// Updates of a burst.
    pub(crate) lost: Estimate,
}

impl Stage {
    /// Starts a service with that window.
    pub(crate) async fn start(window: Duration, seed: u64) -> Self {
        let store = DocumentStore::in_process();
        let documents = store.open();
        let options =
            JourneyOptions { window, update_log: true, ..JourneyOptions::on_loopback(store) };
        let service = JourneyService::start(options).unwrap();
        let random = fastrand::Rng::with_seed(seed);
        Self { service, documents, random, lanes: Arc::default(), last_id: 0 }
    }

    /// How long an update takes that meets no other: the median.
    pub(crate) async fn alone(&mut self) -> Duration {
        self.forget().await;
        let mut times = Vec::new();
        for _ in 0..ALONE {
            let mut updates = JoinSet::new();
            let start = Instant::now();
            self.send(&mut updates, Duration::ZERO);
            updates.join_all().await;
            times.push(start.elapsed());
        }
        times.sort();
        times[times.len() / 2]
    }

    /// Sends bursts, one after the other.
    pub(crate) async fn bursts(&mut self, size: u32, spread: Duration, bursts: u32) -> Bursts {
        let mut lost = Estimate::default();
        for _ in 0..bursts {
            self.forget().await;
            let mut updates = JoinSet::new();
            for _ in 0..size {
                let begin = spread.mul_f64(self.random.f64());
                self.send(&mut updates, begin);
            }
            let sent = updates.join_all().await;
            lost.add(self.lost(&sent).await as f64);
        }
        Bursts { lost }
    }

    /// Sends a Poisson stream; gives the share that is lost.
    pub(crate) async fn stream(&mut self, rate: f64, updates: u32) -> Estimate {
        let mut share = Estimate::default();
        for _ in 0..PARTS {
            self.forget().await;
            let mut under_way = JoinSet::new();
            let mut begin = Duration::ZERO;
            let started = Instant::now();
            for _ in 0..updates / PARTS {
                begin += Duration::from_secs_f64(-(1.0 - self.random.f64()).ln() / rate);
                // Not all at once into the task queue: each when it is due.
                tokio::time::sleep(begin.saturating_sub(started.elapsed())).await;
                self.send(&mut under_way, Duration::ZERO);
            }
            let sent = under_way.join_all().await;
            share.add(self.lost(&sent).await as f64 / sent.len() as f64);
        }
        share
    }

    /// A journey that nobody has updated.
    async fn forget(&self) {
        self.documents.seed(&[JOURNEY.to_owned()]).await.unwrap();
    }

    /// Sends an update after a while, on a connection that is free; gives its id.
    fn send(&mut self, updates: &mut JoinSet<String>, after: Duration) {
        self.last_id += 1;
        let (id, server) = (self.last_id.to_string(), self.service.addr());
        let segment = self.last_id as usize % SEGMENTS;
        let lanes = Arc::clone(&self.lanes);
        updates.spawn(async move {
            tokio::time::sleep(after).await;
            let free = lanes.lock().unwrap().pop();
            let mut lane = free.unwrap_or_else(|| Lane::to(server));
            let request = request(server, &document::segment_id(segment), &id);
            let answer = lane.call(request, PATIENCE).await.unwrap();
            assert!(answer.status.is_success(), "{answer:?}");
            lanes.lock().unwrap().push(lane);
            id
        });
    }

    /// How many of these acknowledged updates are not in the document.
    async fn lost(&self, sent: &[String]) -> usize {
        let text = self.documents.get(&document::key(JOURNEY)).await.unwrap().unwrap();
        let journey: Journey = serde_json::from_str(&text).unwrap();
        let there: BTreeSet<&String> =
            journey.segments.iter().flat_map(|segment| &segment.log).collect();
        sent.iter().filter(|id| !there.contains(id)).count()
    }
}

fn request(server: SocketAddr, segment: &str, id: &str) -> Request<Full<Bytes>> {
    let path = format!("/api/journeys/{JOURNEY}/segments/{segment}/status");
    let body = format!(r#"{{"status":"Departed {id}"}}"#);
    let mut request = json_request("PUT", server, &path, body).unwrap();
    request.headers_mut().insert("x-update-id", HeaderValue::from_str(id).unwrap());
    request
}
