//! The store's thread: all that speaks to the fleet's Redis, and how it starts and ends.

mod assembly;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::{Running, StartError, spawn};
use crate::clock;
use crate::config::{self, Config, RedisConfig};
use crate::documents::{DocumentDesk, DocumentRequests};
use crate::domain::flag::OnStoreLoss;
use crate::fleet::gate::{Gate, Standing, changes_by};
use crate::fleet::ledger::Progress;
use crate::fleet::session::{Calls, Identity, Session};
use crate::fleet::{Contact, FleetView, Keys, SidecarView};
use crate::idempotency::{self, Clerk, FleetRecords, LocalRecords};
use crate::lease::{self, Desk, Errand, LocalLeases, SidecarLeases, StoreTerms};
use crate::proxy::worker::InStore;
use crate::remote::{Pushed, Remote};
use crate::shadow::Records;
use crate::shadow::records::Archive;
use crate::shadow::{JournalClerk, JournalRequests};
use crate::store::{Crew, FlagSeed, FlagStore, FlagSync, FleetRequests};
use crate::telemetry::labels::LeaseGate;
use crate::telemetry::{Telemetry, VERSION};
use crate::watch;
pub(crate) use assembly::{Fleet, assemble};

/// The longest that a start waits for the store to be joined or found gone; then it goes on, and is told of either later.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a shutdown waits for leases to be given back and for leaving the fleet.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two looks at this sidecar's updates while a flip waits for them.
const OVER_WITHIN: Duration = Duration::from_millis(5);

/// The most of a host's name that is taken into a sidecar's id, in characters: DNS allows a label of 63.
const MAX_HOST_NAME: usize = 63;

/// The store's thread, while it runs.
pub(super) struct StoreThread {
    running: Running,
    stop: oneshot::Sender<()>,
}

/// What the thread starts with.
struct Parts {
    redis: RedisConfig,
    me: Identity,
    gate: Gate,
    quarantine: Duration,
    flags: FlagStore,
    requests: FleetRequests,
    applied: watch::Receiver<Option<u64>>,
    errands: mpsc::UnboundedReceiver<Errand>,
    /// Where the errands come from.
    close: mpsc::UnboundedSender<Errand>,
    archive: Archive,
    view: Arc<ArcSwap<FleetView>>,
    telemetry: Telemetry,
}

/// What other threads ask of it, beside leases.
struct Asked {
    exchanges: JournalRequests,
    edits: DocumentRequests,
    of_keys: idempotency::Requests,
    /// Asks for the end of what is asked of keys.
    ended_keys: FleetRecords,
}

impl StoreThread {
    /// Starts it; returns when the fleet was joined, or the store found gone.
    pub(super) async fn start(
        config: &Config,
        redis: &RedisConfig,
        me: &Identity,
        flags: &FlagStore,
        telemetry: &Telemetry,
    ) -> Result<(Self, Fleet), StartError> {
        let (fleet, work) = assemble(config, redis, me, flags, telemetry);
        let settled = fleet.settled();
        let (stop, stopped) = oneshot::channel();
        let running = spawn("store".to_owned(), move || {
            // It belongs to the thread that makes it.
            let runtime =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(work.run(stopped)),
                Err(error) => tracing::error!(%error, "the store's thread gets no runtime"),
            }
        })?;
        settled.await;
        Ok((Self { running, stop }, fleet))
    }

    /// The thread itself.
    pub(super) fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Gives back what is held, leaves the fleet, and ends.
    pub(super) async fn end(self) {
        drop(self.stop);
        self.running.end().await;
    }
}

/// Until leases are granted and the flags were read, or the store is found gone.
async fn settled(gate: Gate, mut applied: watch::Receiver<Option<u64>>) {
    let deadline = clock::now() + START_TIMEOUT;
    let mut changes = gate.watch();
    while matches!(*gate.standing(), Standing::Rallying(_) | Standing::Draining) {
        if !changes_by(&mut changes, deadline).await {
            return;
        }
    }
    if matches!(*gate.standing(), Standing::Open(_)) {
        let read = applied.wait_for(Option::is_some);
        // Past it the flags are those of the snapshot or the configuration, and say so.
        drop(tokio::time::timeout_at(deadline, read).await);
    }
}

/// What a sidecar has from its fleet, or by itself: its leases, what became of calls with keys, and its divergence records.
pub(crate) fn shared(
    fleet: Option<&Fleet>,
    config: &Config,
    telemetry: &Telemetry,
) -> (InStore, Records) {
    match fleet {
        None => {
            let records = Records::in_memory(&config.divergence, config.flags.len(), telemetry);
            let keys = idempotency::Records::Local(LocalRecords::new());
            let leases = SidecarLeases::Local(LocalLeases::new());
            (InStore { leases, keys, documents: None }, records)
        }
        Some(fleet) => {
            let keys = idempotency::Records::Fleet(fleet.keys.clone());
            let (leases, documents) = (fleet.leases.clone(), Some(fleet.documents.clone()));
            (InStore { leases, keys, documents }, fleet.records.clone())
        }
    }
}

/// The longest that any call under a lease may go on and still write.
fn quarantine(config: &Config) -> Duration {
    let terms = StoreTerms {
        connect: config.legacy.connect_timeout,
        call: config.legacy.timeout,
        patience: Duration::ZERO,
        loss: OnStoreLoss::default(),
        ..StoreTerms::NONE
    };
    lease::quarantine(&terms, config.legacy.settle_after_timeout)
}

/// The host's name, which in Kubernetes is the pod's, and something that no other process has.
pub(super) fn identity() -> Identity {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let host: String = config::host_name().chars().filter(plain).take(MAX_HOST_NAME).collect();
    let host = if host.is_empty() { "sidecar" } else { host.as_str() };
    let id = format!("{host}-{:06x}", fastrand::u32(..1 << 24));
    Identity { id, started_ms: clock::wall_ms() }
}

async fn serve(
    parts: Parts,
    Asked { exchanges, edits, of_keys, ended_keys }: Asked,
    stopped: oneshot::Receiver<()>,
) {
    let keys = Keys::new(&parts.redis.prefix);
    let my_grants = format!("{}{}", keys.grants(), parts.me.id);
    let channels = vec![keys.changes(), keys.roll_call(), my_grants.clone()];
    let (push, pushed) = mpsc::unbounded_channel();
    let remote = Remote::open(parts.redis.clone(), channels, push, parts.telemetry.clone());

    let (beat, beats) = mpsc::unbounded_channel();
    let desk = Desk::new(
        parts.me.id.clone(),
        remote.clone(),
        keys.clone(),
        parts.gate.clone(),
        beat.clone(),
        parts.telemetry.clone(),
    );
    let (to_flags, flags_pushed) = mpsc::unbounded_channel();
    let routes =
        Routes { grants: my_grants, roll_call: keys.roll_call(), beat: beat.clone(), to_flags };
    // None of them ever ends by itself: one that did would leave the others to go on as if nothing had happened.
    let mut tasks = JoinSet::new();
    let clerk = JournalClerk::new(parts.me.id.clone(), remote.clone(), keys.clone(), exchanges);
    let key_clerk = Clerk::new(remote.clone(), keys.clone(), parts.redis.timeout, of_keys);
    let documents = DocumentDesk::new(
        remote.clone(),
        keys.clone(),
        parts.gate.clone(),
        beat.clone(),
        parts.telemetry.clone(),
    );
    let endless = [
        tasks.spawn_local(key_clerk.run()),
        tasks.spawn_local(spread(pushed, desk.clone(), routes)),
        tasks.spawn_local(beat_at_news(parts.applied.clone(), parts.flags.clone(), beat)),
        tasks.spawn_local(clerk.run()),
        tasks.spawn_local(documents.run(edits)),
    ];
    let close = parts.close.clone();
    let (leave, write_last) =
        take_part(parts, remote, keys, &desk, (beats, flags_pushed), &mut tasks);
    tokio::select! {
        biased;
        // Dropped or told, it is the same.
        _ = stopped => {}
        _ = tasks.join_next() => {
            tracing::error!(event = "store_task_ended", "a part of the store's thread ended: please report this");
            return;
        }
    }
    // Past the times given, what is held runs out, and the register forgets this sidecar.
    drop(close.send(Errand::Close));
    drop(timeout(END_TIMEOUT, ended_keys.close()).await);
    drop(timeout(END_TIMEOUT, tasks.join_next()).await);
    let (told, left) = oneshot::channel();
    if leave.send(told).is_ok() {
        drop(timeout(END_TIMEOUT, left).await);
    }
    endless.iter().for_each(AbortHandle::abort);
    drop(write_last);
    // What was last known of the flags reaches the disk, and what was found last the store.
    drop(timeout(END_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await);
}

/// Sets the session, the flags, the desk and the archive to work; gives what tells the session to leave, and what ends the
/// archive when it is dropped.
fn take_part(
    parts: Parts,
    remote: Remote,
    keys: Keys,
    desk: &Desk,
    (beats, pushed): (mpsc::UnboundedReceiver<()>, mpsc::UnboundedReceiver<Pushed>),
    tasks: &mut JoinSet<()>,
) -> (oneshot::Sender<oneshot::Sender<()>>, oneshot::Sender<()>) {
    let Parts { me, gate, quarantine, flags, view, telemetry, archive, .. } = parts;
    let crew = Crew { me: me.id.clone(), gate: gate.clone(), view: Arc::clone(&view) };
    let (contact, contacts) = watch::channel(Contact::default());
    let session = Session {
        me,
        remote: remote.clone(),
        keys: keys.clone(),
        gate,
        quarantine,
        updates: {
            let flags = flags.clone();
            Box::new(move || updates(&flags))
        },
        open_for: {
            let ledger = Arc::clone(flags.ledger());
            Box::new(move || ledger.open_for(quarantine))
        },
        contact,
        fleet: Arc::clone(&view),
        telemetry: telemetry.clone(),
    };
    let (leave, leaving) = oneshot::channel();
    tasks.spawn_local(session.run(Calls { beat: beats, leave: leaving }));
    let (write_last, ended) = oneshot::channel();
    tasks.spawn_local(archive.run(remote.clone(), keys.clone(), ended));
    let on_change = super::flags::tell_of_changes(&flags, &telemetry);
    let sync = FlagSync::new(remote, keys, flags, telemetry, parts.requests, on_change).with(crew);
    tasks.spawn_local(sync.run(contacts, pushed));
    let desk = desk.clone();
    tasks.spawn_local(async move { desk.run(parts.errands).await });
    (leave, write_last)
}

/// Whom pushed messages are for.
struct Routes {
    grants: String,
    roll_call: String,
    beat: mpsc::UnboundedSender<()>,
    to_flags: mpsc::UnboundedSender<Pushed>,
}

async fn spread(mut pushed: mpsc::UnboundedReceiver<Pushed>, desk: Desk, routes: Routes) {
    while let Some(message) = pushed.recv().await {
        match &message {
            Pushed::Message { channel, .. } if *channel == routes.grants => desk.pushed(&message),
            Pushed::Message { channel, .. } if *channel == routes.roll_call => {
                routes.beat.send(()).ok();
            }
            Pushed::Message { .. } | Pushed::Subscribed => {
                routes.to_flags.send(message).ok();
            }
        }
    }
}

/// The fleet learns at once which turns are applied here, and that updates which a flip waits for are over.
async fn beat_at_news(
    mut applied: watch::Receiver<Option<u64>>,
    flags: FlagStore,
    beat: mpsc::UnboundedSender<()>,
) {
    loop {
        let news = match flags.is_waited_for() {
            false => applied.changed().await.is_ok(),
            true => {
                let changed = timeout(OVER_WITHIN, applied.changed()).await;
                match changed {
                    Ok(changed) => changed.is_ok(),
                    Err(_) if flags.is_waited_for() => continue,
                    Err(_) => true,
                }
            }
        };
        if !news || beat.send(()).is_err() {
            return;
        }
    }
}

/// How far the updates of each flag are.
fn updates(flags: &FlagStore) -> BTreeMap<String, Progress> {
    let progress = |(index, seed): (usize, &FlagSeed)| {
        Some((seed.name.clone(), flags.ledger().progress(index)?))
    };
    flags.seeds().iter().enumerate().filter_map(progress).collect()
}

/// The fleet of a sidecar without a store.
pub(super) fn alone(me: &Identity, flags: &FlagStore) -> FleetView {
    let updates = updates(flags);
    let sidecar = SidecarView {
        id: me.id.clone(),
        this: true,
        build: VERSION.to_owned(),
        started_ms: me.started_ms,
        silent_ms: 0,
        leases: LeaseGate::Local,
        flags: updates.iter().map(|(flag, it)| (flag.clone(), it.applied.version)).collect(),
        updates,
    };
    FleetView { sidecars: vec![sidecar], at_ms: clock::wall_ms(), ..FleetView::default() }
}
