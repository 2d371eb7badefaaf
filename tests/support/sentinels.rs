//! A master, its replica, and three Sentinels that watch them.

use std::net::SocketAddr;
use std::process::Command;

use super::ports::ReservedPort;
use super::process::Process;
use super::redis::{Flavor, Redis, program};
use super::resp::{self, Reply};
use super::temp::TempDir;
use super::wait::{DEADLINE, eventually, until};

/// What the Sentinels call what they watch.
const SERVICE: &str = "interlock";

/// How many have to agree that the master is gone.
const QUORUM: usize = 2;

/// How long the master may be silent, in milliseconds: short enough for a test, long enough for a busy machine.
const DOWN_AFTER: u32 = 1_000;

/// How soon after a failover there may be another one, in milliseconds: half of the real time, and much less than usual.
const AGAIN_AFTER: u32 = 1_000;

/// How often a Sentinel asks servers and tells the others, in milliseconds instead of seconds.
const EAGER: [&str; 4] = ["INFO-PERIOD", "200", "PUBLISH-PERIOD", "200"];

/// A replica gets its first copy at once instead of waiting for others that could share it.
const NO_DELAY: [&str; 2] = ["--repl-diskless-sync-delay", "0"];

/// Two servers and who says which of them is the master; all killed when dropped.
pub(crate) struct Sentinels {
    servers: [Redis; 2],
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    port: ReservedPort,
    _process: Process,
    _directory: TempDir,
}

impl Sentinels {
    /// Starts all five and waits until they know each other.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let master = Redis::start_with(Flavor::Redis, &NO_DELAY);
        let port = master.address().port().to_string();
        let of_master = ["--replicaof", "127.0.0.1", &port];
        let replica = Redis::start_with(Flavor::Redis, &[&NO_DELAY[..], &of_master].concat());
        until("the replica to have its copy", || {
            replication(&replica, "master_link_status").as_deref() == Some("up")
        });
        let sentinels: Vec<Sentinel> =
            (0..3).map(|_| Sentinel::watching(master.address())).collect();
        let sentinels = Self { servers: [master, replica], sentinels };
        sentinels.wait_until_ready();
        sentinels
    }

    /// Waits until every Sentinel knows the replica and the two others.
    #[track_caller]
    fn wait_until_ready(&self) {
        for sentinel in &self.sentinels {
            until("the Sentinels to know each other", || {
                let known = |list| sentinel.ask(&["SENTINEL", list, SERVICE]).list().len();
                known("REPLICAS") == 1 && known("SENTINELS") == self.sentinels.len() - 1
            });
        }
    }

    /// `redis+sentinel://…`, with all of them.
    pub(crate) fn url(&self) -> String {
        let addresses: Vec<String> =
            self.sentinels.iter().map(|sentinel| sentinel.port.address().to_string()).collect();
        format!("redis+sentinel://{}/{SERVICE}", addresses.join(","))
    }

    /// The server that is the master as far as the first Sentinel knows.
    #[track_caller]
    pub(crate) fn master(&self) -> &Redis {
        let address = self.sentinels[0].master();
        let master = self.servers.iter().find(|server| server.address() == address);
        master.unwrap_or_else(|| panic!("no server of ours at {address}"))
    }

    /// Waits until the other server is a replica with a copy of all that the master has.
    #[track_caller]
    pub(crate) fn wait_for_replica(&self) {
        let master = self.master();
        let offset =
            |server: &Redis, name| -> Option<u64> { replication(server, name)?.parse().ok() };
        let wanted = eventually("an offset", || offset(master, "master_repl_offset"));
        let other = self.servers.iter().find(|server| server.address() != master.address());
        let other = other.expect("two servers");
        until("the replica to have all that the master has", || {
            let up = replication(other, "master_link_status").as_deref() == Some("up");
            up && offset(other, "slave_repl_offset").is_some_and(|here| here >= wanted)
        });
    }

    /// Has the replica promoted in good order, and waits until everybody knows.
    #[track_caller]
    pub(crate) fn fail_over(&self) {
        let before = self.master().address();
        until("the replica to be found good enough", || {
            let words = ["SENTINEL", "FAILOVER", SERVICE];
            let reply = resp::call(self.sentinels[0].port.address(), &words, DEADLINE);
            reply.is_ok_and(|reply| reply.text() == Some("OK"))
        });
        self.wait_for_another_master_than(before);
    }

    /// Kills the master, and waits until the Sentinels have promoted the replica.
    #[track_caller]
    pub(crate) fn kill_master(&mut self) {
        let before = self.master().address();
        let master = self.servers.iter_mut().find(|server| server.address() == before);
        master.expect("a master").kill();
        self.wait_for_another_master_than(before);
    }

    #[track_caller]
    fn wait_for_another_master_than(&self, before: SocketAddr) {
        until("all Sentinels to name the promoted replica", || {
            self.sentinels.iter().all(|sentinel| sentinel.master() != before)
        });
        until("the promoted replica to be a master", || {
            replication(self.master(), "role").as_deref() == Some("master")
        });
    }
}

/// A line of `INFO replication`; `None` where there is none, or no answer: Sentinels close the connections of a server whose
/// role they change.
fn replication(server: &Redis, name: &str) -> Option<String> {
    let reply = resp::call(server.address(), &["INFO", "replication"], DEADLINE).ok()?;
    let mut lines = reply.text()?.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))
}

impl Sentinel {
    #[track_caller]
    fn watching(master: SocketAddr) -> Self {
        let (port, directory) = (ReservedPort::new(), TempDir::new());
        let (own, theirs, home) = (port.address().port(), master.port(), directory.file(""));
        let home = home.display();
        // A Sentinel writes what it learns into its own configuration.
        let file = directory.write(
            "sentinel.conf",
            &format!(
                "bind 127.0.0.1\nport {own}\ndir {home}\n\
                 sentinel monitor {SERVICE} 127.0.0.1 {theirs} {QUORUM}\n\
                 sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}\n\
                 sentinel failover-timeout {SERVICE} {AGAIN_AFTER}\n"
            ),
        );
        let mut command = Command::new(program(Flavor::Redis));
        let process = Process::start(command.arg(file).arg("--sentinel"));
        let mut sentinel = Self { port, _process: process, _directory: directory };
        let address = sentinel.port.address();
        sentinel._process.wait_until("a Sentinel to answer PING", |_| {
            resp::call(address, &["PING"], DEADLINE).is_ok_and(|reply| reply.text() == Some("PONG"))
        });
        sentinel.ask(&[&["SENTINEL", "DEBUG"][..], &EAGER].concat());
        sentinel
    }

    #[track_caller]
    fn ask(&self, words: &[&str]) -> Reply {
        match resp::call(self.port.address(), words, DEADLINE) {
            Ok(Reply::Error(error)) => panic!("{words:?} was refused: {error}"),
            Ok(reply) => reply,
            Err(error) => panic!("{words:?} was not answered: {error}"),
        }
    }

    #[track_caller]
    fn master(&self) -> SocketAddr {
        let reply = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE]);
        let words: Vec<&str> = reply.list().iter().filter_map(Reply::text).collect();
        words.join(":").parse().expect("the address of a master")
    }
}
