//! The store and its thread in virtual time, for tests of what stands on the journals: the scripts as they are, in a store in
//! memory, over whatever network the test has.

use std::cell::Cell;
use std::rc::Rc;

use redis::Value;

use super::clerk::keys_of;
use super::command::Command;
use super::handle::{JournalRequests, Reply, Request, is_of};
use super::scripts::{EXCHANGE, LEAVE};
use super::{JournalError, JournalKey};
use crate::clock;
use crate::fleet::Keys;
use crate::remote::CallError;
use crate::simulation::redis::Redis;

/// The store. Clones are the same one.
#[derive(Clone)]
pub(crate) struct SimulatedStore {
    redis: Redis,
    /// The names of the scripts.
    exchange: Rc<str>,
    leave: Rc<str>,
    keys: Rc<Keys>,
    /// How many servers there were so far.
    servers: Rc<Cell<u64>>,
    epochs: Rc<Cell<u64>>,
}

impl SimulatedStore {
    pub(crate) fn new() -> Self {
        let redis = Redis::new();
        Self {
            exchange: redis.load(EXCHANGE.text).into(),
            leave: redis.load(LEAVE.text).into(),
            redis,
            keys: Rc::new(Keys::new("interlock")),
            servers: Rc::new(Cell::new(1)),
            epochs: Rc::new(Cell::new(0)),
        }
    }

    /// Which servers it is.
    pub(crate) fn servers(&self) -> String {
        format!("server-{}", self.servers.get())
    }

    /// It forgets everything: another server has taken its place, or the same one has begun anew.
    pub(crate) fn replace(&self, by_another_server: bool) {
        self.servers.set(self.servers.get() + u64::from(by_another_server));
        self.redis.forget();
    }

    /// Its clock is set.
    pub(crate) fn set_clock(&self, millis: i64) {
        self.redis.set_clock(millis * 1_000);
    }

    /// A sidecar joins the fleet, and gives its memory a name if it has none.
    pub(crate) fn join(&self, sidecar: &str) {
        self.epochs.set(self.epochs.get() + 1);
        let epoch = format!("epoch-{}", self.epochs.get());
        self.redis.write("SET", &[self.keys.epoch().as_bytes(), epoch.as_bytes(), b"NX"]);
        let heard = format!("{} ", self.redis.now_us() / 1_000);
        let words = [self.keys.sidecars(), sidecar.to_owned(), heard];
        self.redis.write("HSET", &words.each_ref().map(String::as_bytes));
    }

    /// What somebody wanted that is not simulated.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.redis.faults()
    }
}

/// A script on its way to the servers that it was sent to.
pub(crate) struct Errand {
    store: SimulatedStore,
    servers: String,
    script: Rc<str>,
    keys: Vec<String>,
    words: Vec<Vec<u8>>,
}

impl Errand {
    /// It arrives. `None` where the servers are gone.
    pub(crate) fn run(&self) -> Option<Value> {
        if self.servers != self.store.servers() {
            return None;
        }
        let words: Vec<&[u8]> = self.words.iter().map(Vec::as_slice).collect();
        let answer = self.store.redis.run_script(&self.script, &self.keys, &words);
        Some(redis::parse_redis_value(&answer).unwrap())
    }
}

/// A sidecar's way to the store.
pub(crate) trait Network {
    /// The servers that it is connected to.
    fn servers(&self) -> Option<String>;

    /// Brings an errand there, once or not at all, and its answer back, or not.
    async fn carry(&self, errand: Errand) -> Result<Value, CallError>;
}

/// What the store's thread does for a sidecar.
pub(crate) async fn serve(
    sidecar: String,
    store: SimulatedStore,
    network: impl Network,
    mut requests: JournalRequests,
) {
    let clerk = Clerk { sidecar, store, network };
    while let Some(request) = requests.requests.recv().await {
        match request {
            Request::Exchange { command, reply } => {
                drop(reply.send(clerk.exchange(&command).await));
            }
            Request::Leave { reply } => {
                clerk.leave().await;
                reply.send(()).ok();
            }
        }
    }
}

struct Clerk<N> {
    sidecar: String,
    store: SimulatedStore,
    network: N,
}

impl<N: Network> Clerk<N> {
    async fn exchange(&self, command: &Command) -> Result<Reply, JournalError> {
        let servers = self.network.servers().ok_or(JournalError::StoreGone)?;
        let other_store = command.store.as_deref().is_some_and(|store| !is_of(store, &servers));
        let question = Command::question();
        let command = if other_store { &question } else { command };
        let asked = clock::now();
        let errand = self.errand(&self.store.exchange, &servers, &command.entities, &command.words);
        let value = self.network.carry(errand).await?;
        Ok(Reply { value, asked, answered: clock::now(), servers, other_store })
    }

    async fn leave(&self) {
        if let Some(servers) = self.network.servers() {
            let mut errand = self.errand(&self.store.leave, &servers, &[], &[]);
            errand.keys.truncate(1);
            drop(self.network.carry(errand).await);
        }
    }

    fn errand(
        &self,
        script: &Rc<str>,
        servers: &str,
        entities: &[JournalKey],
        words: &[Vec<u8>],
    ) -> Errand {
        let first = [self.sidecar.clone().into_bytes()].into_iter();
        Errand {
            store: self.store.clone(),
            servers: servers.to_owned(),
            script: Rc::clone(script),
            keys: keys_of(&self.store.keys, entities, servers),
            words: first.chain(words.iter().cloned()).collect(),
        }
    }
}
