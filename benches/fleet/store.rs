//! A Redis of the measurement's own: started, killed, stopped, brought back, and asked what it was told to do.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use redis::InfoDict;

use crate::ports::ReservedPort;
use crate::process::{Process, ProcessError};

/// How long it may take until it answers: its file is read first.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks whether it answers.
const ANSWER_POLL: Duration = Duration::from_millis(2);
/// A user who may do all but subscribe and publish.
const NO_CHANNELS: [&str; 8] =
    ["ACL", "SETUSER", "silent", "on", ">silent", "~*", "+@all", "resetchannels"];

/// Why there is no Redis to measure with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("its process failed")]
    Process(#[from] ProcessError),
    #[error("its directory failed")]
    Io(#[from] std::io::Error),
    #[error("a command failed")]
    Redis(#[from] redis::RedisError),
    #[error("it did not answer within {ANSWER_LIMIT:?}")]
    Silent,
    #[error("kill -{signal} failed: {status}")]
    Signal { signal: &'static str, status: ExitStatus },
}

/// Which commands count as calls of a client: what scripts do inside is counted by Redis too, and isn't a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    /// Scripts: a sidecar sends nothing else for leases.
    Scripts,
    /// Scripts, and `SET` too.
    ScriptsAndSets,
}

/// A server with nothing in it but what the measurement wrote. What it has survives a kill: each write is handed to the
/// system before it is answered, and the disk is not waited for.
pub(crate) struct Redis {
    program: PathBuf,
    directory: PathBuf,
    port: ReservedPort,
    process: Process,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub(crate) fn start(program: &Path, scratch: &Path) -> Result<Self, StoreError> {
        let port = ReservedPort::new();
        let directory = scratch.join(format!("redis-{}", port.address().port()));
        fs::create_dir_all(&directory)?;
        let process = launch(program, &directory, port.address())?;
        let redis = Self { program: program.to_owned(), directory, port, process };
        redis.wait_until_it_answers()?;
        Ok(redis)
    }

    /// Its process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it is, for whoever may do everything.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.port.address())
    }

    /// Where it is, for a user without a right to any channel: nothing is pushed to such a one.
    pub(crate) fn url_without_channels(&self) -> Result<String, StoreError> {
        let [command, arguments @ ..] = NO_CHANNELS;
        redis::cmd(command).arg(&arguments).exec(&mut self.connection()?)?;
        Ok(format!("redis://silent:silent@{}", self.port.address()))
    }

    /// A connection of the caller's own.
    pub(crate) fn connection(&self) -> Result<redis::Connection, StoreError> {
        let connection = redis::Client::open(self.url())?.get_connection()?;
        connection.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(connection)
    }

    /// How many calls it has had of all clients together.
    pub(crate) fn calls(&self, counted: Counted) -> Result<u64, StoreError> {
        let info: InfoDict =
            redis::cmd("INFO").arg("commandstats").query(&mut self.connection()?)?;
        let commands: &[&str] = match counted {
            Counted::Scripts => &["eval", "evalsha"],
            Counted::ScriptsAndSets => &["eval", "evalsha", "set"],
        };
        Ok(commands.iter().map(|command| calls_of(&info, command)).sum())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> Result<(), StoreError> {
        self.process.child().kill()?;
        self.process.child().wait()?;
        Ok(())
    }

    /// Starts it again after a kill, with what it had kept or with nothing. Returns when it answers.
    pub(crate) fn restart(&mut self, empty: bool) -> Result<(), StoreError> {
        if empty {
            fs::remove_dir_all(&self.directory)?;
            fs::create_dir_all(&self.directory)?;
        }
        self.process = launch(&self.program, &self.directory, self.port.address())?;
        self.wait_until_it_answers()
    }

    /// Lets it hang with all its connections open (`STOP`), or go on (`CONT`).
    pub(crate) fn signal(&self, signal: &'static str) -> Result<(), StoreError> {
        let id = self.process.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", signal, &id]).status()?;
        if status.success() { Ok(()) } else { Err(StoreError::Signal { signal, status }) }
    }

    fn wait_until_it_answers(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        let answers = || redis::cmd("PING").exec(&mut self.connection()?).map_err(StoreError::from);
        while answers().is_err() {
            if Instant::now() > deadline {
                return Err(StoreError::Silent);
            }
            thread::sleep(ANSWER_POLL);
        }
        Ok(())
    }
}

fn launch(program: &Path, directory: &Path, address: SocketAddr) -> Result<Process, StoreError> {
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--dir"]);
    command.arg(directory);
    Ok(Process::start(None, &command, [Stdio::null(), Stdio::null(), Stdio::null()])?)
}

/// From a value such as `calls=21,usec=175,…`.
fn calls_of(info: &InfoDict, command: &str) -> u64 {
    let stats: Option<String> = info.get(&format!("cmdstat_{command}"));
    let calls = stats.as_deref().and_then(|stats| stats.split(',').next()?.strip_prefix("calls="));
    calls.and_then(|calls| calls.parse().ok()).unwrap_or(0)
}
