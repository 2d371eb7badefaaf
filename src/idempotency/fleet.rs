//! The workers' end of a fleet's records: what they have done in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::{mpsc, oneshot};

use super::claim::Held;
use super::key::{Payload, RecordName};
use super::{Begun, Claim, StoredAnswer, Terms};

/// The records that a fleet shares, for a worker's thread. Clones share everything.
#[derive(Clone)]
pub(crate) struct FleetRecords {
    requests: mpsc::UnboundedSender<Request>,
    tickets: Arc<AtomicU64>,
    sidecar: Arc<str>,
}

/// The other end, for the store's thread.
pub(crate) struct Requests {
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
}

/// What the store's thread is asked to do. How many wait is bounded by the calls in flight.
pub(super) enum Request {
    /// A call with a key comes.
    Begin(Record, oneshot::Sender<Asked>),
    /// A call has ended.
    End(Record, Ending),
    /// Do all that came before, and tell.
    Close(oneshot::Sender<()>),
}

/// What became of a call.
pub(super) enum Ending {
    /// It was answered; whoever waits is told whether that is recorded.
    Answered { answer: Vec<u8>, recorded: oneshot::Sender<bool> },
    /// Nobody knows.
    Abandoned,
    /// It was not sent.
    Withdrawn,
}

/// A call's record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) name: RecordName,
    pub(super) payload: Payload,
    pub(super) terms: Terms,
    pub(super) ticket: Arc<str>,
}

/// What the store said.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    First,
    Running,
    OtherPayload,
    /// The first call's ticket, where that can be read.
    Abandoned(Option<Arc<str>>),
    Answered(Box<StoredAnswer>),
    /// It said nothing, or nothing that can be understood.
    Unheard,
}

/// A first call's own record.
pub(super) struct FleetClaim {
    record: Record,
    requests: mpsc::UnboundedSender<Request>,
}

impl FleetRecords {
    /// Both ends, for the sidecar of this id.
    pub(crate) fn new(sidecar: &str) -> (Self, Requests) {
        let (sender, requests) = mpsc::unbounded_channel();
        let (tickets, sidecar) = (Arc::default(), sidecar.into());
        (Self { requests: sender, tickets, sidecar }, Requests { requests })
    }

    /// A call with a key comes.
    pub(super) async fn begin(&self, name: RecordName, payload: Payload, terms: Terms) -> Begun {
        let ticket = format!("{}/{}", self.sidecar, self.tickets.fetch_add(1, Relaxed));
        let record = Record { name, payload, terms, ticket: ticket.into() };
        // Made before it is asked for: whoever leaves meanwhile takes it back.
        let claim = FleetClaim { record: record.clone(), requests: self.requests.clone() };
        let of_another = |ticket| FleetClaim {
            record: Record { ticket, ..record.clone() },
            requests: self.requests.clone(),
        };
        let claim = Claim::new(Held::Fleet(claim));
        let (reply, replied) = oneshot::channel();
        // A store's thread that is gone answers nothing.
        let asked = match self.requests.send(Request::Begin(record.clone(), reply)) {
            Ok(()) => replied.await.unwrap_or(Asked::Unheard),
            Err(_) => Asked::Unheard,
        };
        let begun = match asked {
            Asked::First => return Begun::First(claim),
            Asked::Unheard => return Begun::Unrecorded(claim),
            Asked::Running => Begun::Running,
            Asked::OtherPayload => Begun::OtherPayload,
            Asked::Abandoned(first) => Begun::Abandoned(
                first.map(|ticket| Claim::of_another(Held::Fleet(of_another(ticket)))),
            ),
            Asked::Answered(answer) => Begun::Answered(*answer),
        };
        claim.forget();
        begun
    }

    /// Has all done that was asked for before.
    pub(crate) async fn close(&self) {
        let (told, done) = oneshot::channel();
        if self.requests.send(Request::Close(told)).is_ok() {
            done.await.ok();
        }
    }
}

impl FleetClaim {
    pub(super) fn ticket(&self) -> &str {
        &self.record.ticket
    }

    pub(super) async fn answered(self, answer: &StoredAnswer) -> bool {
        let (recorded, told) = oneshot::channel();
        let answer = answer.to_bytes();
        self.end(Ending::Answered { answer, recorded });
        told.await.unwrap_or(false)
    }

    pub(super) fn abandoned(self) {
        self.end(Ending::Abandoned);
    }

    pub(super) fn withdrawn(self) {
        self.end(Ending::Withdrawn);
    }

    fn end(self, ending: Ending) {
        // Where the store's thread is gone, the record says by its age that nobody knows.
        drop(self.requests.send(Request::End(self.record, ending)));
    }
}
