//! A TCP relay between a sidecar and its store that can fail as networks do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::ports::ReservedPort;
use super::wait::{DEADLINE, eventually, until};

/// For the connection to the target, which is on this machine.
const CONNECT: Duration = Duration::from_secs(5);

/// What becomes of bytes and of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Swallow,
    Refuse,
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
}

/// A client's side and the server's side.
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Once bytes of it were swallowed it can never be right again: it stays open, and nothing more comes through.
    black: AtomicBool,
}

impl StallProxy {
    /// One that passes everything on to `target`.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let state = State { mode: Mode::Pass, ended: 0, started: 0, connections: Vec::new() };
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

    fn set(&self, mode: Mode) -> Mode {
        std::mem::replace(&mut self.shared.lock().mode, mode)
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
            let connection = Arc::new(Connection { client, server, black: AtomicBool::new(false) });
            shared.lock().connections.push(Arc::clone(&connection));
            let (there, back) = (Arc::clone(&shared), Arc::clone(&connection));
            let backwards = thread::spawn(move || {
                there.copy(&back, &back.server, &back.client);
                // What happens behind a black hole is not seen before it.
                if !there.hides(&back) {
                    back.close();
                }
            });
            shared.copy(&connection, &connection.client, &connection.server);
            connection.close();
            drop(backwards.join());
            shared.lock().connections.retain(|other| !Arc::ptr_eq(other, &connection));
        });
    }

    /// Passes bytes on, or swallows them, until either side ends.
    fn copy(&self, connection: &Connection, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if self.hides(connection) {
                connection.black.store(true, Ordering::SeqCst);
            } else if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    }

    fn hides(&self, connection: &Connection) -> bool {
        connection.black.load(Ordering::SeqCst) || self.lock().mode == Mode::Swallow
    }
}

impl Connection {
    fn close(&self) {
        // One that has ended already is as good.
        drop(self.client.shutdown(Shutdown::Both));
        drop(self.server.shutdown(Shutdown::Both));
    }
}
