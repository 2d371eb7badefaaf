//! A real Redis server of the test's own, and just enough of its protocol to look inside.

use std::env;
use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ports::ReservedPort;
use super::process::Process;
use super::wait::DEADLINE;

const SERVER: &str = "redis-server";

/// Where Debian puts programs; a user's `PATH` may lack some of it.
const DEBIAN: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// A running server with nothing in it; killed when dropped.
pub(crate) struct Redis {
    process: Process,
    port: ReservedPort,
}

impl Redis {
    /// Starts one and waits until it answers. Fails the test where no server is installed.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let port = ReservedPort::new();
        let mut command = Command::new(server());
        command.args(["--bind", "127.0.0.1", "--port", &port.address().port().to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        let mut redis = Self { process: Process::start(&mut command), port };
        let address = redis.port.address();
        redis.process.wait_until("Redis to answer PING", |_| {
            call(address, &["PING"]).is_ok_and(|answer| answer.as_deref() == Some("PONG"))
        });
        redis
    }

    /// `redis://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.port.address())
    }

    /// The string at a key.
    #[track_caller]
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        call(self.port.address(), &["GET", key]).unwrap()
    }

    /// Writes a string at a key.
    #[track_caller]
    pub(crate) fn set(&self, key: &str, value: &str) {
        let answer = call(self.port.address(), &["SET", key, value]).unwrap();
        assert_eq!(answer.as_deref(), Some("OK"));
    }
}

#[track_caller]
fn server() -> PathBuf {
    let path = env::var("PATH").unwrap_or_default();
    let directories = path.split(':').chain(DEBIAN.split(':')).map(Path::new);
    directories.map(|directory| directory.join(SERVER)).find(|file| file.is_file()).unwrap_or_else(
        || panic!("no {SERVER} in {path}:{DEBIAN}: run .ci/setup, which installs it"),
    )
}

/// One command on a connection of its own. `None` stands for Redis's nil.
fn call(address: SocketAddr, words: &[&str]) -> io::Result<Option<String>> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(command.as_bytes())?;

    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let unexpected = || Error::other(format!("{words:?} was answered with {line:?}"));
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(unexpected)?;
    match (kind, rest) {
        ("$", "-1") => Ok(None),
        ("+" | ":", text) => Ok(Some(text.to_owned())),
        ("$", length) => {
            let mut bytes = vec![0; length.parse().map_err(|_| unexpected())?];
            reader.read_exact(&mut bytes)?;
            String::from_utf8(bytes).map(Some).map_err(Error::other)
        }
        _ => Err(unexpected()),
    }
}
