//! The closed loop: callers that each make one update after the other, and one that reads what became of them.

use std::error::Error;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use interlock::demo::journey::document;

use crate::history::{History, Unreadable, Update, VALUE};
use crate::http::{Connection, HttpError};
use crate::load::{Picks, journey};

/// The least time ahead of what is measured: caches and pools come back after the others had the machine.
const WARM_UP: Duration = Duration::from_millis(300);
/// The longest wait until each caller has had an answer.
const FIRST_ANSWERS_LIMIT: Duration = Duration::from_secs(8);
/// Between two looks whether they have.
const LOOK: Duration = Duration::from_millis(1);
/// Between two reads of a document while it is updated. Each of them judges all fields of one journey.
const READ_PAUSE: Duration = Duration::from_millis(4);
/// After a call that failed, so that callers of a dead sidecar don't take the machine.
const FAILURE_PAUSE: Duration = Duration::from_millis(5);

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoopError {
    #[error("a sidecar can't be called")]
    Http(#[from] HttpError),
    #[error("a document was not read")]
    Redis(#[from] redis::RedisError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("a thread broke")]
    Broken,
    #[error("the meters failed")]
    Meters(#[source] Box<dyn Error + Send + Sync>),
}

/// What callers share.
pub(crate) struct Loop<'a> {
    /// Where they call: caller `n` calls the one whose place is `n` modulo their number.
    pub(crate) sidecars: &'a [SocketAddr],
    /// How many there are.
    pub(crate) callers: usize,
    /// What they update.
    pub(crate) picks: &'a Picks,
    /// What they wrote.
    pub(crate) history: &'a History,
    /// How long they are measured.
    pub(crate) length: Duration,
}

/// One call that has ended.
struct Call {
    end: Instant,
    micros: f64,
    is_ok: bool,
    is_degraded: bool,
}

/// What ended within the measured time.
pub(crate) struct Run {
    /// How long each acknowledged update took, in microseconds, sorted.
    pub(crate) latencies: Vec<f64>,
    /// Calls that were not answered with 200.
    pub(crate) failed: usize,
    /// Answers with a weaker guarantee than configured.
    pub(crate) degraded: usize,
    /// How long it was, in seconds.
    pub(crate) seconds: f64,
    /// Reads of documents by the measurement itself.
    pub(crate) reads: usize,
}

#[derive(Default)]
struct State {
    /// Callers who have had an answer.
    warm: AtomicUsize,
    stop: AtomicBool,
    reads: AtomicUsize,
}

impl Loop<'_> {
    /// Runs callers until each has had an answer, calls `meter`, waits, calls it again, and stops them.
    pub(crate) fn run<R>(
        &self,
        mut redis: redis::Connection,
        meter: impl Fn() -> Result<R, Box<dyn Error + Send + Sync>>,
    ) -> Result<(Run, [R; 2]), LoopError> {
        let state = State::default();
        let connections: Vec<_> = (0..self.callers)
            .map(|caller| Connection::open(self.address(caller)))
            .collect::<Result<_, _>>()?;
        thread::scope(|scope| {
            let reader = scope.spawn(|| self.keep_reading(&mut redis, &state));
            let state = &state;
            let start = |(caller, connection)| {
                scope.spawn(move || self.call_until_stopped(caller, connection, state))
            };
            let threads: Vec<_> = connections.into_iter().enumerate().map(start).collect();

            let measured = self.measure(state, meter);
            state.stop.store(true, Relaxed);
            let mut calls = Vec::new();
            for thread in threads {
                calls.extend(thread.join().map_err(|_| LoopError::Broken)??);
            }
            reader.join().map_err(|_| LoopError::Broken)??;
            let (window, readings, reads) = measured?;
            Ok((Run::of(&calls, window, reads), readings))
        })
    }

    fn address(&self, caller: usize) -> SocketAddr {
        self.sidecars[caller % self.sidecars.len()]
    }

    fn measure<R>(
        &self,
        state: &State,
        meter: impl Fn() -> Result<R, Box<dyn Error + Send + Sync>>,
    ) -> Result<([Instant; 2], [R; 2], usize), LoopError> {
        let start = Instant::now();
        let is_warm = || start.elapsed() >= WARM_UP && state.warm.load(Relaxed) == self.callers;
        while !is_warm() && start.elapsed() < FIRST_ANSWERS_LIMIT {
            thread::sleep(LOOK);
        }
        let before = meter().map_err(LoopError::Meters)?;
        let (from, reads) = (Instant::now(), state.reads.load(Relaxed));
        thread::sleep(self.length);
        let to = Instant::now();
        let reads = state.reads.load(Relaxed) - reads;
        let after = meter().map_err(LoopError::Meters)?;
        Ok(([from, to], [before, after], reads))
    }

    fn call_until_stopped(
        &self,
        caller: usize,
        mut connection: Connection,
        state: &State,
    ) -> Result<Vec<Call>, LoopError> {
        let mut calls = Vec::new();
        let mut request = String::new();
        while !state.stop.load(Relaxed) {
            let update = self.history.begin(self.picks.next());
            write_request(&mut request, update);
            let sent = Instant::now();
            let answer = connection.call(request.as_bytes());
            let end = Instant::now();
            let is_ok = answer.as_ref().is_ok_and(|answer| answer.status() == Some(200));
            let is_degraded =
                answer.as_ref().is_ok_and(|answer| answer.field("interlock-degraded").is_some());
            let is_broken = answer.is_err();
            calls.push(Call { end, micros: (end - sent).as_secs_f64() * 1e6, is_ok, is_degraded });
            if is_ok {
                self.history.acknowledge(update, end);
            } else {
                thread::sleep(FAILURE_PAUSE);
            }
            if is_broken {
                connection = Connection::open(self.address(caller))?;
            }
            if calls.len() == 1 {
                state.warm.fetch_add(1, Relaxed);
            }
        }
        Ok(calls)
    }

    fn keep_reading(&self, redis: &mut redis::Connection, state: &State) -> Result<(), LoopError> {
        while !state.stop.load(Relaxed) {
            self.read(redis, self.picks.next())?;
            state.reads.fetch_add(1, Relaxed);
            thread::sleep(READ_PAUSE);
        }
        Ok(())
    }

    /// Reads a journey's document and judges by it.
    pub(crate) fn read(
        &self,
        redis: &mut redis::Connection,
        entity: usize,
    ) -> Result<(), LoopError> {
        let asked = Instant::now();
        let key = document::key(&journey(entity));
        let document: Vec<u8> = redis::cmd("GET").arg(key).query(redis)?;
        Ok(self.history.read(entity, asked, &document)?)
    }
}

impl Run {
    fn of(calls: &[Call], [from, to]: [Instant; 2], reads: usize) -> Self {
        let ended = || calls.iter().filter(|call| call.end > from && call.end <= to);
        let mut latencies: Vec<_> =
            ended().filter(|call| call.is_ok).map(|call| call.micros).collect();
        latencies.sort_unstable_by(f64::total_cmp);
        Self {
            latencies,
            failed: ended().filter(|call| !call.is_ok).count(),
            degraded: ended().filter(|call| call.is_degraded).count(),
            seconds: (to - from).as_secs_f64(),
            reads,
        }
    }
}

fn write_request(request: &mut String, update: Update) {
    let body = format!(r#"{{"status":"{VALUE}{:08x}"}}"#, update.number);
    request.clear();
    let written = write!(
        request,
        "PUT /api/journeys/{}/segments/{}/status HTTP/1.1\r\nHost: journeys.test\r\n\
         User-Agent: strategies\r\nAccept: */*\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        journey(update.entity),
        document::segment_id(update.segment),
        body.len(),
    );
    debug_assert!(written.is_ok(), "a String takes whatever is written to it");
}
