//! A real Redis or Valkey server of the test's own, and all that can happen to one.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ports::ReservedPort;
use super::process::Process;
use super::resp::{self, Reply};
use super::temp::TempDir;
use super::wait::DEADLINE;

/// Where Debian puts programs; a user's `PATH` may lack some of it.
const DEBIAN: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// Debian's Redis.
    Redis,
    /// Valkey.
    Valkey,
}

impl Flavor {
    fn program(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
        }
    }
}

/// A running server with nothing in it; killed when dropped.
pub(crate) struct Redis {
    process: Process,
    port: ReservedPort,
    flavor: Flavor,
    arguments: Vec<String>,
    data: TempDir,
}

impl Redis {
    /// Starts Debian's and waits until it answers. Fails the test where no server is installed.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_with(Flavor::Redis, &[])
    }

    /// One that has everything still when it is started again after a crash.
    #[track_caller]
    pub(crate) fn start_durable() -> Self {
        Self::start_with(Flavor::Redis, &["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// One of a flavor with more arguments; later ones win.
    #[track_caller]
    pub(crate) fn start_with(flavor: Flavor, arguments: &[&str]) -> Self {
        let (port, data) = (ReservedPort::new(), TempDir::new());
        let arguments: Vec<String> =
            arguments.iter().map(|&argument| argument.to_owned()).collect();
        let process = serve(flavor, &port, &data, &arguments);
        let mut redis = Self { process, port, flavor, arguments, data };
        redis.wait_until_it_answers();
        redis
    }

    #[track_caller]
    fn wait_until_it_answers(&mut self) {
        let address = self.address();
        self.process.wait_until("Redis to answer PING", |_| {
            resp::call(address, &["PING"], DEADLINE).is_ok_and(|reply| reply.text() == Some("PONG"))
        });
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `redis://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The string at a key.
    #[track_caller]
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.command(&["GET", key]).text().map(str::to_owned)
    }

    /// Writes a string at a key.
    #[track_caller]
    pub(crate) fn set(&self, key: &str, value: &str) {
        self.command(&["SET", key, value]);
    }

    /// Any command that is not refused.
    #[track_caller]
    pub(crate) fn command(&self, words: &[&str]) -> Reply {
        let reply = resp::call(self.address(), words, DEADLINE);
        match reply {
            Ok(Reply::Error(error)) => panic!("{words:?} was refused: {error}"),
            Ok(reply) => reply,
            Err(error) => panic!("{words:?} was not answered: {error}"),
        }
    }

    /// A line of `INFO`: what stands behind `name:`.
    #[track_caller]
    pub(crate) fn info(&self, section: &str, name: &str) -> Option<String> {
        let info = self.command(&["INFO", section]);
        let mut lines = info.text().expect("INFO is text").lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))
    }

    /// How often a command was called since the start, as `INFO commandstats` tells; a script counts as one `evalsha`.
    #[track_caller]
    pub(crate) fn calls_of(&self, command: &str) -> u64 {
        let line = self.info("commandstats", &format!("cmdstat_{command}"));
        let calls = line.as_deref().and_then(|line| line.strip_prefix("calls=")?.split(',').next());
        calls.map_or(0, |calls| calls.parse().expect("a number of calls"))
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was and waits until it answers; what it has then is what it had written down.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.process = serve(self.flavor, &self.port, &self.data, &self.arguments);
        self.wait_until_it_answers();
    }

    /// Stops it as it is: connections stay open, and nobody answers.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on: what was sent meanwhile is executed now.
    #[track_caller]
    pub(crate) fn resume(&self) {
        self.process.signal("CONT");
    }
}

#[track_caller]
fn serve(flavor: Flavor, port: &ReservedPort, data: &TempDir, arguments: &[String]) -> Process {
    let mut command = Command::new(program(flavor));
    command.args(["--bind", "127.0.0.1", "--port", &port.address().port().to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(data.file(""));
    Process::start(command.args(arguments))
}

/// Where a server is installed. Fails the test where it is not.
#[track_caller]
pub(crate) fn program(flavor: Flavor) -> PathBuf {
    let name = flavor.program();
    let path = env::var("PATH").unwrap_or_default();
    let home = env::var("HOME").unwrap_or_default();
    // Where `.ci/setup` puts what Debian doesn't have.
    let own = format!("{home}/.local/bin");
    let directories = path.split(':').chain(DEBIAN.split(':')).chain([own.as_str()]).map(Path::new);
    directories.map(|directory| directory.join(name)).find(|file| file.is_file()).unwrap_or_else(
        || panic!("no {name} in {path}:{DEBIAN}:{own}: run .ci/setup, which installs it"),
    )
}
