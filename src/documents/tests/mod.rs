//! Documents on real servers.

mod agreement;
mod editing;
mod open;
mod outage;
mod racing;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::domain::edit::Scalar;
use crate::fleet::Keys;
use crate::fleet::gate::{Era, Keeper, Standing};
use crate::lease::{self, FleetLeases, Lease, LeaseTerms, Leases, Purpose, StoreTerms};
use crate::remote::testing::{RedisConfig, TestServer};
use crate::remote::{Lane, Remote};
use crate::telemetry::labels::StoreOperation;
use crate::telemetry::{Telemetry, Topology};

/// The longest wait for anything that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A document's key, which is the entity as well.
const JOURNEY: &str = "journey:1";

const HOLDER: &str = "interlock:lease:{journey:1}:holder";
const EPOCH: &str = "{interlock}:epoch";

/// Its second segment has a number that no decoder keeps, and bytes that are no text.
const DOCUMENT: &[u8] =
    b"{\"Segments\":[{\"SegmentId\":\"S1\",\"Status\":\"On\"},{\"Id\":\"\0\xff\r\n\",\"Price\":850.50}],\"Status\":\"On\"}";
const S1: &[u8] = b"{\"SegmentId\":\"S1\",\"Status\":\"On\"}";
/// What is ahead of its status.
const S1_STATUS: &[u8] = b"{\"SegmentId\":\"S1\",\"Status\":";
const S1_OFF: &[u8] = b"{\"SegmentId\":\"S1\",\"Status\":\"Off\"}";

/// Runs a test on a store's thread.
fn on_store_thread(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.unwrap().block_on(async { timeout(PATIENCE, test).await.expect("the test hangs") });
}

/// Runs a test on each kind of server.
fn on_each_server(test: impl AsyncFn(&Trial)) {
    for server in [TestServer::redis(), TestServer::valkey()] {
        on_store_thread(async { test(&Trial::at(server.config()).await).await });
    }
}

/// Of a lease that outlasts its test.
const TERMS: LeaseTerms = LeaseTerms {
    wait: PATIENCE,
    max_waiters: 1,
    settle: PATIENCE,
    store: StoreTerms { call: PATIENCE, ..StoreTerms::NONE },
};

/// The desks of documents and of leases, and the workers' side of both.
struct Trial {
    documents: Documents,
    leases: FleetLeases,
    remote: Remote,
    place: Arc<Place>,
    suspected: mpsc::UnboundedReceiver<()>,
    desk: JoinSet<()>,
}

impl Trial {
    /// One that is connected, to a store of the epoch `e1`.
    async fn at(config: RedisConfig) -> Self {
        let telemetry = Telemetry::new(&Topology::default());
        let keys = Keys::new(&config.prefix);
        let (push, _) = mpsc::unbounded_channel();
        let remote = Remote::open(config, Vec::new(), push, telemetry.clone());
        let mut status = remote.status();
        let connected = status.wait_for(|status| status.connected.is_some()).await;
        let connected = connected.unwrap().connected.clone().unwrap();
        let place = Arc::new(Place {
            generation: connected.generation,
            epoch: "e1".to_owned(),
            cluster: connected.cluster,
        });
        let gate = Gate::new();
        let (documents, requests) = Documents::new(gate.clone(), "s".to_owned());
        let (suspect, suspected) = mpsc::unbounded_channel();
        let mut desk = JoinSet::new();
        let leases = leases(&remote, &keys, &place, &telemetry, &mut desk);
        desk.spawn_local(
            DocumentDesk::new(remote.clone(), keys, gate, suspect, telemetry).run(requests),
        );
        let trial = Self { documents, leases, remote, place, suspected, desk };
        trial.command(redis::cmd("SET").arg(EPOCH).arg("e1")).await;
        trial
    }

    /// What the server says to a command.
    async fn command(&self, command: &Cmd) -> Value {
        let key = command.args_iter().nth(1);
        let key = match key {
            Some(redis::Arg::Simple(key)) => String::from_utf8(key.to_vec()).unwrap(),
            _ => String::new(),
        };
        let command = command.clone();
        self.remote.call(Lane::Control, StoreOperation::Beat, &key, command, None).await.unwrap()
    }

    async fn set(&self, key: &str, value: &[u8]) {
        self.command(redis::cmd("SET").arg(key).arg(value)).await;
    }

    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        match self.command(redis::cmd("GET").arg(key)).await {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        }
    }

    async fn number(&self, command: &str, key: &str) -> i64 {
        match self.command(redis::cmd(command).arg(key)).await {
            Value::Int(number) => number,
            other => panic!("{other:?}"),
        }
    }

    /// The entity's lease, as a call of the app has it.
    async fn lease(&self) -> Lease {
        self.leases.acquire(JOURNEY, TERMS).await.unwrap()
    }

    /// The same as an edit has it.
    async fn lease_of_an_edit(&self) -> Lease {
        let store = StoreTerms { purpose: Purpose::Edit, ..TERMS.store };
        self.leases.acquire(JOURNEY, LeaseTerms { store, ..TERMS }).await.unwrap()
    }

    /// Gives a lease back; returns when it is free.
    async fn release(&self, lease: Lease) {
        lease.release();
        while self.get(HOLDER).await.is_some() {
            tokio::task::yield_now().await;
        }
    }

    async fn read(&self, ask: Ask) -> Read {
        self.documents.read(&self.place, ask).await.unwrap()
    }

    /// An edit of the document as it is now.
    async fn planned(&self, id: &str, splices: &[(Anchor, &[u8], &[u8])]) -> Edit {
        let Read::Document { fence, .. } = self.read(ask(id)).await else { panic!("no document") };
        let splice = |(anchor, old, new): &(Anchor, &[u8], &[u8])| Splice {
            anchor: *anchor,
            old: Old::Bytes(Bytes::copy_from_slice(old)),
            new: Bytes::copy_from_slice(new),
        };
        Edit {
            ask: ask(id),
            owner: None,
            fence,
            splices: splices.iter().map(splice).collect(),
            text: format!("answer to {id}").into(),
            keep: Duration::from_secs(60),
        }
    }

    async fn edit(&self, edit: &Edit) -> Edited {
        self.documents.edit(&self.place, edit.clone()).await.unwrap()
    }
}

/// Leases of the fleet, from a store that is there.
fn leases(
    remote: &Remote,
    keys: &Keys,
    place: &Arc<Place>,
    telemetry: &Telemetry,
    desk: &mut JoinSet<()>,
) -> FleetLeases {
    let Place { generation, cluster, ref epoch } = **place;
    let era = Era::at(Place { generation, cluster, epoch: epoch.clone() });
    let gate = Gate::new();
    Keeper::new(gate.clone()).turn(Standing::Open(Arc::new(era)));
    let (tell, errands) = mpsc::unbounded_channel();
    let (suspect, _) = mpsc::unbounded_channel();
    let (remote, keys, telemetry) = (remote.clone(), keys.clone(), telemetry.clone());
    let of = lease::Desk::new("s".to_owned(), remote, keys, gate.clone(), suspect, telemetry);
    desk.spawn_local(async move { of.run(errands).await });
    FleetLeases::new(gate, PATIENCE, tell)
}

fn ask(id: &str) -> Ask {
    Ask {
        entity: JOURNEY.into(),
        document: JOURNEY.into(),
        receipt: id.into(),
        limit: 1000,
        trace: TraceContext::NONE,
    }
}

/// An edit of a value that is left open, `"On"`, planned on the document as it is.
async fn left_open(trial: &Trial, anchor: Anchor, head: &[u8], tail: &[u8], new: &[u8]) -> Edit {
    let held = Bytes::copy_from_slice;
    let (was, kind) = (Bytes::from_static(b"\"On\""), Scalar::Text);
    let old = Old::Value { head: held(head), was, kind, tail: held(tail) };
    let splices = vec![Splice { anchor, old, new: held(new) }];
    Edit { splices, ..trial.planned("u1", &[]).await }
}

/// As if the document was read before anybody had a lease, much later than any edit is made.
fn unleased() -> Fence {
    Fence { lease: Bytes::from_static(b" "), read_ms: 1 << 52, known: clock::now() }
}

/// The name of an update's receipt in the store.
fn receipt(id: &str) -> String {
    format!("interlock:receipt:{{journey:1}}:{id}")
}

/// The document with other bytes in place of some.
fn with(old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = DOCUMENT.windows(old.len()).position(|bytes| bytes == old).unwrap();
    [&DOCUMENT[..at], new, &DOCUMENT[at + old.len()..]].concat()
}
