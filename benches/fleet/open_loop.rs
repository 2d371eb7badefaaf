//! A load that does not wait: calls are due at a fixed rate, and each one's latency counts from when it was due, so that
//! a stall shows in all the calls that it held up.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::calls::Updates;
use crate::http::{Connection, HttpError};

/// Connections, each with its thread: a call may take this many periods until it delays another one.
const CONNECTIONS: u32 = 200;
/// How many entities each connection goes round: no two share one. Few, so that each comes again within two seconds: an
/// entity that an outage left leased to nobody must show.
const ENTITIES_PER_CONNECTION: usize = 20;
/// Of a thread, in bytes: they do little.
const STACK: usize = 256 * 1024;

/// One call.
pub(crate) struct Call {
    /// When it was due, since the load's start.
    pub(crate) due: Duration,
    /// From then until its answer, or until it had failed.
    pub(crate) took: Duration,
    /// Whether its answer names a weaker guarantee.
    pub(crate) degraded: bool,
    /// Why it failed, if it did.
    pub(crate) failure: Option<HttpError>,
}

/// A load under way, as those see it who watch it.
pub(crate) struct Progress {
    start: Instant,
    stop: AtomicBool,
    last_degraded_us: AtomicU64,
}

impl Progress {
    /// How long it has been going.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// When the last answer came that names a weaker guarantee, since the start.
    pub(crate) fn last_degraded(&self) -> Duration {
        Duration::from_micros(self.last_degraded_us.load(Relaxed))
    }
}

/// Makes `rate` calls a second for as long as `meanwhile` runs. Gives back what that returned, and all calls.
pub(crate) fn load<T>(
    target: SocketAddr,
    rate: u32,
    meanwhile: impl FnOnce(&Progress) -> T,
) -> io::Result<(T, Vec<Call>)> {
    let (stop, last_degraded_us) = Default::default();
    let progress = Progress { start: Instant::now(), stop, last_degraded_us };
    let progress = &progress;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for number in 0..CONNECTIONS {
            let caller = OpenCaller { target, rate, number, progress };
            let thread = thread::Builder::new().stack_size(STACK);
            threads.push(thread.spawn_scoped(scope, move || caller.call_on())?);
        }
        let result = meanwhile(progress);
        progress.stop.store(true, Relaxed);
        let broken = |_| io::Error::other("a caller's thread broke");
        let mut calls = Vec::new();
        for thread in threads {
            calls.extend(thread.join().map_err(broken)?);
        }
        Ok((result, calls))
    })
}

struct OpenCaller<'a> {
    target: SocketAddr,
    rate: u32,
    number: u32,
    progress: &'a Progress,
}

impl OpenCaller<'_> {
    fn call_on(&self) -> Vec<Call> {
        let first = self.number as usize * ENTITIES_PER_CONNECTION;
        let mut updates = Updates::of(first, ENTITIES_PER_CONNECTION);
        let mut connection = None;
        let mut calls = Vec::new();
        for turn in 0.. {
            let due = Duration::from_secs(1) * (turn * CONNECTIONS + self.number) / self.rate;
            thread::sleep(due.saturating_sub(self.progress.elapsed()));
            if self.progress.stop.load(Relaxed) {
                break;
            }
            let outcome = self.call(&mut connection, updates.next());
            let ended = self.progress.elapsed();
            let (degraded, failure) = match outcome {
                Ok(degraded) => (degraded, None),
                Err(error) => (false, Some(error)),
            };
            if degraded {
                let ended_us = u64::try_from(ended.as_micros()).unwrap_or(u64::MAX);
                self.progress.last_degraded_us.fetch_max(ended_us, Relaxed);
            }
            calls.push(Call { due, took: ended.saturating_sub(due), degraded, failure });
        }
        calls
    }

    /// Says whether the answer names a weaker guarantee. A connection that failed is not used again.
    fn call(&self, kept: &mut Option<Connection>, request: &[u8]) -> Result<bool, HttpError> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(self.target)?,
        };
        let degraded = connection.call_ok(request)?.field("interlock-degraded").is_some();
        *kept = Some(connection);
        Ok(degraded)
    }
}
