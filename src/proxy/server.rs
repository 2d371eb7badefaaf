//! The data plane's threads: accepting, serving, sweeping, draining.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::watch::Receiver;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout_at};

use super::error;
use super::handler::{Client, handle};
use super::io::ClientIo;
use super::watch::{Fate, Limits, Watch};
use super::worker::Worker;
use crate::clock::{self, Instant};
use crate::lease::SWEEP_EVERY;
use crate::net::{self, TcpListener, TcpStream};
use crate::telemetry::GaugeGuard;
use crate::telemetry::events::{ClientRefused, WorkerPanicked};
use crate::telemetry::labels::ClientError;

/// The least that hyper's read buffer may hold.
const LEAST_BUFFER: usize = 16 * 1024;

/// After an accept that failed (out of descriptors, say) the next one waits this long, rather than to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Failing accepts are told of once in this time.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// While draining, connections are accepted for this long after readiness went: what routes traffic here needs that time to
/// hear of it, and a refused connection is a failed call.
const ACCEPT_GRACE: Duration = Duration::from_secs(1);

/// Serves until `drain` says so, then for as long as calls are in flight, within `proxy.drain`. Gives the number of
/// connections and calls that were cut.
pub(crate) async fn run(
    worker: Rc<Worker>,
    listener: TcpListener,
    mut drain: Receiver<bool>,
) -> usize {
    let mut sweeping = tokio::task::spawn_local(sweep(Rc::clone(&worker)));
    tokio::select! {
        biased;
        _ = drain.wait_for(|drain| *drain) => {}
        // Without it no limit on time would hold: the worker ends, and with it the sidecar.
        _ = &mut sweeping => {}
        () = accept(&worker, &listener) => {}
    }
    worker.draining.set(true);
    worker.close_lanes();
    let cut = finish(&worker, listener).await;
    worker.stopped.set(true);
    sweeping.abort();
    cut
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = interval(Limits::of(&worker.shared.config.proxy).tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leases_swept = clock::now();
    loop {
        ticks.tick().await;
        worker.sweep();
        if leases_swept.elapsed() >= SWEEP_EVERY {
            worker.shared.leases.sweep();
            worker.shared.edit_turns.sweep();
            leases_swept = clock::now();
        }
    }
}

async fn accept(worker: &Rc<Worker>, listener: &TcpListener) {
    let mut told: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => admit(worker, tcp, peer),
            Err(error) if is_peers(&error) => {}
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                    told = Some(clock::now());
                    tracing::warn!(%error, "accepting a connection failed: are there descriptors enough?");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was gone before it was accepted is no fault of ours.
fn is_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

fn admit(worker: &Rc<Worker>, tcp: TcpStream, peer: SocketAddr) {
    let shared = &worker.shared;
    if net::tune(&tcp).is_err() {
        return;
    }
    if shared.connections.fetch_add(1, Relaxed) >= shared.config.proxy.max_connections {
        shared.connections.fetch_sub(1, Relaxed);
        ClientRefused { reason: ClientError::TooManyConnections }.emit(&shared.telemetry);
        // Best effort: the socket's buffer is empty, so these few bytes fit.
        tcp.try_write(&error::RAW_TOO_MANY_CONNECTIONS).ok();
        return;
    }
    let (number, watch) = worker.watches.borrow_mut().add();
    let admitted =
        Admitted { worker: Rc::clone(worker), number, _counted: shared.telemetry.connection() };
    tokio::task::spawn_local(wait_for_first_byte(admitted, tcp, peer, watch));
}

/// A client connection's place among the worker's; given up on drop.
pub(crate) struct Admitted {
    worker: Rc<Worker>,
    number: u64,
    _counted: GaugeGuard,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = "a client's connection was given up";
            WorkerPanicked { worker: self.worker.number, said }.emit(&self.worker.shared.telemetry);
        }
        self.worker.shared.connections.fetch_sub(1, Relaxed);
        self.worker.watches.borrow_mut().remove(self.number);
        self.worker.ended.notify_one();
    }
}

/// A connection costs next to nothing until its first byte: hyper's buffers and a request's whole state come after that.
async fn wait_for_first_byte(
    admitted: Admitted,
    tcp: TcpStream,
    peer: SocketAddr,
    watch: Arc<Watch>,
) {
    let readable = std::future::poll_fn(|cx| {
        if watch.fate() != Fate::Live {
            return Poll::Ready(false);
        }
        match tcp.poll_read_ready(cx) {
            Poll::Ready(ready) => Poll::Ready(ready.is_ok()),
            Poll::Pending => {
                watch.park(cx.waker());
                Poll::Pending
            }
        }
    })
    .await;
    if readable {
        tokio::task::spawn_local(serve(admitted, tcp, peer, watch));
    }
}

async fn serve(admitted: Admitted, tcp: TcpStream, peer: SocketAddr, watch: Arc<Watch>) {
    let worker = Rc::clone(&admitted.worker);
    let max_headers = worker.shared.config.proxy.max_headers;
    let client = Rc::new(Client::new(peer, Arc::clone(&watch), Rc::new(admitted)));
    let service = {
        let worker = Rc::clone(&worker);
        service_fn(move |request| handle(Rc::clone(&worker), Rc::clone(&client), request))
    };
    let io = TokioIo::new(ClientIo::new(tcp, Arc::clone(&watch)));
    let ended = http1::Builder::new()
        .writev(false)
        .header_read_timeout(None)
        .max_header_size(max_headers)
        .max_buf_size(max_headers.max(LEAST_BUFFER))
        .serve_connection(io, service)
        .with_upgrades()
        .await;
    let reason = match (ended, watch.fate()) {
        (_, Fate::SlowHead) => Some(ClientError::HeaderTimeout),
        (_, Fate::StuckWrite) => Some(ClientError::BodyTimeout),
        // Counted as it was answered: hyper does not tell the two apart.
        (Err(error), _) if error.is_parse_too_large() && watch.has_long_target() => {
            Some(ClientError::UriTooLong)
        }
        (Err(error), _) if error.is_parse_too_large() => Some(ClientError::HeadersTooLarge),
        (Err(error), _) if error.is_parse() => Some(ClientError::Malformed),
        _ => None,
    };
    if let Some(reason) = reason {
        ClientRefused { reason }.emit(&worker.shared.telemetry);
    }
}

/// Lets what is in flight finish. Gives the number of connections and calls that were still there at the deadline.
async fn finish(worker: &Rc<Worker>, listener: TcpListener) -> usize {
    let within = worker.shared.config.proxy.drain;
    let deadline = clock::now() + within;
    let grace = clock::now() + ACCEPT_GRACE.min(within / 4);
    timeout_at(grace, accept(worker, &listener)).await.ok();
    // Whoever the kernel has connected already is served as well.
    while let Ok(Ok((tcp, peer))) = timeout_at(clock::now(), listener.accept()).await {
        admit(worker, tcp, peer);
    }
    drop(listener);
    let empty = async {
        while worker.load() > 0 {
            worker.ended.notified().await;
        }
    };
    timeout_at(deadline, empty).await.ok();
    worker.load()
}
