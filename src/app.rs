//! The composition root: from a configuration to running parts, and in order back again.
//!
//! The order in which they start and stop stands in `docs/architecture.md`, under "Threads, and who owns what". The workers
//! start last: nothing is served before all is there. The admin plane ends last, so that the drain can be watched.

mod admin;
mod detector;
mod flags;
mod judge;
mod signals;
mod store;
mod traces;
mod workers;

/// What a simulation puts a sidecar together from.
#[cfg(test)]
pub(crate) mod parts {
    pub(crate) use super::flags::open_store;
    pub(crate) use super::store::{Fleet, assemble, shared};
    pub(crate) use super::traces::topology;
}

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use self::admin::AdminFiles;
use self::detector::DetectorThread;
use self::judge::JudgeThread;
use self::signals::EndSignals;
use self::store::StoreThread;
use self::traces::TraceThread;
use self::workers::{bind_workers, spawn_worker};
use crate::admin::files::FileError;
use crate::admin::health::Health;
use crate::config::{self, Config, Loaded};
use crate::net::{self, BoundListener};
use crate::proxy::worker::Shared;
use crate::store::StoreError;
use crate::telemetry::events::{ConfigWarning, DrainFinished, DrainStarted, SidecarStarted};
use crate::telemetry::{Telemetry, logging};

/// How often what nobody waits for is looked after on the admin thread.
const UPKEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Why a sidecar could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens there, or it is no address of this machine.
    #[error("{key} = \"{address}\": can't listen there: {source}")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The flags can't be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the admin plane can't be used.
    #[error(transparent)]
    AdminFile(#[from] FileError),
    /// The system gives no thread or runtime.
    #[error("can't start a thread: {0}")]
    Thread(#[source] io::Error),
}

impl StartError {
    /// As `interlock check` has it: 2 where the configuration has to be mended, else 1.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::AdminFile(_) => ExitCode::from(2),
            Self::Listen { .. } | Self::Store(_) | Self::Thread(_) => ExitCode::FAILURE,
        }
    }
}

/// A running sidecar. Dropping it begins a drain that nobody waits for; [`Sidecar::shutdown`] is the orderly way.
pub struct Sidecar {
    listen_addr: SocketAddr,
    admin_addr: SocketAddr,
    health: Arc<Health>,
    telemetry: Telemetry,
    shared: Arc<Shared>,
    drain: watch::Sender<bool>,
    workers: Vec<Running>,
    judge: Option<JudgeThread>,
    detector: Option<DetectorThread>,
    /// Where a fleet has a store.
    store: Option<StoreThread>,
    /// Where a collector is configured.
    traces: Option<TraceThread>,
    admin: Option<(oneshot::Sender<()>, Running)>,
}

/// A thread of ours; `ended` is told (or dropped) when it ends.
struct Running {
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl Running {
    async fn end(self) {
        // Dropped without a word when the thread's body ends, so joining it doesn't block. It may have been seen to end.
        if !self.ended.is_terminated() {
            self.ended.await.ok();
        }
        self.thread.join().ok();
    }
}

impl Sidecar {
    /// Starts all parts. Ready when this returns.
    ///
    /// # Errors
    /// Nothing runs then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (telemetry, traces) = traces::start(&config)?;
        let store = flags::open_store(&config, &telemetry)?;
        let files = AdminFiles::read(&config.admin)?;
        let listeners = bind_workers(&config)?;
        let me = store::identity();
        let fleet = match &config.store.redis {
            None => None,
            Some(redis) => Some(StoreThread::start(&config, redis, &me, &store, &telemetry).await?),
        };
        let (store_thread, fleet) = fleet.unzip();
        let listen_addr = local_addr(listeners.first(), config.proxy.listen);
        let admin_listener = bind("admin.listen", config.admin.listen, false)?;
        let admin_addr = local_addr(Some(&admin_listener), config.admin.listen);

        let health = Arc::new(Health::new(config.proxy.workers, &[]));
        let (in_store, records) = store::shared(fleet.as_ref(), &config, &telemetry);
        let judge = JudgeThread::start(&config, &records, &telemetry)?;
        let submit = judge.as_ref().map(JudgeThread::judge);
        let (notebook, detector) =
            DetectorThread::start(&config, &me.id, fleet.as_ref(), &records, &telemetry)?.unzip();
        let shared = Shared::new(config, store, in_store, submit, telemetry.clone(), notebook);
        let state = admin::state(&shared, &health, me, (&files, admin_addr), (fleet, records));
        let (stop_admin, admin) = admin::spawn(state, admin_listener, files)?;
        let (drain, _) = watch::channel(false);
        let mut workers = Vec::with_capacity(listeners.len());
        for (number, listener) in listeners.into_iter().enumerate() {
            workers.push(spawn_worker(number, listener, &shared, &health, &drain)?);
        }
        SidecarStarted { proxy: listen_addr, admin: admin_addr, workers: workers.len() }
            .emit(&telemetry);
        let admin = Some((stop_admin, admin));
        Ok(Self {
            listen_addr,
            admin_addr,
            health,
            telemetry,
            shared,
            drain,
            workers,
            judge,
            detector,
            store: store_thread,
            traces,
            admin,
        })
    }

    /// Where clients connect; the real port where 0 was configured.
    pub fn listen_addr(&self) -> SocketAddr {
        self.listen_addr
    }

    /// Where the admin plane listens.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Readiness goes, calls in flight finish within `proxy.drain`, then everything ends.
    pub async fn shutdown(mut self) {
        self.health.start_draining();
        let connections = self.shared.connections.load(Relaxed);
        DrainStarted { connections }.emit(&self.telemetry);
        self.drain.send_replace(true);
        for worker in self.workers.drain(..) {
            worker.end().await;
        }
        if let Some(judge) = self.judge.take() {
            judge.end().await;
        }
        // After the workers, so that it has noted all of their updates; before the store, in which it tells of them.
        if let Some(detector) = self.detector.take() {
            detector.end().await;
        }
        let abandoned = self.shared.abandoned.load(Relaxed);
        DrainFinished { abandoned }.emit(&self.telemetry);
        if let Some(store) = self.store.take() {
            store.end().await;
        }
        if let Some(traces) = self.traces.take() {
            traces.end().await;
        }
        if let Some((stop, admin)) = self.admin.take() {
            drop(stop);
            admin.end().await;
        }
    }

    /// Completes when a worker, the detector's, the store's or the admin plane's thread has died, which none ever should.
    async fn worker_died(&mut self) {
        poll_fn(|cx| {
            let store = self.store.iter_mut().map(StoreThread::running);
            let detector = self.detector.iter_mut().map(DetectorThread::running);
            let admin = self.admin.iter_mut().map(|(_, running)| running);
            let mut threads = self.workers.iter_mut().chain(store).chain(detector).chain(admin);
            match threads.any(|thread| Pin::new(&mut thread.ended).poll(cx).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// `interlock run`: sets up the log, serves until it is told to stop, and gives the process's exit code.
pub fn serve(loaded: Loaded) -> ExitCode {
    let format = match loaded.config.telemetry.log_format {
        config::LogFormat::Json => logging::LogFormat::Json,
        config::LogFormat::Text => logging::LogFormat::Text,
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let code = match (logging::init(&loaded.config.telemetry.log, format), runtime) {
        (Ok(()), Ok(runtime)) => {
            for warning in &loaded.warnings {
                ConfigWarning { key: &warning.key, advice: &warning.notice.to_string() }.emit();
            }
            runtime.block_on(run(loaded.config))
        }
        (Err(error), _) => {
            tracing::error!(%error, "the log can't be set up");
            ExitCode::FAILURE
        }
        (_, Err(error)) => {
            tracing::error!(%error, "the system gives no runtime");
            ExitCode::FAILURE
        }
    };
    logging::flush();
    code
}

/// Runs a sidecar until SIGTERM, SIGINT or SIGHUP; a second signal ends it at once.
async fn run(config: Config) -> ExitCode {
    // Before anything runs: a signal that comes meanwhile must not end it without a drain.
    let Ok(mut signals) = EndSignals::listen() else {
        tracing::error!("the system gives no signals");
        return ExitCode::FAILURE;
    };
    let mut sidecar = match Sidecar::start(config).await {
        Ok(sidecar) => sidecar,
        Err(error) => {
            tracing::error!(%error, "the sidecar can't start");
            return error.exit_code();
        }
    };
    let code = tokio::select! {
        () = signals.next() => ExitCode::SUCCESS,
        () = sidecar.worker_died() => ExitCode::FAILURE,
    };
    tokio::select! {
        () = sidecar.shutdown() => code,
        () = signals.next() => ExitCode::FAILURE,
    }
}

fn bind(key: &'static str, address: SocketAddr, shared: bool) -> Result<BoundListener, StartError> {
    net::listen(address, shared).map_err(|source| StartError::Listen { key, address, source })
}

fn local_addr(listener: Option<&BoundListener>, otherwise: SocketAddr) -> SocketAddr {
    listener.and_then(|listener| listener.local_addr().ok()).unwrap_or(otherwise)
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<Running, StartError> {
    let (tell, ended) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            let _told_on_drop: oneshot::Sender<()> = tell;
            body();
        })
        .map_err(StartError::Thread)?;
    Ok(Running { thread, ended })
}
