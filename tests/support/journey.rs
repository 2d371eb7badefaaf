//! The racy journey service as a process of its own, and its documents.

use std::fmt::{self, Display};

use serde_json::{Value, json};

use super::client::{Raw, get};
use super::config::{segment_of, status_of};
use super::ports::ReservedPort;
use super::process::Process;
use super::redis::Redis;
use super::sidecar::interlock;

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

    /// Stops it as it is: connections stay open, and nobody answers.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on where it was.
    #[track_caller]
    pub(crate) fn resume(&self) {
        self.process.signal("CONT");
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

    /// Where its status is updated.
    pub(crate) fn path(self, journey: &str) -> String {
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
