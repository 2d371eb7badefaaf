//! The processes of a measurement: started on one core or on any, ended by their handle, gone when the measurement is.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it accepts connections.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a server that starts.
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
}

/// A process of the measurement. Dropping it kills it; so does the measurement's own end, however it comes.
pub(crate) struct Process {
    program: OsString,
    child: Child,
}

impl Process {
    /// Starts a server, on one core or on any. What it prints is shown on standard error: a pipe that nobody reads would
    /// fill up.
    pub(crate) fn server(core: Option<usize>, command: &Command) -> Result<Self, ProcessError> {
        let stderr = std::io::stderr;
        Self::start(core, command, [Stdio::null(), Stdio::from(stderr()), Stdio::from(stderr())])
    }

    /// Starts any process with its input, output and error output. To be called on the main thread: the process ends
    /// with the thread that started it.
    pub(crate) fn start(
        core: Option<usize>,
        command: &Command,
        [stdin, stdout, stderr]: [Stdio; 3],
    ) -> Result<Self, ProcessError> {
        let program = command.get_program().to_owned();
        let mut bound = Command::new("setpriv");
        bound.args(["--pdeathsig", "KILL"]);
        if let Some(core) = core {
            bound.args(["taskset", "-c", &core.to_string()]);
        }
        bound.arg(&program).args(command.get_args());
        let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        bound.envs(set).stdin(stdin).stdout(stdout).stderr(stderr);
        match bound.spawn() {
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

    /// Its handle, for its pipes and its end.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, ProcessError> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
