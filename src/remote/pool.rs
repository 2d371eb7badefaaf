//! All connections to the store, how they stand together, and what is told of it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use redis::{Cmd, RedisError, Value};
use tokio::task::JoinSet;

use super::breaker::{Outage, Tell};
use super::cluster::{Cluster, discover};
use super::connect::Connector;
use super::error::{CallError, Cause};
use super::failure::{Failure, FailureKind, Loss};
use super::link::{Link, Request, supervise};
use super::place::{Address, Place};
use super::slots::Redirect;
use super::{Connected, Lane, Status};
use crate::clock::{self, Instant};
use crate::config::{RedisConfig, StoreMode};
use crate::telemetry::Telemetry;
use crate::telemetry::events::{
    BreakerChanged, BreakerMoved, StoreAnswered, StorePushChanged, StoreUnreachable,
};
use crate::telemetry::labels::{StoreOperation, StoreResult};
use crate::watch;

/// What the store's tasks share. It lives on one thread.
pub(super) struct Pool {
    pub(super) connector: Connector,
    timeout: Duration,
    pub(super) telemetry: Telemetry,
    status: watch::Sender<Status>,
    /// Of the connection that was made last.
    generation: Cell<u64>,
    outage: RefCell<Outage<FailureKind>>,
    nodes: RefCell<BTreeMap<Place, Node>>,
    cluster: Option<Rc<Cluster>>,
    /// Finds the cluster's nodes.
    discovery: RefCell<JoinSet<()>>,
    /// Whether messages are pushed, as was told last.
    told_push: Cell<Option<bool>>,
}

/// A server that serves, and the connections to it.
struct Node {
    control: Rc<Link>,
    lease: Rc<Link>,
    documents: Rc<Link>,
    /// Their supervisors; they end with it.
    _tasks: JoinSet<()>,
}

impl Pool {
    pub(super) fn new(config: RedisConfig, telemetry: Telemetry) -> Rc<Self> {
        let timeout = config.timeout;
        let cluster = config.url.mode == StoreMode::Cluster;
        Rc::new(Self {
            connector: Connector::new(config),
            timeout,
            telemetry,
            status: watch::Sender::default(),
            generation: Cell::new(0),
            outage: RefCell::new(Outage::new()),
            nodes: RefCell::default(),
            cluster: cluster.then(Rc::default),
            discovery: RefCell::default(),
            told_push: Cell::new(None),
        })
    }

    /// Begins to connect.
    pub(super) fn begin(self: &Rc<Self>) {
        match &self.cluster {
            None => self.serve_from(BTreeSet::from([Place::Master])),
            Some(cluster) => {
                let discovery = discover(Rc::clone(self), Rc::clone(cluster));
                self.discovery.borrow_mut().spawn_local(discovery);
            }
        }
    }

    /// Begins to connect to the servers that are new, and lets go of those that serve no more.
    pub(super) fn serve_from(self: &Rc<Self>, places: BTreeSet<Place>) {
        let mut nodes = self.nodes.borrow_mut();
        nodes.retain(|place, _| places.contains(place));
        for place in places {
            nodes.entry(place.clone()).or_insert_with(|| self.node(&place));
        }
    }

    fn node(self: &Rc<Self>, place: &Place) -> Node {
        let mut tasks = JoinSet::new();
        let mut link = || {
            let link = Rc::new(Link::new(place.clone()));
            tasks.spawn_local(supervise(Rc::clone(self), Rc::clone(&link)));
            link
        };
        Node { control: link(), lease: link(), documents: link(), _tasks: tasks }
    }

    /// Ends all tasks. They hold the pool, so that it can't end by itself.
    pub(super) fn close(&self) {
        self.nodes.take();
        self.discovery.take();
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(super) fn next_generation(&self) -> u64 {
        let next = self.generation.get() + 1;
        self.generation.set(next);
        next
    }

    /// Sends a command to the node that has the key; once more where that node sends it on, which is not to execute it.
    pub(super) async fn send(
        &self,
        lane: Lane,
        key: &str,
        command: &Cmd,
        generation: Option<u64>,
        deadline: Instant,
    ) -> Result<Value, CallError> {
        let Some(link) = self.link(lane, &self.place_of(key)?) else {
            return Err(CallError::NotExecuted(Cause::Disconnected));
        };
        self.refuse_if_reconnected(&link, generation)?;
        let result = link.ask(self, &Request::One(command), deadline).await;
        match (&self.cluster, result) {
            (Some(cluster), Err(CallError::NotExecuted(Cause::Redis(error)))) => {
                let again = self.redirected(cluster, &link, lane, &error);
                let Some((link, redirect)) = again else {
                    return Err(CallError::NotExecuted(Cause::Redis(error)));
                };
                // Between the two commands servers may have been replaced.
                self.refuse_if_reconnected(&link, generation)?;
                match redirect {
                    Redirect::Moved(..) => link.ask(self, &Request::One(command), deadline).await,
                    Redirect::Ask(_) => {
                        let mut asking = redis::pipe();
                        asking.cmd("ASKING").add_command(command.clone());
                        link.ask(self, &Request::Last(&asking), deadline).await
                    }
                }
            }
            (_, result) => result,
        }
    }

    /// A command that was meant for certain connections is not sent over others.
    fn refuse_if_reconnected(&self, link: &Link, generation: Option<u64>) -> Result<(), CallError> {
        let other = generation.is_some_and(|wanted| wanted != self.generation.get());
        if link.serving().is_some() && other {
            return Err(CallError::NotExecuted(Cause::Reconnected));
        }
        Ok(())
    }

    /// Where the key is, as far as is known.
    fn place_of(&self, key: &str) -> Result<Place, CallError> {
        match &self.cluster {
            None => Ok(Place::Master),
            Some(cluster) => match cluster.owner(key) {
                Some(address) => Ok(Place::Node(Address::clone(&address))),
                None => Err(CallError::NotExecuted(Cause::Disconnected)),
            },
        }
    }

    /// What a cluster's node says of a command that belongs elsewhere, and the connection to there, if there is one.
    fn redirected(
        &self,
        cluster: &Cluster,
        link: &Link,
        lane: Lane,
        error: &RedisError,
    ) -> Option<(Rc<Link>, Redirect)> {
        let Place::Node(asked) = &link.place else {
            return None;
        };
        let Some(redirect) = Redirect::read(error, &asked.host) else {
            if error.code() == Some("CLUSTERDOWN") {
                cluster.doubt();
            }
            return None;
        };
        cluster.redirected(&redirect);
        let (Redirect::Moved(_, to) | Redirect::Ask(to)) = &redirect;
        Some((self.link(lane, &Place::Node(to.clone()))?, redirect))
    }

    fn link(&self, lane: Lane, place: &Place) -> Option<Rc<Link>> {
        let nodes = self.nodes.borrow();
        let node = nodes.get(place)?;
        Some(Rc::clone(match lane {
            Lane::Control => &node.control,
            Lane::Lease => &node.lease,
            Lane::Documents => &node.documents,
        }))
    }

    /// Gives a connection up: the status tells of it before anything else runs.
    pub(super) fn give_up(&self, link: &Link, loss: Loss) {
        if link.give_up(loss) {
            self.changed();
        }
    }

    /// Looks again at how all connections stand, and tells of a change.
    pub(super) fn changed(&self) {
        self.part_from_the_older();
        let connected = self.connected();
        let is_up = connected.is_some();
        self.status.send_if_modified(|status| {
            let changed = status.connected != connected;
            status.connected = connected;
            changed
        });
        if is_up {
            let tell = self.outage.borrow_mut().connected();
            self.tell(tell, &self.addresses());
        }
    }

    fn connected(&self) -> Option<Connected> {
        if self.cluster.as_ref().is_some_and(|cluster| !cluster.is_complete()) {
            return None;
        }
        let mut servers = Vec::new();
        for node in self.nodes.borrow().values() {
            node.control.serving()?;
            node.documents.serving()?;
            servers.push(node.lease.serving()?.server);
        }
        servers.sort_unstable();
        let identity = servers.join(",");
        let connected = Connected {
            generation: self.generation.get(),
            identity,
            cluster: self.cluster.is_some(),
        };
        (!servers.is_empty()).then_some(connected)
    }

    /// Where the servers are, for people.
    fn addresses(&self) -> String {
        let nodes = self.nodes.borrow();
        let serving = nodes.values().filter_map(|node| node.lease.serving());
        let addresses: Vec<_> = serving.map(|it| it.address.to_string()).collect();
        format!("connected to {}", addresses.join(", "))
    }

    /// Where a node's connections lead to different servers, some were made before a failover and some after it: the older
    /// ones have to be made again.
    fn part_from_the_older(&self) {
        for node in self.nodes.borrow().values() {
            let links = [&node.control, &node.lease, &node.documents];
            let serving = links.map(|link| (link, link.serving()));
            let newest = serving.iter().filter_map(|(_, serving)| serving.as_ref());
            let Some(newest) = newest.max_by_key(|serving| serving.generation) else { continue };
            for (link, serving) in &serving {
                if serving.as_ref().is_some_and(|it| it.server != newest.server) {
                    link.give_up(Loss::Elsewhere);
                }
            }
        }
    }

    /// Some server that serves: what is pushed by one is pushed by all.
    pub(super) fn any_place(&self) -> Option<Place> {
        let nodes = self.nodes.borrow();
        let serving = nodes.values().filter(|node| node.lease.serving().is_some());
        let places: Vec<_> = serving.map(|node| &node.lease.place).collect();
        fastrand::choice(places).cloned()
    }

    /// Whether a server, by its run id, is one of those that serve.
    pub(super) fn serves(&self, server: &str) -> bool {
        let nodes = self.nodes.borrow();
        nodes.values().any(|node| node.lease.serving().is_some_and(|it| *it.server == *server))
    }

    /// Whether messages are pushed, as its connection has it, and why.
    pub(super) fn pushes(&self, push: bool, why: &str) {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.push, push) != push);
        if self.told_push.replace(Some(push)) != Some(push) {
            StorePushChanged { up: push, why }.emit(&self.telemetry);
        }
    }

    /// An attempt to connect begins.
    pub(super) fn trying(&self) {
        self.tell(self.outage.borrow().tried(), "");
    }

    /// An attempt has failed, or a connection was lost. To be called when the status says so already.
    pub(super) fn failed(&self, failure: &Failure) {
        if let Some(cluster) = &self.cluster {
            cluster.doubt();
        }
        // A node that is looked for again while all is connected is no outage.
        if self.status.borrow().connected.is_some() {
            return;
        }
        let tells = self.outage.borrow_mut().failed(failure.kind());
        let why = failure.to_string();
        for tell in tells {
            self.tell(tell, &why);
        }
    }

    fn tell(&self, tell: Option<Tell>, why: &str) {
        match tell {
            Some(Tell::Changed(state)) => BreakerChanged { state, why }.emit(&self.telemetry),
            Some(Tell::Moved(state)) => BreakerMoved { state }.emit(&self.telemetry),
            Some(Tell::Reason) => StoreUnreachable { why }.emit(&self.telemetry),
            None => {}
        }
    }

    /// Counts a command that has ended.
    pub(super) fn answered(
        &self,
        operation: StoreOperation,
        began: Instant,
        result: StoreResult,
        was_sent: bool,
    ) {
        let took = was_sent.then(|| clock::now().saturating_duration_since(began));
        StoreAnswered { operation, result, took }.emit(&self.telemetry);
    }
}
