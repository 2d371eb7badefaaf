//! A store's thread for tests: what the app makes of the parts, without flags.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::{Desk, FleetLeases};
use crate::fleet::gate::{Gate, Standing};
use crate::fleet::session::{Calls, Identity, Session};
use crate::fleet::{Contact, Keys};
use crate::lease::conformance::OnTrial;
use crate::lease::{Lease, LeaseError, LeaseTerms, Leases};
use crate::remote::testing::{RedisConfig, TestCluster, TestServer};
use crate::remote::{Pushed, Remote};
use crate::telemetry::{Telemetry, Topology};
use crate::watch;

/// Long enough for a busy machine: nothing here is about the store's loss.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// What calls from before may take: short, as tests begin with a new store.
const QUARANTINE: Duration = Duration::from_secs(1);

/// What a trial may be over.
pub(crate) trait Server: Any + Send + Sync {
    fn config(&self) -> RedisConfig;
}

impl Server for TestServer {
    fn config(&self) -> RedisConfig {
        self.config()
    }
}

impl Server for TestCluster {
    fn config(&self) -> RedisConfig {
        self.config()
    }
}

/// One sidecar's leases over a store. Clones are the same sidecar.
#[derive(Clone)]
pub(crate) struct Trial {
    pub(crate) leases: FleetLeases,
    pub(crate) gate: Gate,
    pub(crate) telemetry: Telemetry,
    _thread: Arc<StoreThread>,
    /// Where it is the trial's own.
    _server: Option<Arc<dyn Any + Send + Sync>>,
}

struct StoreThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Trial {
    /// A sidecar alone on a server of its own.
    pub(crate) async fn over(server: impl Server) -> Self {
        let config = server.config();
        let trial = Self::at(config, "alone").await;
        Self { _server: Some(Arc::new(server)), ..trial }
    }

    /// A sidecar by that name; returns when leases are granted.
    pub(crate) async fn at(config: RedisConfig, id: &str) -> Self {
        let config = RedisConfig { timeout: STORE_TIMEOUT, ..config };
        let gate = Gate::new();
        let (desk, errands) = mpsc::unbounded_channel();
        let leases = FleetLeases::new(gate.clone(), config.timeout, desk);
        let flags = vec!["flag".to_owned()];
        let telemetry = Telemetry::new(&Topology { flags, routes: Vec::new() });
        let (stop, stopped) = oneshot::channel::<()>();
        let me = Identity { id: id.to_owned(), started_ms: 1 };
        let (at_gate, told) = (gate.clone(), telemetry.clone());
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
                .unwrap();
            runtime.block_on(async move {
                serve(config, me, at_gate, told, errands);
                stopped.await.ok();
            });
        });
        let thread = Arc::new(StoreThread { stop: Some(stop), thread: Some(thread) });
        let trial = Self { leases, gate, telemetry, _thread: thread, _server: None };
        trial.open().await;
        trial
    }

    /// Waits until leases are granted.
    pub(crate) async fn open(&self) {
        let mut changes = self.gate.watch();
        while !matches!(*self.gate.standing(), Standing::Open(_)) {
            changes.changed().await.unwrap();
        }
    }
}

fn serve(
    config: RedisConfig,
    me: Identity,
    gate: Gate,
    telemetry: Telemetry,
    errands: mpsc::UnboundedReceiver<super::Errand>,
) {
    let keys = Keys::new(&config.prefix);
    let channels = vec![keys.roll_call(), format!("{}{}", keys.grants(), me.id)];
    let roll_call = keys.roll_call();
    let (push, mut pushed) = mpsc::unbounded_channel();
    let remote = Remote::open(config, channels, push, telemetry.clone());
    let (beat, beats) = mpsc::unbounded_channel();
    let desk = Desk::new(
        me.id.clone(),
        remote.clone(),
        keys.clone(),
        gate.clone(),
        beat.clone(),
        telemetry.clone(),
    );
    let session = Session {
        me,
        remote,
        keys,
        gate,
        quarantine: QUARANTINE,
        updates: Box::new(BTreeMap::new),
        open_for: Box::new(|| 0),
        contact: watch::channel(Contact::default()).0,
        fleet: Arc::default(),
        telemetry,
    };
    // One that is never told to leave, as after a crash.
    let (leave, leaving) = oneshot::channel();
    std::mem::forget(leave);
    spawn_local(session.run(Calls { beat: beats, leave: leaving }));
    let grants = desk.clone();
    spawn_local(async move { desk.run(errands).await });
    spawn_local(async move {
        while let Some(message) = pushed.recv().await {
            match &message {
                Pushed::Message { channel, .. } if *channel == roll_call => {
                    beat.send(()).ok();
                }
                _ => grants.pushed(&message),
            }
        }
    });
}

impl Leases for Trial {
    async fn acquire(&self, entity: &str, terms: LeaseTerms) -> Result<Lease, LeaseError> {
        self.leases.acquire(entity, terms).await
    }
}

impl OnTrial for Trial {
    /// A socket, a second thread and a second process lie between.
    const PACE: u32 = 4;

    fn asking(&self) -> Duration {
        self.soon()
    }

    fn held(&self) -> usize {
        let inner = &self.leases.inner;
        let slots = inner.slots.lock_each().map(|shard| shard.len());
        inner.local.held().max(slots.sum())
    }

    fn waiting(&self) -> usize {
        self.leases.inner.local.waiting()
    }

    fn sweep(&self) {
        self.leases.sweep();
    }
}
