//! A real `interlock` process.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;

use serde_json::{Value, json};

use super::client::{Raw, Response};
use super::metrics::Metrics;
use super::ports::ReservedPort;
use super::temp::TempDir;
use super::upstream::Upstream;
use super::wait::{eventually, until};

/// How often a sidecar is started anew because something else on the machine had taken its port.
const START_ATTEMPTS: usize = 3;

/// Open files that a sidecar may have: enough for 10,000 clients.
const OPEN_FILES: usize = 32_768;

/// The command under test, with nothing of the environment that would change its configuration.
pub(crate) fn interlock(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interlock"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("INTERLOCK_") || shown.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a command printed and how it ended.
pub(crate) struct Run {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) out: String,
    /// Both outputs.
    pub(crate) all: String,
}

impl Run {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let out = String::from_utf8_lossy(&stdout).into_owned();
        let all = format!("{out}{}", String::from_utf8_lossy(&stderr));
        Self { code: status.code(), out, all }
    }
}

/// A sidecar yet to be started.
pub(crate) struct Builder {
    legacy_url: String,
    proxy: String,
    legacy: String,
    rest: String,
    environment: Vec<(String, String)>,
    admin: AdminPlane,
}

/// How the admin plane is there for a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminPlane {
    /// On loopback, with probes that can be asked.
    Plain,
    /// On an address that the sidecar takes for one that others reach, though it is this machine's alone.
    BeyondLoopback,
    /// With a certificate, as `admin.tls` has to say.
    Tls,
}

impl Builder {
    /// Lines of `[proxy]`.
    pub(crate) fn proxy(mut self, lines: &str) -> Self {
        writeln!(self.proxy, "{lines}").unwrap();
        self
    }

    /// Lines of `[legacy]`.
    pub(crate) fn legacy(mut self, lines: &str) -> Self {
        writeln!(self.legacy, "{lines}").unwrap();
        self
    }

    /// More tables.
    pub(crate) fn with(mut self, toml: &str) -> Self {
        writeln!(self.rest, "{toml}").unwrap();
        self
    }

    /// Another admin plane than a plain one.
    pub(crate) fn admin_plane(self, admin: AdminPlane) -> Self {
        Self { admin, ..self }
    }

    /// A variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(self) -> Sidecar {
        for _ in 1..START_ATTEMPTS {
            match self.attempt() {
                Err(log) if log.to_lowercase().contains("in use") => {}
                outcome => return outcome.unwrap_or_else(|log| panic!("did not start: {log}")),
            }
        }
        self.attempt().unwrap_or_else(|log| panic!("did not start: {log}"))
    }

    fn attempt(&self) -> Result<Sidecar, String> {
        let (data, admin) = (ReservedPort::new(), ReservedPort::new());
        let directory = TempDir::new();
        let text = format!(
            "[proxy]\nlisten = \"{}\"\n{}\n[legacy]\nurl = \"{}\"\n{}\n[admin]\nlisten = \"{}\"\n{}",
            data.address(),
            self.proxy,
            self.legacy_url,
            self.legacy,
            match self.admin {
                // An IPv4 address in IPv6's clothes: not loopback by its number, and nobody else gets there.
                AdminPlane::BeyondLoopback =>
                    format!("[::ffff:127.0.0.1]:{}", admin.address().port()),
                AdminPlane::Plain | AdminPlane::Tls => admin.address().to_string(),
            },
            self.rest
        );
        let config = directory.write("interlock.toml", &text);
        let child = spawn(&config, &directory.file("log"), &self.environment);
        let mut sidecar = Sidecar { child, data, admin, directory, plane: self.admin };
        sidecar.become_ready().map(|()| sidecar)
    }
}

fn spawn(config: &Path, log: &Path, environment: &[(String, String)]) -> Child {
    let log = File::create(log).unwrap();
    let inner = interlock(&[]);
    // Raising the limit may be forbidden; the tests that need it look at what there is.
    let script =
        format!("ulimit -n {OPEN_FILES} 2>/dev/null || ulimit -n $(ulimit -Hn); exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(inner.get_program());
    command.arg("run").arg("--config").arg(config);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// A running sidecar; killed when dropped, with its log shown when the test failed.
pub(crate) struct Sidecar {
    child: Child,
    data: ReservedPort,
    admin: ReservedPort,
    directory: TempDir,
    plane: AdminPlane,
}

impl Sidecar {
    /// One whose legacy app is `upstream`.
    pub(crate) fn in_front_of(upstream: &Upstream) -> Builder {
        Self::at(&upstream.url())
    }

    /// One whose legacy app is at a URL.
    pub(crate) fn at(legacy_url: &str) -> Builder {
        let (proxy, legacy, rest) = Default::default();
        let legacy_url = legacy_url.to_owned();
        Builder {
            legacy_url,
            proxy,
            legacy,
            rest,
            environment: Vec::new(),
            admin: AdminPlane::Plain,
        }
    }

    fn become_ready(&mut self) -> Result<(), String> {
        eventually("the sidecar to be ready", || {
            if self.child.try_wait().unwrap().is_some() {
                return Some(Err(self.log()));
            }
            let ready = match self.plane {
                AdminPlane::Plain => self.readiness() == Some(200),
                AdminPlane::BeyondLoopback | AdminPlane::Tls => {
                    self.log().contains("\"event\":\"sidecar_started\"")
                }
            };
            ready.then_some(Ok(()))
        })
    }

    /// A new connection to the data plane.
    #[track_caller]
    pub(crate) fn client(&self) -> Raw {
        Raw::connect(self.data.address())
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.data.address()
    }

    /// One call on a connection of its own.
    #[track_caller]
    pub(crate) fn call(&self, request: &[u8]) -> Response {
        self.client().call(request)
    }

    /// `http://127.0.0.1:PORT` of the admin plane; `https://` over TLS.
    pub(crate) fn admin_url(&self) -> String {
        let scheme = if self.plane == AdminPlane::Tls { "https" } else { "http" };
        format!("{scheme}://{}", self.admin.address())
    }

    /// Where the admin plane listens.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// A call to the admin plane, with extra header lines and a body.
    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
        let (host, length) = (self.admin.address(), body.len());
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\
             Content-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        Raw::connect(self.admin.address()).call(&request)
    }

    /// Reads from the admin plane.
    #[track_caller]
    pub(crate) fn admin_get(&self, path: &str) -> Response {
        self.admin("GET", path, "", b"")
    }

    /// Sends JSON to the admin plane.
    #[track_caller]
    pub(crate) fn admin_json(&self, method: &str, path: &str, body: &Value) -> Response {
        let kind = "Content-Type: application/json\r\n";
        self.admin(method, path, kind, body.to_string().as_bytes())
    }

    /// Sets a flag's percentage.
    #[track_caller]
    pub(crate) fn set_percent(&self, flag: &str, percent: f64) {
        let body = json!({ "percent": percent, "reason": "a test" });
        let response = self.admin_json("PATCH", &format!("/api/v1/flags/{flag}"), &body);
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// A flag as the admin plane shows it.
    #[track_caller]
    pub(crate) fn flag(&self, flag: &str) -> Value {
        let response = self.admin_get(&format!("/api/v1/flags/{flag}"));
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// What `/readyz` says; `None` when nobody answers.
    pub(crate) fn readiness(&self) -> Option<u16> {
        let mut client = Raw::try_connect(self.admin.address()).ok()?;
        let host = self.admin.address();
        client.try_send(format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).ok()?;
        client.try_response().ok().map(|response| response.status)
    }

    /// A scrape.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin_get("/metrics").text())
    }

    /// Waits until the series with these labels add up to a value.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let mut last = None;
        until(&format!("{name}{labels:?} = {value} (last seen below)"), || {
            let now = self.metrics().sum(name, labels);
            if now != last {
                eprintln!("{name}{labels:?} = {now:?}");
                last = now;
            }
            now == Some(value)
        });
    }

    /// A line of `/proc/PID/status` in bytes: `VmRSS`, or `VmHWM` for its peak.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
        let kib: String = line.chars().filter(char::is_ascii_digit).collect();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// The names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        // A thread may end meanwhile.
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
        tasks.flatten().filter_map(name).map(|name| name.trim_end().to_owned()).collect()
    }

    /// How many files it may have open.
    pub(crate) fn open_files_limit(&self) -> usize {
        open_files_limit(&format!("/proc/{}/limits", self.child.id()))
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.file("log")).unwrap_or_default()
    }

    /// Its configuration file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.file("interlock.toml")
    }

    /// Asks it to stop.
    #[track_caller]
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal by name: `STOP` and `CONT` pause it and let it go on, `KILL` ends it as a crash would.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.child.id().to_string());
        assert!(Command::new("kill").args([&signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        eventually("the sidecar to exit", || self.child.try_wait().unwrap())
    }

    /// Stops it and starts another with the same configuration.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.terminate();
        self.wait_for_exit();
        self.start_again();
    }

    /// Starts another with the same configuration where one has ended; the log goes on in a new file.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.config_file(), &self.directory.file("log"), &[]);
        self.become_ready().unwrap_or_else(|log| panic!("did not start again: {log}"));
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("--- the sidecar's log ---\n{}", self.log());
        }
    }
}

/// The soft limit in a `/proc/PID/limits`.
pub(crate) fn open_files_limit(path: &str) -> usize {
    let limits = fs::read_to_string(path).unwrap();
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

/// Raises this process's own limit as far as it may; returns what it is then.
pub(crate) fn raise_own_open_files_limit() -> usize {
    let pid = std::process::id().to_string();
    // Without the tool, or the right, the limit stays as it is.
    let wanted = format!("--nofile={OPEN_FILES}:");
    drop(Command::new("prlimit").args(["--pid", &pid, &wanted]).stderr(Stdio::null()).status());
    open_files_limit("/proc/self/limits")
}
