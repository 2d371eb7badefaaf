//! Updates of journeys, one by one, and what their senders see of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Kept, Raw, Response};
use super::journey::Part;
use super::reader::ReadError;
use super::sidecar::Sidecar;

/// What an answer says in `Interlock-Degraded` of a call that had no lease as the store was gone.
pub(crate) const STORE_UNAVAILABLE: &str = "store-unavailable";

/// One update and what its sender saw of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Unique in its test.
    pub(crate) id: String,
    /// The id of the journey.
    pub(crate) journey: String,
    /// What it changes.
    pub(crate) part: Part,
    /// The number of the sidecar that it was sent to; 0 where there is but one.
    pub(crate) sidecar: usize,
    /// The answer, or why there was none.
    pub(crate) answer: Result<Response, ReadError>,
    /// When its sender began.
    pub(crate) began: Instant,
    /// When its sender had the answer, or gave up.
    pub(crate) ended: Instant,
}

/// What a sender knows of an update's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// It was told that the update took effect.
    Acknowledged,
    /// It was told that nothing had happened, and that it may try again.
    Refused,
    /// It was told that nobody knows, or nothing at all.
    Unknown,
}

impl Knowledge {
    /// What an answer tells, or that there was none.
    pub(crate) fn of(answer: &Result<Response, ReadError>) -> Self {
        match answer {
            Ok(response) if response.status == 200 => Self::Acknowledged,
            Ok(response) if says_nothing_happened(response) => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

fn says_nothing_happened(response: &Response) -> bool {
    let kind = response.headers.get("content-type").unwrap_or_default();
    kind.starts_with("application/problem+json") && response.json()["retry"] == "safe"
}

impl Sent {
    /// The answer. Fails the test where there was none.
    #[track_caller]
    pub(crate) fn response(&self) -> &Response {
        self.answer.as_ref().unwrap_or_else(|error| panic!("{} has no answer: {error:?}", self.id))
    }

    /// What its sender knows.
    pub(crate) fn knowledge(&self) -> Knowledge {
        Knowledge::of(&self.answer)
    }

    /// Whether its sender was told that it took effect.
    pub(crate) fn acknowledged(&self) -> bool {
        self.knowledge() == Knowledge::Acknowledged
    }

    /// The status of the answer, if there was one.
    pub(crate) fn status(&self) -> Option<u16> {
        self.answer.as_ref().ok().map(|response| response.status)
    }

    /// Which path it took.
    #[track_caller]
    pub(crate) fn path(&self) -> &str {
        self.response().headers.get("interlock-path").expect("Interlock-Path")
    }

    /// Whether its answer says that it was served in this degraded way.
    pub(crate) fn degraded(&self, how: &str) -> bool {
        let said = |response: &Response| response.headers.list("interlock-degraded");
        self.answer.as_ref().is_ok_and(|response| said(response).iter().any(|word| word == how))
    }

    /// Whether it ran, or may have, without its lease as the store was gone.
    pub(crate) fn unprotected(&self) -> bool {
        self.degraded(STORE_UNAVAILABLE) && self.knowledge() != Knowledge::Refused
    }

    /// How long its sender waited.
    pub(crate) fn took(&self) -> Duration {
        self.ended - self.began
    }
}

/// Sends an update to a sidecar and waits for its answer.
#[track_caller]
pub(crate) fn update(sidecar: &Sidecar, journey: &str, part: Part, id: String) -> Sent {
    let mut caller = Caller::of(0, sidecar.address());
    let sent = caller.update(journey, part, id);
    sent.response();
    sent
}

/// Somebody who sends one update after the other, on one connection for as long as that lasts.
pub(crate) struct Caller {
    sidecar: usize,
    connection: Kept,
}

impl Caller {
    /// One that calls the sidecar with this number at this address.
    pub(crate) fn of(sidecar: usize, address: SocketAddr) -> Self {
        Self { sidecar, connection: Kept::to(address) }
    }

    /// Sends an update and waits for its answer, whatever becomes of it. Nothing is sent twice.
    pub(crate) fn update(&mut self, journey: &str, part: Part, id: String) -> Sent {
        let began = Instant::now();
        let answer = self.connection.call(&request(journey, part, &id));
        let (journey, sidecar, ended) = (journey.to_owned(), self.sidecar, Instant::now());
        Sent { id, journey, part, sidecar, answer, began, ended }
    }

    /// Sends an update and leaves without waiting for anything; returns the connection, which ends with it.
    pub(crate) fn send_only(&mut self, journey: &str, part: Part, id: &str) -> Option<Raw> {
        let mut connection = Raw::try_connect(self.connection.address).ok()?;
        connection.try_send(&request(journey, part, id)).ok()?;
        Some(connection)
    }
}

fn request(journey: &str, part: Part, id: &str) -> Vec<u8> {
    let (path, body) =
        (part.path(journey), json!({ "status": format!("set by {id}") }).to_string());
    let length = body.len();
    format!(
        "PUT {path} HTTP/1.1\r\nHost: app.test\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nX-Update-Id: {id}\r\n\r\n{body}"
    )
    .into_bytes()
}
