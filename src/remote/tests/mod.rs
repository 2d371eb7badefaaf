//! The client against real servers.

#![cfg(test)]

mod cluster;
mod finding;
mod outage;
mod serving;

use std::time::Duration;

use redis::{Cmd, Value};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connect::Connector;
use super::failure::Failure;
use super::place::Place;
use super::testing::{Folder, config, with_password};
use super::*;
use crate::config::StoreMode;
use crate::telemetry::Topology;
use crate::watch;

/// The longest wait for anything that has to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a test on a store's thread.
pub(super) fn on_store_thread(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.unwrap().block_on(async { timeout(PATIENCE * 6, test).await.expect("the test hangs") });
}

/// A store that is opened, with what it told.
struct Store {
    remote: Remote,
    status: watch::Receiver<Status>,
    pushed: mpsc::UnboundedReceiver<Pushed>,
    telemetry: Telemetry,
}

impl Store {
    /// Opens one; nothing is connected yet.
    fn open(config: RedisConfig) -> Self {
        let telemetry = Telemetry::new(&Topology::default());
        let (sender, pushed) = mpsc::unbounded_channel();
        let remote = Remote::open(config, vec!["news".to_owned()], sender, telemetry.clone());
        let status = remote.status();
        Self { remote, status, pushed, telemetry }
    }

    /// Opens one and waits until it is connected.
    async fn connected(config: RedisConfig) -> Self {
        let mut store = Self::open(config);
        store.until_connected().await;
        store
    }

    /// Waits for a status.
    async fn until(&mut self, holds: impl Fn(&Status) -> bool) -> Status {
        let reached = timeout(PATIENCE, self.status.wait_for(holds)).await;
        reached.expect("the status is not reached").expect("the store has ended").clone()
    }

    async fn until_connected(&mut self) -> Connected {
        self.until(|status| status.connected.is_some()).await.connected.unwrap()
    }

    async fn until_gone(&mut self) {
        self.until(|status| status.connected.is_none()).await;
    }

    /// What comes next on the channel.
    async fn next_push(&mut self) -> Pushed {
        timeout(PATIENCE, self.pushed.recv()).await.expect("nothing is pushed").unwrap()
    }

    async fn ask(&self, lane: Lane, words: &[&str]) -> Result<Value, CallError> {
        self.ask_at(lane, words, None).await
    }

    async fn ask_at(
        &self,
        lane: Lane,
        words: &[&str],
        generation: Option<u64>,
    ) -> Result<Value, CallError> {
        let key = words.get(1).copied().unwrap_or_default();
        self.remote.call(lane, StoreOperation::Beat, key, command(words), generation).await
    }

    /// The line of the metrics page that begins so, without its beginning.
    fn metric(&self, series: &str) -> String {
        let page = self.telemetry.render();
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).trim().to_owned()
    }
}

fn command(words: &[&str]) -> Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}

fn text(value: &str) -> Value {
    Value::BulkString(value.as_bytes().to_vec())
}
