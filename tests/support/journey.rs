//! The racy journey service as a process of its own, its documents, and the oracle that finds what it lost.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde_json::{Value, json};

use super::client::{Raw, Response, get};
use super::config::{segment_of, status_of};
use super::ports::ReservedPort;
use super::process::Process;
use super::redis::Redis;
use super::sidecar::{Sidecar, interlock};

/// How many segments a journey has.
pub(crate) const SEGMENTS: usize = 20;

/// The service, which keeps in each document the ids of the updates that it made; killed when dropped.
pub(crate) struct JourneyService {
    process: Process,
    port: ReservedPort,
    redis_url: String,
    window: &'static str,
}

impl JourneyService {
    /// One over the documents at `redis_url`, whose updates take `window` between their read and their write.
    #[track_caller]
    pub(crate) fn start(redis_url: &str, window: &'static str) -> Self {
        let port = ReservedPort::new();
        let redis_url = redis_url.to_owned();
        let process = serve(&port, &redis_url, window);
        Self { process, port, redis_url, window }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was, and waits until it answers.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.process = serve(&self.port, &self.redis_url, self.window);
    }
}

#[track_caller]
fn serve(port: &ReservedPort, redis_url: &str, window: &str) -> Process {
    let address = port.address();
    let mut command = interlock(&["demo", "--serve", &address.to_string(), "--redis", redis_url]);
    // The one journey that it seeds by itself is what it is asked for here, and nothing that a test looks at.
    command.args(["--journeys", "1", "--window", window, "--update-log"]);
    let mut process = Process::start(&mut command);
    process.wait_until("the journey service to answer", |_| {
        let Ok(mut client) = Raw::try_connect(address) else {
            return false;
        };
        client.send(&get("/api/journeys/J0001"));
        client.try_response().is_ok_and(|response| response.status == 200)
    });
    process
}

/// A part of a journey's document with a status of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The journey itself.
    Journey,
    /// The segment with this number, from 1.
    Segment(usize),
}

impl Part {
    /// Every segment, once.
    pub(crate) fn segments() -> Vec<Self> {
        (1..=SEGMENTS).map(Self::Segment).collect()
    }

    fn path(self, journey: &str) -> String {
        match self {
            Self::Journey => status_of(journey),
            Self::Segment(_) => segment_of(journey, self),
        }
    }
}

/// For a segment, its id.
impl Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journey => f.write_str("the journey's own status"),
            Self::Segment(number) => write!(f, "SEG-{number}"),
        }
    }
}

/// One update and what its sender saw of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Unique in its test.
    pub(crate) id: String,
    /// The id of the journey.
    pub(crate) journey: String,
    /// What it changes.
    pub(crate) part: Part,
    /// The answer.
    pub(crate) response: Response,
}

impl Sent {
    /// Whether its sender was told that it took effect.
    pub(crate) fn acknowledged(&self) -> bool {
        self.response.status == 200
    }

    /// Which path it took.
    #[track_caller]
    pub(crate) fn path(&self) -> &str {
        self.response.headers.get("interlock-path").expect("Interlock-Path")
    }
}

/// Sends an update to a sidecar and waits for its answer.
#[track_caller]
pub(crate) fn update(sidecar: &Sidecar, journey: &str, part: Part, id: String) -> Sent {
    let (path, body) =
        (part.path(journey), json!({ "status": format!("set by {id}") }).to_string());
    let length = body.len();
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: app.test\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nX-Update-Id: {id}\r\n\r\n{body}"
    );
    let response = sidecar.call(request.as_bytes());
    Sent { id, journey: journey.to_owned(), part, response }
}

/// The key of a journey, in the store and as an entity.
pub(crate) fn key_of(journey: &str) -> String {
    format!("journey:{journey}")
}

/// Stores a journey that nobody has updated yet.
#[track_caller]
pub(crate) fn store_journey(redis: &Redis, journey: &str) {
    let segment = |part: Part| {
        json!({
            "SegmentId": part.to_string(), "Origin": "OSL", "Destination": "BGO",
            "DepartureTime": "2030-01-01T06:00:00Z", "ArrivalTime": "2030-01-01T07:00:00Z",
            "FlightNumber": "XX1", "Carrier": "Example Air", "Status": "Planned", "Price": 10.25,
        })
    };
    let segments: Vec<Value> = Part::segments().into_iter().map(segment).collect();
    let document = json!({
        "Id": journey, "PassengerName": "Grace Sample", "PassengerEmail": "grace@example.org",
        "BookingDate": "2029-12-01T10:00:00Z", "Status": "Booked", "TotalPrice": 205.00,
        "Segments": segments, "Metadata": {},
    });
    redis.set(&key_of(journey), &document.to_string());
}

/// The ids that a document holds, under the part whose updates they were.
#[track_caller]
pub(crate) fn logged(redis: &Redis, journey: &str) -> BTreeMap<String, Vec<String>> {
    let text = redis.get(&key_of(journey)).unwrap_or_else(|| panic!("no document of {journey}"));
    let document: Value = serde_json::from_str(&text).unwrap();
    let ids = |log: &Value| -> Vec<String> {
        let ids = log.as_array().into_iter().flatten();
        ids.map(|id| id.as_str().expect("an id").to_owned()).collect()
    };
    let mut logs = BTreeMap::from([(Part::Journey.to_string(), ids(&document["Metadata"]["Log"]))]);
    for segment in document["Segments"].as_array().expect("segments") {
        logs.insert(segment["SegmentId"].as_str().expect("an id").to_owned(), ids(&segment["Log"]));
    }
    logs
}

/// What the oracle says about updates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// How many were acknowledged.
    pub(crate) acknowledged: usize,
    /// The ids of those that were acknowledged and are not where they belong.
    pub(crate) lost: Vec<String>,
    /// The ids of those that took effect more than once.
    pub(crate) repeated: Vec<String>,
}

/// The oracle. To be asked when all updates were answered: an update that was acknowledged is in the log of its part,
/// once, whatever came after it.
#[track_caller]
pub(crate) fn findings<'s>(redis: &Redis, sent: impl IntoIterator<Item = &'s Sent>) -> Findings {
    let mut logs = BTreeMap::new();
    let mut findings = Findings::default();
    for update in sent {
        let journey = &update.journey;
        let log = logs.entry(journey.clone()).or_insert_with(|| logged(redis, journey));
        let times = log[&update.part.to_string()].iter().filter(|id| **id == update.id).count();
        if update.acknowledged() {
            findings.acknowledged += 1;
            findings.lost.extend((times == 0).then(|| update.id.clone()));
        }
        findings.repeated.extend((times > 1).then(|| update.id.clone()));
    }
    findings
}
