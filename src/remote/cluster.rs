//! A Redis Cluster: which of its nodes serve, found out again whenever one of them says or does something unexpected.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value, pipe};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::breaker::Backoff;
use super::connect::Login;
use super::failure::Failure;
use super::place::{Address, Place};
use super::pool::Pool;
use super::slots::{Redirect, Slots};
use crate::clock;

/// What is known of a cluster.
#[derive(Default)]
pub(super) struct Cluster {
    slots: RefCell<Slots>,
    /// Whether it said so lately: every slot is served.
    serves: Cell<bool>,
    /// What is known may be out of date.
    doubt: Notify,
}

impl Cluster {
    /// The node that has a key.
    pub(super) fn owner(&self, key: &str) -> Option<Rc<Address>> {
        self.slots.borrow().owner(key)
    }

    /// Whether every key has a node that serves it, as the cluster says.
    pub(super) fn is_complete(&self) -> bool {
        self.serves.get()
    }

    /// What is known may be out of date: it is found out again soon.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Notes what a node said: where the command is to be sent instead.
    pub(super) fn redirected(&self, redirect: &Redirect) {
        if let Redirect::Moved(slot, to) = redirect {
            self.slots.borrow_mut().moved(*slot, to);
        }
        self.doubt();
    }
}

/// Finds the nodes that serve, for ever.
pub(super) async fn discover(pool: Rc<Pool>, cluster: Rc<Cluster>) {
    let mut backoff = Backoff::default();
    let mut last_asked = None;
    loop {
        sleep(backoff.pause(fastrand::f64())).await;
        let masters = cluster.slots.borrow().masters();
        let result = ask_around(&pool, masters, &mut last_asked).await;
        match result {
            Ok(slots) => {
                cluster.serves.set(true);
                pool.serve_from(slots.masters().into_iter().map(Place::Node).collect());
                cluster.slots.replace(slots);
                pool.changed();
                let known = clock::now();
                cluster.doubt.notified().await;
                backoff.served(clock::now().saturating_duration_since(known));
            }
            Err(failure) => {
                // Of nodes that don't answer, the connections to them tell.
                if matches!(failure, Failure::Incomplete { .. }) {
                    cluster.serves.set(false);
                }
                pool.changed();
                pool.failed(&failure);
            }
        }
    }
}

/// Asks one node after the other, the known masters before those of the configuration, until one says that all is well.
/// Another one begins each time, so that one that is cut off does not stay the only witness.
async fn ask_around(
    pool: &Pool,
    masters: BTreeSet<Address>,
    last_asked: &mut Option<Address>,
) -> Result<Slots, Failure> {
    let mut nodes: Vec<Address> = masters.into_iter().collect();
    let beginning =
        nodes.iter().position(|node| last_asked.as_ref().is_some_and(|last| node > last));
    nodes.rotate_left(beginning.unwrap_or_default());
    for configured in pool.connector.configured() {
        if !nodes.contains(&configured) {
            nodes.push(configured);
        }
    }
    let mut last = None;
    for node in nodes {
        match ask(pool, &node).await {
            Ok(slots) => {
                *last_asked = Some(node);
                return Ok(slots);
            }
            // What a node says of the cluster tells more than that another one is silent.
            Err(failure) => match &last {
                Some(Failure::Incomplete { .. }) => {}
                _ => last = Some(failure),
            },
        }
    }
    match last {
        Some(incomplete @ Failure::Incomplete { .. }) => Err(incomplete),
        last => Err(Failure::NoCluster { last: last.map(Box::new) }),
    }
}

async fn ask(pool: &Pool, node: &Address) -> Result<Slots, Failure> {
    let credentials = pool.connector.credentials()?;
    let login = Login::Redis(&credentials);
    let (state, slots) = pool.connector.consult(node, login, topology).await?;
    let is_well = state.lines().any(|line| line.trim_end() == "cluster_state:ok");
    let slots = Slots::read(slots, &node.host)
        .map_err(|source| Failure::Handshake { address: node.clone(), source })?;
    match is_well && slots.are_complete() {
        true => Ok(slots),
        false => Err(Failure::Incomplete { address: node.clone() }),
    }
}

async fn topology(connection: &mut MultiplexedConnection) -> RedisResult<(String, Value)> {
    let mut questions = pipe();
    questions.cmd("CLUSTER").arg("INFO");
    questions.cmd("CLUSTER").arg("SLOTS");
    questions.query_async(connection).await
}
