//! A network between a test and a server that can go wrong.

#![cfg(test)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Passes connections on, until it is told otherwise.
pub(crate) struct Proxy {
    port: u16,
    shared: Rc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    /// The server's port for the connections to come; the last one stays.
    targets: RefCell<Vec<u16>>,
    delay: Cell<Duration>,
    /// Connections that began before this number grew move nothing any more.
    frozen: watch::Sender<u32>,
}

impl Proxy {
    /// To servers in turn, one connection each; all further ones to the last.
    pub(crate) async fn to(targets: &[u16]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Rc::new(Shared {
            targets: RefCell::new(targets.to_vec()),
            delay: Cell::default(),
            frozen: watch::Sender::new(0),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn_local(accept(listener, Rc::clone(&shared)));
        Self { port, shared, _accepting: accepting }
    }

    /// Where it listens on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The connections that are there move nothing any more, and do not end either. Later ones are well.
    pub(crate) fn freeze(&self) {
        self.shared.frozen.send_modify(|number| *number += 1);
    }

    /// From now on every answer is late.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.delay.set(delay);
    }
}

async fn accept(listener: TcpListener, shared: Rc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let target = {
            let mut targets = shared.targets.borrow_mut();
            if targets.len() > 1 { targets.remove(0) } else { targets[0] }
        };
        connections.spawn_local(pass(client, target, Rc::clone(&shared)));
    }
}

async fn pass(client: TcpStream, target: u16, shared: Rc<Shared>) {
    let mut frozen = shared.frozen.subscribe();
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async { drop(tokio::io::copy(&mut from_client, &mut to_server).await) };
    let back = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            sleep(shared.delay.get()).await;
            if to_client.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => return,
        () = back => return,
        _ = frozen.changed() => {}
    }
    std::future::pending::<()>().await;
}
