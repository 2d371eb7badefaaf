//! The store thread's end: runs what the detector asks for, one command after the other.

use std::future::pending;

use redis::Value;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::command::Command;
use super::handle::{JournalRequests, Reply, Request, is_of};
use super::scripts::{EXCHANGE, LEAVE};
use super::{JournalError, JournalKey};
use crate::clock;
use crate::fleet::Keys;
use crate::remote::{CallError, Connected, Lane, Remote, Script};

/// Runs exchanges. They go over the lane of the control plane: no lease waits behind them, and a beat for some milliseconds at
/// most, as a command and its answer are bounded and there is one at a time.
pub(crate) struct JournalClerk {
    sidecar: String,
    remote: Remote,
    keys: Keys,
    requests: mpsc::Receiver<Request>,
}

impl JournalClerk {
    /// For the sidecar of this id.
    pub(crate) fn new(
        sidecar: String,
        remote: Remote,
        keys: Keys,
        requests: JournalRequests,
    ) -> Self {
        Self { sidecar, remote, keys, requests: requests.requests }
    }

    /// Never ends, whether anybody still asks or not.
    pub(crate) async fn run(mut self) {
        while let Some(request) = self.requests.recv().await {
            match request {
                Request::Exchange { command, reply } => {
                    // Whoever asked may have gone.
                    drop(reply.send(self.exchange(&command).await));
                }
                Request::Leave { reply } => {
                    self.leave().await;
                    reply.send(()).ok();
                }
            }
        }
        pending().await
    }

    pub(super) async fn exchange(&self, command: &Command) -> Result<Reply, JournalError> {
        let connected = self.connected().ok_or(JournalError::StoreGone)?;
        let stamped_for = command.store.as_deref();
        let other_store = stamped_for.is_some_and(|store| !is_of(store, &connected.identity));
        let question = Command::question();
        let command = if other_store { &question } else { command };
        let keys = keys_of(&self.keys, &command.entities, &connected.identity);
        let first = [self.sidecar.as_bytes()].into_iter();
        let words: Vec<&[u8]> = first.chain(command.words.iter().map(Vec::as_slice)).collect();
        let asked = clock::now();
        let value = self.run_script(&EXCHANGE, &keys, &words, &connected).await?;
        let answered = clock::now();
        Ok(Reply { value, asked, answered, servers: connected.identity, other_store })
    }

    async fn leave(&self) {
        if let Some(connected) = self.connected() {
            let marks = [self.keys.journal_marks(&short(&connected.identity))];
            let words = [self.sidecar.as_bytes()];
            // Where it fails the mark is forgotten for its age.
            drop(self.run_script(&LEAVE, &marks, &words, &connected).await);
        }
    }

    fn connected(&self) -> Option<Connected> {
        self.remote.status().borrow().connected.clone()
    }

    async fn run_script(
        &self,
        script: &Script,
        keys: &[String],
        words: &[&[u8]],
        connected: &Connected,
    ) -> Result<Value, CallError> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        // Over other connections it might be another store.
        let generation = Some(connected.generation);
        self.remote.run_or_tell(Lane::Control, script, &keys, words, generation).await
    }
}

/// The keys of an exchange about these entities, in the store that is these servers.
pub(super) fn keys_of(names: &Keys, entities: &[JournalKey], servers: &str) -> Vec<String> {
    let store = short(servers);
    let first = [names.journal_marks(&store), names.sidecars(), names.epoch()];
    let of_entities = entities.iter().flat_map(|JournalKey { flag, entity }| {
        [names.journal(&store, flag, entity), names.journal_claim(&store, flag, entity)]
    });
    first.into_iter().chain(of_entities).collect()
}

/// A short name for servers.
fn short(servers: &str) -> String {
    let digest = Sha256::digest(servers.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
