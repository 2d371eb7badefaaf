//! What can't be counted without slowing the proxy down: system calls, by strace, and allocations, by a library loaded
//! ahead of the C library. Each is a short run of its own.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::meter::{MeterError, family};
use crate::process::ProcessError;
use crate::proxies::{Proxy, Recipe, Site};
use crate::roles::{Load, RoleError};

/// The length of such a run: enough calls that single ones don't matter.
const RUN: Duration = Duration::from_secs(2);
/// Ahead of it, so that pools are filled and connections open.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long strace may take to attach, and to let go.
const TRACE_LIMIT: Duration = Duration::from_secs(10);
const TRACE_POLL: Duration = Duration::from_millis(10);

/// Why there is no such figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtraError {
    #[error("a process of the run failed")]
    Process(#[from] ProcessError),
    #[error("the load failed")]
    Role(#[from] RoleError),
    #[error("/proc can't be read")]
    Meter(#[from] MeterError),
    #[error("{program} can't be run: is it installed?")]
    NoTool { program: &'static str, source: std::io::Error },
    #[error("{program} failed: {status}")]
    ToolFailed { program: &'static str, status: ExitStatus },
    #[error("strace did not attach or let go within {TRACE_LIMIT:?}")]
    TraceHangs,
    #[error("strace's summary has no total: {summary}")]
    NoTotal { summary: String },
    #[error("a file of the run failed")]
    Io(#[from] std::io::Error),
}

/// System calls per request of a running proxy.
pub(crate) fn syscalls(load: &mut Load, process: u32, scratch: &Path) -> Result<f64, ExtraError> {
    load.run(WARM_UP)?;
    let summary = scratch.join("syscalls");
    let family = family(process)?;
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-c", "-f", "-o"]).arg(&summary).stderr(Stdio::null());
    strace.args(family.iter().flat_map(|process| ["-p".to_owned(), process.to_string()]));
    let strace =
        strace.spawn().map_err(|source| ExtraError::NoTool { program: "strace", source })?;
    let mut strace = Tracer(strace);

    strace.wait_until_attached(&family)?;
    let counts = load.run(RUN)?;
    strace.let_go()?;

    let summary = fs::read_to_string(summary)?;
    let calls = total_calls(&summary).ok_or(ExtraError::NoTotal { summary })?;
    Ok(calls as f64 / counts.requests.max(1) as f64)
}

/// From the line `100.00 0.123456 18 72 12 total`: share, seconds, microseconds per call, calls, errors if any.
fn total_calls(summary: &str) -> Option<u64> {
    let total = summary.lines().find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

struct Tracer(Child);

impl Tracer {
    fn wait_until_attached(&mut self, family: &[u32]) -> Result<(), ExtraError> {
        let deadline = Instant::now() + TRACE_LIMIT;
        while !all_traced(family)? {
            if let Some(status) = self.0.try_wait()? {
                return Err(ExtraError::ToolFailed { program: "strace", status });
            }
            if Instant::now() > deadline {
                return Err(ExtraError::TraceHangs);
            }
            thread::sleep(TRACE_POLL);
        }
        Ok(())
    }

    /// An interrupt makes it detach and write its summary.
    fn let_go(&mut self) -> Result<(), ExtraError> {
        let id = self.0.id().to_string();
        finish("sh", Command::new("sh").args(["-c", "kill -INT \"$0\"", &id]))?;
        let deadline = Instant::now() + TRACE_LIMIT;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(ExtraError::TraceHangs);
            }
            thread::sleep(TRACE_POLL);
        }
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It has ended already, unless something went wrong before.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn all_traced(family: &[u32]) -> Result<bool, ExtraError> {
    for process in family {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            if status.lines().any(|line| line == "TracerPid:\t0") {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Counts allocations per request, with what it needs for that built.
pub(crate) struct AllocationCounter {
    library: PathBuf,
    count: PathBuf,
    site: Site,
}

impl AllocationCounter {
    /// Compiles the library, and Interlock without jemalloc, whose work the library couldn't see.
    pub(crate) fn build(site: &Site, proxies: &[Proxy]) -> Result<Self, ExtraError> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let library = site.scratch.join("count_allocations.so");
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-Werror", "-fno-builtin", "-shared", "-fPIC", "-o"]);
        cc.arg(&library).arg(root.join("benches/rig/count_allocations.c"));
        finish("cc", &mut cc)?;

        let mut site = site.clone();
        if proxies.iter().any(|proxy| matches!(proxy.recipe, Recipe::Interlock { .. })) {
            let target = root.join("target/rig-alloc");
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut build = Command::new(cargo);
            build.args(["build", "--release", "--locked", "--no-default-features", "--bin"]);
            build.arg("interlock").arg("--target-dir").arg(&target).current_dir(root);
            finish("cargo", &mut build)?;
            site.interlock = target.join("release/interlock");
        }
        Ok(Self { library, count: site.scratch.join("allocations"), site })
    }

    /// Allocations per request of a proxy that is started for this.
    pub(crate) fn measure(
        &self,
        proxy: &Proxy,
        load_core: usize,
        connections: usize,
    ) -> Result<f64, ExtraError> {
        fs::write(&self.count, 0_u64.to_ne_bytes())?;
        let env = [("LD_PRELOAD", &*self.library), ("RIG_ALLOCATIONS", &*self.count)];
        let running = self.site.start(proxy, &env)?;
        let mut load = Load::start(load_core, running.listen, connections, proxy.traffic)?;
        load.run(WARM_UP)?;
        let before = self.read()?;
        let counts = load.run(RUN)?;
        let allocations = self.read()? - before;
        Ok(allocations as f64 / counts.requests.max(1) as f64)
    }

    fn read(&self) -> Result<u64, ExtraError> {
        let mut bytes = [0; 8];
        fs::File::open(&self.count)?.read_exact(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

fn finish(program: &'static str, command: &mut Command) -> Result<(), ExtraError> {
    let status = command.status().map_err(|source| ExtraError::NoTool { program, source })?;
    match status.success() {
        true => Ok(()),
        false => Err(ExtraError::ToolFailed { program, status }),
    }
}
