//! A program that runs beside a test and is killed with it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use super::client::{Kept, get};
use super::temp::TempDir;
use super::wait::eventually;

/// A running program; killed when dropped, with its output shown when the test failed.
pub(crate) struct Process {
    child: Child,
    directory: TempDir,
}

impl Process {
    /// Starts it in a directory of its own.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let directory = TempDir::new();
        let log = File::create(directory.file("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.current_dir(directory.file("")).spawn();
        let child = child.unwrap_or_else(|error| panic!("can't run {command:?}: {error}"));
        Self { child, directory }
    }

    /// Waits until `ready`, which looks at it from outside, finds it so. Fails the test when it ends before that.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, mut ready: impl FnMut(&Self) -> bool) {
        eventually(what, || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?} while waiting for {what}: {}", self.output());
            ready(self).then_some(())
        });
    }

    /// Waits until it answers a `GET` of this path with `200`.
    #[track_caller]
    pub(crate) fn wait_until_it_serves(&mut self, address: SocketAddr, path: &str) {
        self.wait_until(&format!("{path} to be served"), |_| {
            let answer = Kept::to(address).call(&get(path));
            answer.is_ok_and(|response| response.status == 200)
        });
    }

    /// What it printed so far, on both outputs.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.directory.file("log")).unwrap_or_default()
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name, such as `INT`.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.pid().to_string());
        assert!(Command::new("kill").args([&signal, &pid]).status().unwrap().success());
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        eventually("the process to exit", || self.child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("--- the output of process {} ---\n{}", self.child.id(), self.output());
        }
    }
}
