//! The processes of a measurement: started on one core, ended by their handle, gone when the rig is.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::load::{Counts, Traffic};

/// How long a proxy may take until it accepts connections.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a proxy that starts.
const START_POLL: Duration = Duration::from_millis(20);

/// Why a process doesn't do its part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("{program:?} can't be started (is util-linux, for setpriv and taskset, installed?)")]
    NotStarted { program: OsString, source: std::io::Error },
    #[error("{program:?} ended at its start: {status}")]
    Ended { program: OsString, status: ExitStatus },
    #[error("{program:?} does not listen on {listen} after {START_LIMIT:?}")]
    NotListening { program: OsString, listen: SocketAddr },
    #[error("a pipe or a socket failed")]
    Io(#[from] std::io::Error),
    #[error("the upstream said {line:?} instead of its address")]
    BadUpstream { line: String },
    #[error("the load failed; its own message stands above")]
    LoadFailed,
}

/// A process bound to one core. Dropping it kills it; so does the rig's own end, however it comes.
pub(crate) struct Pinned {
    program: OsString,
    child: Child,
}

impl Pinned {
    /// Starts a proxy on a core. What it prints is shown on standard error: a pipe that nobody reads would fill up.
    pub(crate) fn proxy(core: usize, command: &Command) -> Result<Self, ProcessError> {
        Self::start(core, command, Stdio::null(), Stdio::from(std::io::stderr()))
    }

    /// Starts this program in one of its other roles, with pipes to it.
    fn role(core: usize, args: &[&str]) -> Result<Self, ProcessError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args);
        Self::start(core, &command, Stdio::piped(), Stdio::piped())
    }

    fn start(
        core: usize,
        command: &Command,
        stdin: Stdio,
        stdout: Stdio,
    ) -> Result<Self, ProcessError> {
        let program = command.get_program().to_owned();
        let mut pinned = Command::new("setpriv");
        pinned.args(["--pdeathsig", "KILL", "taskset", "-c", &core.to_string()]);
        pinned.arg(&program).args(command.get_args());
        let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        pinned.envs(set).stdin(stdin).stdout(stdout);
        match pinned.spawn() {
            Ok(child) => Ok(Self { program, child }),
            Err(source) => Err(ProcessError::NotStarted { program, source }),
        }
    }

    /// The process's id: `setpriv` and `taskset` have become the command itself.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it accepts connections.
    pub(crate) fn wait_until_it_listens(&mut self, listen: SocketAddr) -> Result<(), ProcessError> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(listen).is_err() {
            let program = self.program.clone();
            if let Some(status) = self.child.try_wait()? {
                return Err(ProcessError::Ended { program, status });
            }
            if Instant::now() > deadline {
                return Err(ProcessError::NotListening { program, listen });
            }
            thread::sleep(START_POLL);
        }
        Ok(())
    }

    fn pipes(&mut self) -> Result<(ChildStdin, BufReader<ChildStdout>), ProcessError> {
        let closed = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let stdin = self.child.stdin.take().ok_or_else(closed)?;
        let stdout = self.child.stdout.take().ok_or_else(closed)?;
        Ok((stdin, BufReader::new(stdout)))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The app behind the proxies.
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _process: Pinned,
}

impl Upstream {
    /// Starts it and learns its address.
    pub(crate) fn start(core: usize) -> Result<Self, ProcessError> {
        let mut process = Pinned::role(core, &["upstream"])?;
        let (_, mut stdout) = process.pipes()?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        match line.trim().parse() {
            Ok(address) => Ok(Self { address, _process: process }),
            Err(_) => Err(ProcessError::BadUpstream { line }),
        }
    }
}

/// A load that is connected to one proxy and rests between its runs.
pub(crate) struct Load {
    _process: Pinned,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Load {
    /// Starts it and lets it connect.
    pub(crate) fn start(
        core: usize,
        target: SocketAddr,
        connections: usize,
        traffic: Traffic,
    ) -> Result<Self, ProcessError> {
        let traffic = match traffic {
            Traffic::Updates => "updates",
            Traffic::Unmatched => "unmatched",
        };
        let (target, connections) = (target.to_string(), connections.to_string());
        let mut process = Pinned::role(core, &["load", &target, &connections, traffic])?;
        let (stdin, stdout) = process.pipes()?;
        Ok(Self { _process: process, stdin, stdout })
    }

    /// Runs for a while. All calls are answered when it returns. The load bounds its own time.
    pub(crate) fn run(&mut self, length: Duration) -> Result<Counts, ProcessError> {
        writeln!(self.stdin, "{}", length.as_millis()).map_err(|_| ProcessError::LoadFailed)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Counts::parse(&line).ok_or(ProcessError::LoadFailed)
    }
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, ProcessError> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
