//! Real servers for tests.

#![cfg(test)]

#[path = "../../tests/support/ports.rs"]
mod ports;

mod cluster;
mod proxy;
mod sentinel;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ports::ReservedPort;

pub(crate) use cluster::TestCluster;
pub(crate) use proxy::Proxy;
pub(crate) use sentinel::TestSentinel;

pub(crate) use crate::config::RedisConfig;
use crate::config::{Secret, StoreMode, StoreUrl};

/// Where programs may be that a test's `PATH` lacks.
const MORE_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// `store.timeout` of a test: long enough for a busy machine, short enough for a test that waits for it.
const TIMEOUT: Duration = Duration::from_millis(200);

/// A running server with nothing in it; killed when dropped.
pub(crate) struct TestServer {
    program: PathBuf,
    port: ReservedPort,
    arguments: Vec<String>,
    _folder: Folder,
    child: Child,
}

impl TestServer {
    /// A Redis of its own.
    pub(crate) fn redis() -> Self {
        Self::redis_with(&[])
    }

    /// A Redis with more on its command line.
    pub(crate) fn redis_with(arguments: &[&str]) -> Self {
        Self::start(program("redis-server", ".ci/setup installs it"), arguments)
    }

    /// A Valkey of its own.
    pub(crate) fn valkey() -> Self {
        let named = std::env::var_os("INTERLOCK_VALKEY").map(PathBuf::from);
        let found = named.unwrap_or_else(|| {
            program("valkey-server", ".ci/setup installs it; or name it in INTERLOCK_VALKEY")
        });
        Self::start(found, &[])
    }

    fn start(program: PathBuf, more: &[&str]) -> Self {
        let (port, folder) = (ReservedPort::new(), Folder::new());
        let arguments = [&["--save", "", "--appendonly", "no"], more].concat();
        Self::at(port, program, &arguments, folder)
    }

    fn at(port: ReservedPort, program: PathBuf, arguments: &[&str], folder: Folder) -> Self {
        // Of options that are given twice the last one holds; a file has to stand before all.
        let (number, path) = (port.address().port().to_string(), folder.0.to_str().unwrap());
        let ours = ["--bind", "127.0.0.1", "--port", &number, "--dir", path];
        let (files, options) =
            arguments.split_at(arguments.iter().take_while(|it| !it.starts_with("--")).count());
        let arguments: Vec<_> = [files, &ours[..], options].concat();
        let arguments = arguments.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let child = spawn(&program, &arguments);
        Self { program, port, arguments, _folder: folder, child }
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port.address().port()
    }

    /// A Redis that speaks TLS alone, and the certificate to trust.
    pub(crate) fn tls() -> (Self, PathBuf) {
        let redis = program("redis-server", ".ci/setup installs it");
        let folder = Folder::new();
        let (certificate, key) = certificate(&folder);
        let port = ReservedPort::new();
        let number = port.address().port().to_string();
        let (file, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        let arguments = ["--port", "0", "--tls-port", &number, "--tls-auth-clients", "no"];
        let files = ["--tls-cert-file", file, "--tls-key-file", key, "--tls-ca-cert-file", file];
        let server = Self::at(port, redis, &[&arguments[..], &files].concat(), folder);
        (server, certificate)
    }

    /// A configuration that leads to it.
    pub(crate) fn config(&self) -> RedisConfig {
        config(self.port())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it anew where it was, with nothing in it.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.program, &self.arguments);
    }

    /// Makes it stand still: connections are there, and nothing is answered.
    pub(crate) fn stop(&self) {
        signal(&self.child, "STOP");
    }

    /// Lets it go on.
    pub(crate) fn cont(&self) {
        signal(&self.child, "CONT");
    }

    /// What `redis-cli` says to a command.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        cli(self.port(), words)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A configuration that leads to a server of a test.
pub(crate) fn config(port: u16) -> RedisConfig {
    let url = StoreUrl {
        nodes: vec![("127.0.0.1".to_owned(), port)],
        mode: StoreMode::Single,
        tls: false,
        username: None,
        password: None,
        db: 0,
    };
    RedisConfig {
        url,
        timeout: TIMEOUT,
        prefix: "interlock".to_owned(),
        username_file: None,
        password_file: None,
        ca_file: None,
    }
}

/// The same, with a password in the URL.
pub(crate) fn with_password(mut config: RedisConfig, password: &str) -> RedisConfig {
    config.url.password = Some(Secret::new(password.to_owned()));
    config
}

/// Waits until what `redis-cli` says to a command contains something.
pub(crate) fn cli_until(port: u16, words: &[&str], wanted: &str) {
    let mut child = Command::new(program("redis-cli", ".ci/setup installs it"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-r", "400", "-i", "0.05"])
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let found = output.lines().map_while(Result::ok).any(|line| line.contains(wanted));
    drop(child.kill());
    child.wait().unwrap();
    assert!(found, "{words:?} at {port} never said {wanted}");
}

/// What `redis-cli` says to a command.
pub(crate) fn cli(port: u16, words: &[&str]) -> String {
    let output = Command::new(program("redis-cli", ".ci/setup installs it"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A certificate for 127.0.0.1 that signs itself, and its key.
fn certificate(folder: &Folder) -> (PathBuf, PathBuf) {
    let request = "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = more\n\
                   [name]\nCN = a test's store\n\
                   [more]\nsubjectAltName = IP:127.0.0.1\nbasicConstraints = critical,CA:FALSE\n";
    let request = folder.write("request", request);
    let (certificate, key) = (folder.0.join("certificate.pem"), folder.0.join("key.pem"));
    let made = Command::new(program("openssl", ".ci/setup installs it"))
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-days", "2", "-config"])
        .arg(request)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

/// Starts a server and reads what it says until it is ready.
#[track_caller]
fn spawn(program: &Path, arguments: &[String]) -> Child {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("can't run {}: {error}", program.display()));
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    let ready = ["Ready to accept connections", "+monitor master"];
    while !ready.iter().any(|words| said.contains(words)) {
        let read = output.read_line(&mut said).unwrap();
        assert_ne!(read, 0, "{} ended: {said}", program.display());
    }
    // It must not be stopped by what nobody reads.
    std::thread::spawn(move || drop(std::io::copy(&mut output, &mut std::io::sink())));
    child
}

fn program(name: &str, remedy: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let home = std::env::var("HOME").unwrap_or_default();
    let user = format!("{home}/.local/bin");
    let folders = path.split(':').chain([user.as_str()]).chain(MORE_PATH.split(':'));
    let found = folders.map(|folder| Path::new(folder).join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no {name} in PATH, {user} or {MORE_PATH}: {remedy}"))
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(done.is_ok_and(|status| status.success()), "kill -{name}");
}

/// A folder of a test's own, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("interlock-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file in it and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // One left behind harms nobody, and a panic in here would hide the test's own.
        drop(fs::remove_dir_all(&self.0));
    }
}
