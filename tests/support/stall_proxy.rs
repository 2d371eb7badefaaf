//! A TCP relay between a sidecar and its store that can fail as networks do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::ports::ReservedPort;
use super::wait::{DEADLINE, Gate, eventually, until};

/// For the connection to the target, which is on this machine.
const CONNECT: Duration = Duration::from_secs(5);

/// What becomes of bytes and of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Swallow,
    Refuse,
}

/// What becomes of a request that the relay lies in wait for, and of its connection.
#[derive(Clone)]
pub(crate) enum Fate {
    /// It gets through, and its connection brings no answer any more.
    AnswerLost,
    /// It vanishes, and with it whatever its connection is sent later.
    RequestLost,
    /// It gets through when the gate opens, and so does what comes after it on its connection.
    Held(Gate),
    /// It gets through, and from then on the whole relay swallows everything.
    LastToArrive,
    /// From it on the whole relay swallows everything.
    FirstToVanish,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

/// A relay in wait for a request, and how far that one has come.
struct Ambush {
    needle: Vec<u8>,
    fate: Fate,
    met: bool,
    answered: bool,
}

/// Relays to one address. It goes on for as long as the process does, but for its port, which ends with it.
pub(crate) struct StallProxy {
    port: ReservedPort,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
}

struct State {
    mode: Mode,
    /// How many accept loops were told to end: the listener's port is free again when this is the number that were started.
    ended: usize,
    started: usize,
    connections: Vec<Arc<Connection>>,
    ambush: Option<Ambush>,
}

/// A client's side and the server's side.
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Once bytes of it were swallowed it can never be right again: it stays open, and nothing more comes through.
    black: AtomicBool,
    /// The request of an ambush came on it.
    met: AtomicBool,
    /// That request has got through: what the server says from now on answers it.
    asked: AtomicBool,
    /// Answers vanish.
    deaf: AtomicBool,
}

impl StallProxy {
    /// One that passes everything on to `target`.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let connections = Vec::new();
        let state = State { mode: Mode::Pass, ended: 0, started: 0, connections, ambush: None };
        let proxy = Self {
            port: ReservedPort::new(),
            shared: Arc::new(Shared { target, state: Mutex::new(state) }),
        };
        proxy.listen();
        proxy
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `redis://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// From now on new connections are served as they should be. Those that were black-holed stay so, as behind a router
    /// that has forgotten them.
    pub(crate) fn pass(&self) {
        if self.set(Mode::Pass) == Mode::Refuse {
            self.listen();
        }
    }

    /// Connections stay open and are still accepted, and whatever is sent either way vanishes.
    pub(crate) fn swallow(&self) {
        if self.set(Mode::Swallow) == Mode::Refuse {
            self.listen();
        }
    }

    /// Every connection is closed, and nobody listens.
    pub(crate) fn refuse(&self) {
        if self.set(Mode::Refuse) != Mode::Refuse {
            self.wake();
            until("the relay to listen no more", || {
                let state = self.shared.lock();
                state.ended == state.started
            });
        }
        self.cut();
    }

    /// Every connection is closed; new ones are welcome.
    pub(crate) fn cut(&self) {
        for connection in self.shared.lock().connections.drain(..) {
            connection.close();
        }
    }

    /// The first request that has these bytes in it, in one piece, meets this fate; those after it pass.
    pub(crate) fn lie_in_wait(&self, needle: &str, fate: Fate) {
        let needle = needle.as_bytes().to_vec();
        self.shared.lock().ambush = Some(Ambush { needle, fate, met: false, answered: false });
    }

    /// Waits until the request has come that the relay lies in wait for.
    #[track_caller]
    pub(crate) fn wait_for_request(&self) {
        self.wait_for_ambush("its request to come", |ambush| ambush.met);
    }

    /// Waits until the server has answered that request, and so has executed it, whoever hears of it.
    #[track_caller]
    pub(crate) fn wait_for_answer(&self) {
        self.wait_for_ambush("the server to answer its request", |ambush| ambush.answered);
    }

    #[track_caller]
    fn wait_for_ambush(&self, what: &str, holds: impl Fn(&Ambush) -> bool) {
        until(what, || self.shared.lock().ambush.as_ref().is_some_and(&holds));
    }

    fn set(&self, mode: Mode) -> Mode {
        self.shared.set(mode)
    }

    fn listen(&self) {
        let listener =
            eventually("the port to be free", || TcpListener::bind(self.port.address()).ok());
        self.shared.lock().started += 1;
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.lock().mode == Mode::Refuse {
                    break;
                }
                shared.relay(client);
            }
            drop(listener);
            shared.lock().ended += 1;
        });
    }

    /// An accept loop looks at the mode when somebody comes.
    fn wake(&self) {
        drop(TcpStream::connect_timeout(&self.port.address(), DEADLINE));
    }
}

impl Drop for StallProxy {
    fn drop(&mut self) {
        self.set(Mode::Refuse);
        self.wake();
        self.cut();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one client from threads of its own.
    fn relay(self: &Arc<Self>, client: TcpStream) {
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let Ok(server) = TcpStream::connect_timeout(&shared.target, CONNECT) else {
                return;
            };
            // A connection that fails here has been closed, which the copying finds.
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            let connection = Arc::new(Connection::new(client, server));
            shared.lock().connections.push(Arc::clone(&connection));
            let (there, back) = (Arc::clone(&shared), Arc::clone(&connection));
            let backwards = thread::spawn(move || {
                there.copy(&back, Way::Back);
                // What happens behind a black hole is not seen before it.
                if !there.hides(&back) {
                    back.close();
                }
            });
            shared.copy(&connection, Way::There);
            connection.end_requests();
            drop(backwards.join());
            shared.lock().connections.retain(|other| !Arc::ptr_eq(other, &connection));
        });
    }

    /// Passes bytes on, or swallows them, until either side ends.
    fn copy(&self, connection: &Connection, way: Way) {
        let (mut from, mut to) = connection.ends(way);
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let data = &buffer[..count];
            let fate = match way {
                Way::There => self.meet(connection, data),
                Way::Back => self.hear(connection),
            };
            let is_unheard = way == Way::Back && connection.deaf.load(Ordering::SeqCst);
            if self.hides(connection) {
                connection.black.store(true, Ordering::SeqCst);
            } else if !is_unheard && to.write_all(data).is_err() {
                break;
            }
            if matches!(fate, Some(Fate::LastToArrive)) {
                self.set(Mode::Swallow);
            }
        }
    }

    /// Begins the fate of the request that is lain in wait for, if this is it.
    fn meet(&self, connection: &Connection, data: &[u8]) -> Option<Fate> {
        let fate = {
            let mut state = self.lock();
            let ambush = state.ambush.as_mut().filter(|ambush| !ambush.met)?;
            if !data.windows(ambush.needle.len()).any(|bytes| bytes == ambush.needle) {
                return None;
            }
            ambush.met = true;
            ambush.fate.clone()
        };
        connection.met.store(true, Ordering::SeqCst);
        match &fate {
            Fate::AnswerLost | Fate::LastToArrive => connection.deaf.store(true, Ordering::SeqCst),
            Fate::RequestLost => connection.black.store(true, Ordering::SeqCst),
            Fate::Held(gate) => {
                gate.pass();
            }
            Fate::FirstToVanish => {
                self.set(Mode::Swallow);
            }
        }
        connection.asked.store(true, Ordering::SeqCst);
        Some(fate)
    }

    /// Notes that the server has answered, if what it says answers the request of an ambush.
    fn hear(&self, connection: &Connection) -> Option<Fate> {
        if connection.asked.load(Ordering::SeqCst)
            && let Some(ambush) = &mut self.lock().ambush
        {
            ambush.answered = true;
        }
        None
    }

    fn set(&self, mode: Mode) -> Mode {
        std::mem::replace(&mut self.lock().mode, mode)
    }

    fn hides(&self, connection: &Connection) -> bool {
        connection.black.load(Ordering::SeqCst) || self.lock().mode == Mode::Swallow
    }
}

impl Connection {
    fn new(client: TcpStream, server: TcpStream) -> Self {
        let [black, met, asked, deaf] = Default::default();
        Self { client, server, black, met, asked, deaf }
    }

    /// Where bytes come from, and where they go.
    fn ends(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::There => (&self.client, &self.server),
            Way::Back => (&self.server, &self.client),
        }
    }

    /// The client says no more. What it has said and was held is answered still, be it to nobody.
    fn end_requests(&self) {
        match self.met.load(Ordering::SeqCst) {
            true => drop(self.server.shutdown(Shutdown::Write)),
            false => self.close(),
        }
    }

    fn close(&self) {
        // One that has ended already is as good.
        drop(self.client.shutdown(Shutdown::Both));
        drop(self.server.shutdown(Shutdown::Both));
    }
}
