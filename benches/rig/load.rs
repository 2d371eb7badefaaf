//! The load: a closed loop over keep-alive connections, in a process of its own so that its work isn't counted.
//!
//! It connects, then obeys lines on standard input: `MILLISECONDS` runs for that long, lets the calls in flight finish
//! and answers with one line, the counts of exactly that run. It ends with its input.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{error::Elapsed, timeout};

use crate::wire::{Connection, WireError};

/// How long a run may last beyond its time until it counts as hung.
const GRACE: Duration = Duration::from_secs(10);
/// How many entities each connection goes round: more than fit a small cache, and no two connections share one, so
/// that a lease is never waited for.
const ENTITIES_PER_CONNECTION: usize = 1000;
const BODY: &str = r#"{"status":"Departed","gate":"12"}"#;
/// Digits of an entity's number in the path.
const DIGITS: usize = 7;

/// Which calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Traffic {
    /// Updates that the flag's first route matches.
    Updates,
    /// Calls of the same size that no route matches.
    Unmatched,
}

/// Why a run is no measurement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("a call failed")]
    Wire(#[from] WireError),
    #[error("standard input or output failed")]
    Io(#[from] std::io::Error),
    #[error("{0:?} is not a number of milliseconds")]
    BadCommand(String),
    #[error("the proxy closed a connection after {answered} calls")]
    Closed { answered: usize },
    #[error("a call was not answered with 200 but with: {status_line}")]
    NotOk { status_line: String },
    #[error("a run did not end in time")]
    Hung(#[from] Elapsed),
    #[error("a connection's task broke")]
    Broken(#[from] JoinError),
}

/// What one run counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Calls answered with 200.
    pub(crate) requests: u64,
    /// From the first call's start to the last one's end, in microseconds.
    pub(crate) elapsed_us: u64,
    /// The median latency, in microseconds.
    pub p50_us: u64,
    /// The 99th percentile, in microseconds.
    pub p99_us: u64,
}

impl Counts {
    /// Reads what `Display` wrote.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { requests: next()?, elapsed_us: next()?, p50_us: next()?, p99_us: next()? })
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { requests, elapsed_us, p50_us, p99_us } = self;
        write!(f, "{requests} {elapsed_us} {p50_us} {p99_us}")
    }
}

/// Connects, then runs as often as standard input says.
pub(crate) fn serve(
    target: SocketAddr,
    connections: usize,
    traffic: Traffic,
) -> Result<(), LoadError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let mut callers = runtime.block_on(connect(target, connections, traffic))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let millis = line.parse().map_err(|_| LoadError::BadCommand(line))?;
        let counts = runtime.block_on(run(&mut callers, Duration::from_millis(millis)))?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{counts}")?;
        stdout.flush()?;
    }
    Ok(())
}

async fn connect(
    target: SocketAddr,
    connections: usize,
    traffic: Traffic,
) -> Result<Vec<Caller>, LoadError> {
    let mut callers = Vec::with_capacity(connections);
    for index in 0..connections {
        let stream = TcpStream::connect(target).await?;
        callers.push(Caller::new(Connection::new(stream)?, index, traffic));
    }
    Ok(callers)
}

/// Lets every caller loop for a while; all have come to rest when it returns.
async fn run(callers: &mut Vec<Caller>, length: Duration) -> Result<Counts, LoadError> {
    let start = Instant::now();
    let deadline = start + length;
    let mut tasks = JoinSet::new();
    for caller in callers.drain(..) {
        tasks.spawn(caller.call_until(deadline));
    }
    let mut latencies = Vec::new();
    while let Some(task) = timeout(length + GRACE, tasks.join_next()).await? {
        let (caller, mut its_latencies) = task??;
        callers.push(caller);
        latencies.append(&mut its_latencies);
    }
    let elapsed_us = micros(start.elapsed());
    latencies.sort_unstable();
    let quantile = |per_cent: usize| latencies.get(latencies.len() * per_cent / 100).copied();
    Ok(Counts {
        requests: latencies.len() as u64,
        elapsed_us,
        p50_us: quantile(50).unwrap_or(0),
        p99_us: quantile(99).unwrap_or(0),
    })
}

/// One connection with the request that it repeats, for one entity after the other.
struct Caller {
    connection: Connection,
    request: Vec<u8>,
    entity_at: usize,
    first_entity: usize,
    calls: usize,
}

impl Caller {
    fn new(connection: Connection, index: usize, traffic: Traffic) -> Self {
        let start = match traffic {
            Traffic::Updates => "PUT /api/journeys/J",
            Traffic::Unmatched => "PUT /api/bookings/J",
        };
        let entity = "0".repeat(DIGITS);
        let length = BODY.len();
        let request = format!(
            "{start}{entity}/segments/1/status HTTP/1.1\r\nHost: journeys.test\r\nUser-Agent: rig\r\n\
             Accept: */*\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{BODY}"
        );
        Self {
            connection,
            request: request.into_bytes(),
            entity_at: start.len(),
            first_entity: index * ENTITIES_PER_CONNECTION,
            calls: 0,
        }
    }

    async fn call_until(mut self, deadline: Instant) -> Result<(Self, Vec<u64>), LoadError> {
        let mut latencies = Vec::new();
        let mut now = Instant::now();
        while now < deadline {
            self.call().await?;
            let end = Instant::now();
            latencies.push(micros(end - now));
            now = end;
        }
        Ok((self, latencies))
    }

    async fn call(&mut self) -> Result<(), LoadError> {
        let entity = self.first_entity + self.calls % ENTITIES_PER_CONNECTION;
        let digits = format!("{entity:0DIGITS$}");
        self.request[self.entity_at..self.entity_at + DIGITS].copy_from_slice(digits.as_bytes());
        self.connection.send(&self.request).await?;
        match self.connection.receive().await? {
            Some(answer) if answer.starts_with(b"HTTP/1.1 200 ") => {}
            Some(answer) => {
                return Err(LoadError::NotOk { status_line: first_line(answer) });
            }
            None => {
                return Err(LoadError::Closed { answered: self.calls });
            }
        }
        self.calls += 1;
        Ok(())
    }
}

fn first_line(message: &[u8]) -> String {
    String::from_utf8_lossy(message).lines().next().unwrap_or_default().to_owned()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
