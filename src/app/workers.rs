//! The workers' listeners and threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use super::{Running, StartError, bind, local_addr, spawn};
use crate::admin::health::Health;
use crate::config::Config;
use crate::net::{BoundListener, TcpListener};
use crate::proxy::server;
use crate::proxy::worker::{Shared, Worker};
use crate::telemetry::events::WorkerPanicked;

/// One listener per worker. The first one resolves port 0 for the others, and is not shared at first: another process that
/// listens there must be an error, not half of the traffic.
pub(super) fn bind_workers(config: &Config) -> Result<Vec<BoundListener>, StartError> {
    let key = "proxy.listen";
    let probe = bind(key, config.proxy.listen, false)?;
    let address = local_addr(Some(&probe), config.proxy.listen);
    drop(probe);
    (0..config.proxy.workers).map(|_| bind(key, address, true)).collect()
}

/// Starts a worker on its listener.
pub(super) fn spawn_worker(
    number: usize,
    listener: BoundListener,
    shared: &Arc<Shared>,
    health: &Arc<Health>,
    drain: &watch::Sender<bool>,
) -> Result<Running, StartError> {
    let up = health.worker_up();
    let (shared, drain) = (Arc::clone(shared), drain.subscribe());
    spawn(format!("worker-{number}"), move || {
        let _up = up;
        let telemetry = shared.telemetry.clone();
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let runtime =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener)?;
                let worker = Worker::new(number, Arc::clone(&shared));
                let cut = server::run(worker, listener, drain).await;
                shared.abandoned.fetch_add(cut, Relaxed);
                Ok::<(), io::Error>(())
            })
        }));
        match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                WorkerPanicked { worker: number, said: &error.to_string() }.emit(&telemetry)
            }
            Err(panic) => {
                let said = panic.downcast_ref::<&str>().copied().unwrap_or("a panic");
                WorkerPanicked { worker: number, said }.emit(&telemetry);
            }
        }
    })
}
