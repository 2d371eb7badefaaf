//! The updates that callers make, and the callers: each one a thread that makes one call after the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Connection, HttpError};
use crate::locker::{LockError, Locker};

const BODY: &str = r#"{"status":"Departed","gate":"12"}"#;
const START: &str = "PUT /api/journeys/J";
/// Digits of an entity's number in the path.
const DIGITS: usize = 7;

/// Why a run is no measurement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("an update failed")]
    Http(#[from] HttpError),
    #[error("the peer's lock failed")]
    Lock(#[from] LockError),
    #[error("a caller's thread broke")]
    Broken,
}

/// Updates, each of the next entity of some that it goes round.
pub(crate) struct Updates {
    request: Vec<u8>,
    first: usize,
    count: usize,
    made: usize,
}

impl Updates {
    /// All of one entity.
    pub(crate) fn of_one(entity: usize) -> Self {
        Self::of(entity, 1)
    }

    /// Of `count` entities from `first` on.
    pub(crate) fn of(first: usize, count: usize) -> Self {
        let (entity, length) = ("0".repeat(DIGITS), BODY.len());
        let request = format!(
            "{START}{entity}/segments/1/status HTTP/1.1\r\nHost: journeys.test\r\nUser-Agent: fleet\r\n\
             Accept: */*\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{BODY}"
        );
        Self { request: request.into_bytes(), first, count, made: 0 }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> &[u8] {
        let digits = format!("{:0DIGITS$}", self.first + self.made % self.count);
        self.request[START.len()..START.len() + DIGITS].copy_from_slice(digits.as_bytes());
        self.made += 1;
        &self.request
    }

    /// The entity of the request that was made last.
    fn entity(&self) -> &str {
        str::from_utf8(&self.request[START.len()..START.len() + DIGITS]).unwrap_or_default()
    }
}

/// One caller.
pub(crate) struct Caller {
    connection: Connection,
    updates: Updates,
    lock: Option<Locker>,
    /// Held while the lock is asked for and held, where only one caller of a process may ask.
    turn: Option<Arc<Mutex<()>>>,
}

impl Caller {
    /// A caller that calls an address and does nothing else.
    pub(crate) fn new(address: SocketAddr, updates: Updates) -> Result<Self, CallError> {
        let connection = Connection::open(address)?;
        Ok(Self { connection, updates, lock: None, turn: None })
    }

    /// The same, with a lock of its own around each call, and where there is one the process's turn around that.
    pub(crate) fn locking(self, lock: Locker, turn: Option<Arc<Mutex<()>>>) -> Self {
        Self { lock: Some(lock), turn, ..self }
    }

    fn call(&mut self) -> Result<(), CallError> {
        let turn = self.turn.clone();
        let _turn = turn.as_ref().map(|turn| turn.lock());
        let request = self.updates.next().to_vec();
        let held = match &mut self.lock {
            Some(lock) => Some(lock.take(self.updates.entity())?),
            None => None,
        };
        self.connection.call_ok(&request)?;
        if let (Some(lock), Some(held)) = (&mut self.lock, held) {
            lock.release(held)?;
        }
        Ok(())
    }
}

/// What callers did in a run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// How long each call took, in microseconds, sorted.
    pub(crate) latencies: Vec<f64>,
    /// For each caller, how many calls were done when the time was up.
    pub(crate) in_time: Vec<usize>,
    /// The length of the run, in seconds.
    pub(crate) seconds: f64,
}

impl Run {
    /// All calls, those included that ended after the time was up: costs are of all of them.
    pub(crate) fn calls(&self) -> f64 {
        self.latencies.len().max(1) as f64
    }

    /// Calls a second, of those done in time: a last one that waits long lengthens no run.
    pub(crate) fn rate(&self) -> f64 {
        self.in_time.iter().sum::<usize>() as f64 / self.seconds
    }
}

/// Lets each caller make one call after the other for a while. All have come to rest when it returns.
pub(crate) fn run(callers: &mut [Caller], length: Duration) -> Result<Run, CallError> {
    let deadline = Instant::now() + length;
    let mut run = Run { seconds: length.as_secs_f64(), ..Run::default() };
    thread::scope(|scope| {
        let calls = |caller| scope.spawn(move || call_until(caller, deadline));
        let threads: Vec<_> = callers.iter_mut().map(calls).collect();
        for thread in threads {
            let (in_time, latencies) = thread.join().map_err(|_| CallError::Broken)??;
            run.in_time.push(in_time);
            run.latencies.extend(latencies);
        }
        Ok::<_, CallError>(())
    })?;
    run.latencies.sort_unstable_by(f64::total_cmp);
    Ok(run)
}

fn call_until(caller: &mut Caller, deadline: Instant) -> Result<(usize, Vec<f64>), CallError> {
    let mut latencies = Vec::new();
    let mut in_time = 0;
    let mut now = Instant::now();
    while now < deadline {
        caller.call()?;
        let end = Instant::now();
        latencies.push((end - now).as_secs_f64() * 1e6);
        in_time += usize::from(end <= deadline);
        now = end;
    }
    Ok((in_time, latencies))
}
