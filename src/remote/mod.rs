//! The Redis of a fleet: found, spoken to, supervised, and known to be gone.
//!
//! All of it lives on one thread, the store's: connections, their supervisors and whoever calls. Nothing here is on a
//! request's way.

mod breaker;
mod cluster;
mod connect;
mod credentials;
mod error;
mod failure;
mod link;
mod place;
mod pool;
mod push;
mod script;
mod sentinel;
mod slots;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;

use std::rc::Rc;
use std::time::Duration;

#[cfg(test)]
use redis::Cmd;
use redis::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::{self, Instant};
use crate::config::RedisConfig;
use crate::telemetry::Telemetry;
use crate::telemetry::events::StoreFault;
use crate::telemetry::labels::{StoreOperation, StoreResult};
use crate::watch;
use pool::Pool;
use script::Hashes;

pub(crate) use error::CallError;
#[cfg(test)]
pub(crate) use error::Cause;
pub(crate) use script::Script;

/// What a command is for: each has a connection of its own, so that none waits behind another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Flags, registration, history.
    Control,
    /// Leases.
    Lease,
    /// The app's documents, which may be large.
    Documents,
}

/// How the store stands, as far as connections tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// The lanes' connections, while all of them serve.
    pub(crate) connected: Option<Connected>,
    /// Whether messages are pushed; without it, polls alone tell of changes.
    pub(crate) push: bool,
}

/// What is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connected {
    /// Grows with every connection made on any lane or node: another number may be another server.
    pub(crate) generation: u64,
    /// Which servers: their run ids, sorted. Another text is a store that may have forgotten.
    pub(crate) identity: String,
    /// Whether it is a Redis Cluster.
    pub(crate) cluster: bool,
}

/// What comes on a subscribed channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// A message.
    Message {
        /// Its channel.
        channel: String,
        /// What it says.
        payload: Vec<u8>,
    },
    /// The subscription was made (again): something may have been missed before.
    Subscribed,
}

/// The store as its thread uses it. Clones share everything; with the last one its connections end.
#[derive(Clone)]
pub(crate) struct Remote {
    inner: Rc<Inner>,
}

struct Inner {
    pool: Rc<Pool>,
    hashes: Hashes,
    _push: JoinSet<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.pool.close();
    }
}

impl Remote {
    /// Begins to connect, and never ends trying. To be called inside the store thread's `LocalRuntime`. Messages of
    /// `channels` go to `pushed`.
    pub(crate) fn open(
        config: RedisConfig,
        channels: Vec<String>,
        pushed: mpsc::UnboundedSender<Pushed>,
        telemetry: Telemetry,
    ) -> Self {
        let pool = Pool::new(config, telemetry);
        pool.begin();
        let mut push = JoinSet::new();
        push.spawn_local(push::listen(Rc::clone(&pool), channels, pushed));
        Self { inner: Rc::new(Inner { pool, hashes: Hashes::default(), _push: push }) }
    }

    /// How it stands; told at every change.
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.inner.pool.status()
    }

    /// The longest that a command takes.
    pub(crate) fn timeout(&self) -> Duration {
        self.inner.pool.timeout()
    }

    /// For tests of the connections alone: whatever the crate asks of a store is a script.
    ///
    /// Runs a command on the node that has `key`; ends within the store's timeout, at once where there is no connection.
    /// With `generation`, it is not sent unless the connections are still those. It is counted as `operation`.
    ///
    /// # Errors
    /// Tells whether it may have been executed: [`CallError`].
    #[cfg(test)]
    pub(crate) async fn call(
        &self,
        lane: Lane,
        operation: StoreOperation,
        key: &str,
        command: Cmd,
        generation: Option<u64>,
    ) -> Result<Value, CallError> {
        let began = clock::now();
        let deadline = began + self.inner.pool.timeout();
        let result = self.inner.pool.send(lane, key, &command, generation, deadline).await;
        self.count(operation, began, &result);
        result
    }

    /// Runs a script; `keys` are in one slot, and there is at least one.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn run(
        &self,
        lane: Lane,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
        generation: Option<u64>,
    ) -> Result<Value, CallError> {
        let pool = &self.inner.pool;
        let began = clock::now();
        let deadline = began + pool.timeout();
        let key = keys.first().copied().unwrap_or_default();
        let mut span = pool.telemetry.tracer().command(script.operation, began);
        let mut name = script::BY_HASH;
        let known = script::by_hash(&self.inner.hashes.of(script), keys, arguments);
        let mut result = pool.send(lane, key, &known, generation, deadline).await;
        if result.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT")) {
            name = script::BY_TEXT;
            let whole = script::by_text(script, keys, arguments);
            result = pool.send(lane, key, &whole, generation, deadline).await;
        }
        self.count(script.operation, began, &result);
        if let Some(span) = &mut span {
            span.commanded(name);
            if let Err(error) = &result {
                span.fail(error.word());
            }
        }
        result
    }

    /// [`Self::run`] for whoever tells nobody else of a failure: the log has it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn run_or_tell(
        &self,
        lane: Lane,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
        generation: Option<u64>,
    ) -> Result<Value, CallError> {
        let answer = self.run(lane, script, keys, arguments, generation).await;
        answer.inspect_err(|error| self.tell(script, error, error.is_refusal()))
    }

    /// Tells of an answer that no script gives.
    pub(crate) fn tell_of_answer(
        &self,
        script: &Script,
        error: &(dyn std::error::Error + 'static),
    ) {
        self.tell(script, error, true);
    }

    fn tell(&self, script: &Script, error: &(dyn std::error::Error + 'static), refused: bool) {
        let operation = script.operation;
        StoreFault { operation, error, refused }.emit(&self.inner.pool.telemetry);
    }

    fn count(&self, operation: StoreOperation, began: Instant, result: &Result<Value, CallError>) {
        let (how, was_sent) = match result {
            Ok(_) => (StoreResult::Ok, true),
            Err(error @ CallError::NotExecuted(_)) => (StoreResult::Error, error.was_sent()),
            Err(CallError::Unknown(_)) => (StoreResult::Unknown, true),
        };
        self.inner.pool.answered(operation, began, how, was_sent);
    }
}
