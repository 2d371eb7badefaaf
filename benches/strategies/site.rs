//! What is measured: a Redis, apps, and in front of each app a sidecar for each strategy.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use interlock::demo::journey::document;

use crate::load::journey;
use crate::ports::ReservedPort;
use crate::process::{Process, ProcessError};
use crate::settled::{NotSettled, wait_until_settled};
use crate::store::{Redis, StoreError};

const CONFIG: &str = include_str!("interlock.toml");
/// What `atomic` needs to know of the route.
const ATOMIC: &str = r#"atomic = { document = "journey:{journeyId}", pointer = "/Segments/[SegmentId={segmentId}]/Status", value = "body:/status", answer = '{"journeyId":"{journeyId}","segmentId":"{segmentId}","status":"{value}"}', missing = '{"error":"no such journey"}' }"#;
/// A journey that no load updates, to ask sidecars with.
const PROBED: &str = "PROBE";

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    #[error("{name} failed; its log:\n{log}")]
    Process { name: String, source: ProcessError, log: String },
    #[error("files failed")]
    Io(#[from] std::io::Error),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("a command failed")]
    Redis(#[from] redis::RedisError),
    #[error("a sidecar is not as it should be; its log:\n{log}")]
    NotSettled { source: NotSettled, log: String },
}

/// A way to make an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strategy {
    /// The flag at 0 %: the app as it is.
    Legacy,
    /// The same app, under the journey's lease.
    Serialize,
    /// A declared edit of the document, without the app.
    Atomic,
    /// A fixed app.
    Upstream,
}

impl Strategy {
    /// What tables call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Serialize => "serialize",
            Self::Atomic => "atomic",
            Self::Upstream => "upstream",
        }
    }
}

/// The programs and directories of the measurement.
pub(crate) struct Programs {
    /// Interlock's.
    pub(crate) interlock: PathBuf,
    /// This one, which is the fixed app too.
    pub(crate) bench: PathBuf,
    /// The store's.
    pub(crate) redis_server: PathBuf,
    /// A directory of this run's own.
    pub(crate) scratch: PathBuf,
}

/// Apps with their store.
pub(crate) struct Site {
    programs: Programs,
    /// The store of documents, leases and flags.
    pub(crate) redis: Redis,
    legacy: Vec<Server>,
    fixed: Vec<Server>,
}

/// A server that was started, with a log.
struct Server {
    process: Process,
    port: ReservedPort,
}

/// One strategy's sidecars.
pub(crate) struct Fleet {
    /// Which one.
    pub(crate) strategy: Strategy,
    sidecars: Vec<Server>,
    /// Admin planes.
    _admin: Vec<ReservedPort>,
    /// The processes of the apps behind it.
    pub(crate) apps: Vec<u32>,
}

impl Site {
    /// Starts a Redis, and `count` apps of either kind that take `window` between reading and writing.
    pub(crate) fn start(
        programs: Programs,
        count: usize,
        window: Duration,
    ) -> Result<Self, SiteError> {
        let redis = Redis::start(&programs.redis_server, &programs.scratch)?;
        // The rewrites of a file that grows by a whole document with each update would fall into some runs and not into others.
        redis::cmd("CONFIG").arg(&["SET", "appendonly", "no"]).exec(&mut redis.connection()?)?;
        let (url, window) = (redis.url(), humantime::format_duration(window).to_string());
        let serve = |program: &Path, first: &[&str]| {
            let port = ReservedPort::new();
            let mut command = Command::new(program);
            command.args(first).arg(port.address().to_string());
            command.args(["--redis", &url, "--window", &window]);
            start(&programs.scratch, "app", &command, port)
        };
        let legacy = || serve(&programs.interlock, &["demo", "--journeys", "1", "--serve"]);
        let fixed = || serve(&programs.bench, &["--fixed-app"]);
        let legacy = (0..count).map(|_| legacy()).collect::<Result<_, _>>()?;
        let fixed = (0..count).map(|_| fixed()).collect::<Result<_, _>>()?;
        Ok(Self { programs, redis, legacy, fixed })
    }

    /// Writes new documents over what the last run left.
    pub(crate) fn seed(&self, entities: usize) -> Result<(), SiteError> {
        let mut pipeline = redis::pipe();
        let probed = std::iter::once(PROBED.to_owned());
        for id in probed.chain((0..entities).map(journey)) {
            pipeline.cmd("SET").arg(document::key(&id)).arg(document::seeded(&id)).ignore();
        }
        Ok(pipeline.exec(&mut self.redis.connection()?)?)
    }

    /// Starts a sidecar in front of each app, and waits until they serve as the strategy wants.
    pub(crate) fn fleet(&self, strategy: Strategy) -> Result<Fleet, SiteError> {
        let apps = match strategy {
            Strategy::Upstream => &self.fixed,
            _ => &self.legacy,
        };
        let mut fleet = Fleet {
            strategy,
            sidecars: Vec::new(),
            _admin: Vec::new(),
            apps: apps.iter().map(|app| app.process.id()).collect(),
        };
        for place in 0..self.legacy.len() {
            let (port, admin) = (ReservedPort::new(), ReservedPort::new());
            let file = format!("interlock-{}.toml", port.address().port());
            let file = self.programs.scratch.join(file);
            fs::write(&file, self.config(strategy, place, [port.address(), admin.address()]))?;
            let mut command = Command::new(&self.programs.interlock);
            command.args(["run", "--config"]).arg(file);
            fleet.sidecars.push(start(&self.programs.scratch, "sidecar", &command, port)?);
            fleet._admin.push(admin);
        }
        for sidecar in &fleet.sidecars {
            let address = sidecar.port.address();
            let path = if strategy == Strategy::Legacy { "legacy" } else { "fixed" };
            wait_until_settled(address, &probe(address), Some(path)).map_err(|source| {
                let log = log_of(&self.programs.scratch, &sidecar.port);
                SiteError::NotSettled { source, log: fs::read_to_string(log).unwrap_or_default() }
            })?;
        }
        Ok(fleet)
    }

    fn config(&self, strategy: Strategy, place: usize, [listen, admin]: [SocketAddr; 2]) -> String {
        let (percent, fixed) = match strategy {
            Strategy::Legacy => ("0", r#"{ strategy = "serialize" }"#.to_owned()),
            Strategy::Serialize => ("100", r#"{ strategy = "serialize" }"#.to_owned()),
            // An edit that is refused shows as a failed update, not as a slow one.
            Strategy::Atomic => {
                ("100", r#"{ strategy = "atomic", refused = "reject" }"#.to_owned())
            }
            Strategy::Upstream => {
                let url = self.fixed[place].port.address();
                ("100", format!(r#"{{ strategy = "upstream", url = "http://{url}" }}"#))
            }
        };
        let atomic = if strategy == Strategy::Atomic { ATOMIC } else { "" };
        CONFIG
            .replace("@LISTEN@", &listen.to_string())
            .replace("@ADMIN@", &admin.to_string())
            .replace("@APP@", &self.legacy[place].port.address().to_string())
            .replace("@STORE@", &self.redis.url())
            .replace("@FLEET@", strategy.name())
            .replace("@PERCENT@", percent)
            .replace("@FIXED@", &fixed)
            .replace("@ATOMIC@", atomic)
    }
}

impl Fleet {
    /// Where callers connect.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.sidecars.iter().map(|sidecar| sidecar.port.address()).collect()
    }

    /// The processes of the sidecars.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.sidecars.iter().map(|sidecar| sidecar.process.id()).collect()
    }
}

/// Starts a server and waits until it listens.
fn start(
    scratch: &Path,
    kind: &str,
    command: &Command,
    port: ReservedPort,
) -> Result<Server, SiteError> {
    let output = File::create(log_of(scratch, &port))?;
    let streams = [Stdio::null(), Stdio::from(output.try_clone()?), Stdio::from(output)];
    let failed = |source| SiteError::Process {
        name: format!("{kind} at {}", port.address()),
        source,
        log: fs::read_to_string(log_of(scratch, &port)).unwrap_or_default(),
    };
    let mut process = Process::start(None, command, streams).map_err(failed)?;
    process.wait_until_it_listens(port.address()).map_err(failed)?;
    Ok(Server { process, port })
}

fn log_of(scratch: &Path, port: &ReservedPort) -> PathBuf {
    scratch.join(format!("{}.log", port.address().port()))
}

/// An update of a journey that no load updates.
fn probe(sidecar: SocketAddr) -> Vec<u8> {
    let segment = document::segment_id(0);
    let body = r#"{"status":"Probed"}"#;
    format!(
        "PUT /api/journeys/{PROBED}/segments/{segment}/status HTTP/1.1\r\nHost: {sidecar}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
