//! The one place that opens sockets, so that a simulation can replace it.

#[cfg(test)]
mod simulated;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
pub use std::net::TcpListener as BoundListener;
pub use tokio::net::{TcpListener, TcpStream};

#[cfg(test)]
pub(crate) use simulated::{StoreStream, dial_store, simulate_store};

/// A connection to the store.
#[cfg(not(test))]
pub type StoreStream = TcpStream;

/// Connections that the kernel holds for us before they are accepted.
const BACKLOG: i32 = 4096;

/// An idle peer is probed after this long, so that one that vanished without a word is noticed.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// What was sent to the store and is not acknowledged for so long will not be.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(2);

/// An idle connection to the store is probed after this long.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// Between two such probes.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Such probes without an answer that end the connection.
const PROBES: u32 = 3;

/// Listens; with `shared`, other threads of this process may listen on the same address and the kernel spreads the
/// connections over them. The socket belongs to no runtime yet: [`TcpListener::from_std`] takes it into one.
pub fn listen(addr: SocketAddr, shared: bool) -> io::Result<BoundListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Opens one connection to an upstream; a name is resolved each time, so that a moved upstream is found again.
pub async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    tune(&stream)?;
    Ok(stream)
}

/// Opens one connection to a server of the store.
#[cfg(not(test))]
pub async fn dial_store(host: &str, port: u16) -> io::Result<StoreStream> {
    dial_watched(host, port).await
}

/// One whose loss is noticed soon.
async fn dial_watched(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = dial(host, port).await?;
    notice_loss(&stream)?;
    Ok(stream)
}

/// What every connection of the data plane gets: no delay for small writes, and probes for a peer that vanished.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))
}

/// Makes the kernel give up a connection to the store soon after its peer has vanished: what was sent is not acknowledged,
/// or the probes of an idle connection are not answered. A peer that is there and does nothing is not noticed so.
fn notice_loss(stream: &TcpStream) -> io::Result<()> {
    let probes =
        TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

/// Makes the connection end with a reset: the peer must not take what it got so far for a whole message.
pub fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
