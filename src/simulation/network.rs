//! The network between the sidecars and the store: it delays, falls silent in one direction or both, and breaks.
//!
//! It does what TCP does of it: bytes come in order or not at all. What can't be delivered is held back, and comes late once the
//! network is well again, unless the sender's kernel has given the connection up by then. A sidecar that has gone left
//! behind what it had sent, which still arrives.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::pending;
use std::hash::Hasher;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::dice::Dice;
use super::redis::{Mode, Redis};
use crate::clock;
use crate::watch;

/// What a connection holds in each direction.
const BUFFER: usize = 64 * 1024;

/// After so long without an acknowledgement a sidecar's kernel gives the connection up, as `net` tells it to.
const UNACKNOWLEDGED: Duration = Duration::from_secs(2);

/// Runs what belongs to no sidecar.
pub(super) type Background = mpsc::UnboundedSender<std::pin::Pin<Box<dyn Future<Output = ()>>>>;

/// The network. Clones are the same one.
#[derive(Clone)]
pub(super) struct Network {
    inner: Rc<Inner>,
}

struct Inner {
    redis: Redis,
    dice: Dice,
    background: Background,
    links: RefCell<BTreeMap<String, Rc<Link>>>,
    /// Whether some messages take longer than the store's timeout.
    has_spikes: Cell<bool>,
    /// Of all that was carried, and when.
    digest: RefCell<std::hash::DefaultHasher>,
}

/// A sidecar's way to the store.
pub(super) struct Link {
    /// Whether the store hears the sidecar.
    pub(super) there: watch::Sender<bool>,
    /// Whether the sidecar hears the store.
    pub(super) back: watch::Sender<bool>,
    /// Grows with every reset of its connections.
    resets: watch::Sender<u64>,
}

impl Link {
    /// Breaks all its connections.
    pub(super) fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }
}

/// One direction of a connection.
struct Direction {
    from: ReadHalf<DuplexStream>,
    to: WriteHalf<DuplexStream>,
    is_well: watch::Receiver<bool>,
    /// Whether a kernel gives up what is held back for long.
    gives_up: bool,
}

impl Network {
    pub(super) fn new(redis: Redis, dice: Dice, background: Background) -> Self {
        let inner = Inner {
            redis,
            dice,
            background,
            links: RefCell::default(),
            has_spikes: Cell::new(false),
            digest: RefCell::default(),
        };
        Self { inner: Rc::new(inner) }
    }

    /// From here on, whether some messages take longer than the store's timeout.
    pub(super) fn set_spikes(&self, has_spikes: bool) {
        self.inner.has_spikes.set(has_spikes);
    }

    /// A number for all that was carried so far, and when.
    pub(super) fn digest(&self) -> u64 {
        self.inner.digest.borrow().finish()
    }

    /// The way of a host to the store.
    pub(super) fn link(&self, host: &str) -> Rc<Link> {
        let new = || {
            let (there, back) = (watch::Sender::new(true), watch::Sender::new(true));
            Rc::new(Link { there, back, resets: watch::Sender::new(0) })
        };
        Rc::clone(self.inner.links.borrow_mut().entry(host.to_owned()).or_insert_with(new))
    }

    /// Connects a host to the store.
    pub(super) async fn dial(self, host: String) -> io::Result<DuplexStream> {
        let link = self.link(&host);
        for is_well in [&link.there, &link.back] {
            sleep(self.delay()).await;
            // Its first packet is sent again and again.
            is_well.subscribe().wait_for(|well| *well).await.map_err(io::Error::other)?;
        }
        if *self.inner.redis.mode().borrow() == Mode::Down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (sidecar, its_far_end) = duplex(BUFFER);
        let (server, servers_far_end) = duplex(BUFFER);
        let redis = self.inner.redis.clone();
        self.run(async move { redis.serve(server).await });
        let carried = self.clone().carry(link, its_far_end, servers_far_end);
        self.run(carried);
        Ok(sidecar)
    }

    fn run(&self, task: impl Future<Output = ()> + 'static) {
        // It ends with the simulation.
        self.inner.background.send(Box::pin(task)).ok();
    }

    /// Carries bytes both ways until one end is gone, or the connection breaks.
    async fn carry(self, link: Rc<Link>, sidecar: DuplexStream, server: DuplexStream) {
        let (from_sidecar, to_sidecar) = split(sidecar);
        let (from_server, to_server) = split(server);
        let there = Direction {
            from: from_sidecar,
            to: to_server,
            is_well: link.there.subscribe(),
            gives_up: true,
        };
        let back = Direction {
            from: from_server,
            to: to_sidecar,
            is_well: link.back.subscribe(),
            gives_up: false,
        };
        let mut resets = link.resets.subscribe();
        resets.borrow_and_update();
        tokio::select! {
            biased;
            _ = resets.changed() => {}
            () = self.pump(there) => {}
            () = self.pump(back) => {}
        }
    }

    /// Carries bytes one way.
    async fn pump(&self, mut direction: Direction) {
        let mut bytes = vec![0; BUFFER];
        loop {
            let read = direction.from.read(&mut bytes).await;
            sleep(self.delay()).await;
            let arrives = async {
                // The network ends with the simulation.
                if direction.is_well.wait_for(|well| *well).await.is_err() {
                    pending::<()>().await;
                }
            };
            let arrived = match direction.gives_up {
                true => timeout(UNACKNOWLEDGED, arrives).await.is_ok(),
                false => {
                    arrives.await;
                    true
                }
            };
            let Ok(length @ 1..) = read else { return };
            if !arrived {
                return;
            }
            self.note(&bytes[..length]);
            if direction.to.write_all(&bytes[..length]).await.is_err() {
                return;
            }
        }
    }

    fn note(&self, bytes: &[u8]) {
        let mut digest = self.inner.digest.borrow_mut();
        digest.write_u128(clock::wall().as_millis());
        digest.write(bytes);
    }

    fn delay(&self) -> Duration {
        let Inner { dice, has_spikes, .. } = &*self.inner;
        match has_spikes.get() && dice.one_in(150) {
            true => dice.millis(5..90),
            false => dice.millis(0..2),
        }
    }
}
