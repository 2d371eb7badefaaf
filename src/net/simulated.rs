//! Connections to the store in tests: real ones, or those of a simulated network.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::TcpStream;

/// A connection to the store.
pub(crate) enum StoreStream {
    /// To a real one.
    Real(TcpStream),
    /// To one in memory.
    Simulated(DuplexStream),
}

/// An attempt to connect.
pub(crate) type Dialing = Pin<Box<dyn Future<Output = io::Result<DuplexStream>>>>;

/// Connects to a host's port.
type Dialer = Rc<dyn Fn(&str, u16) -> Dialing>;

thread_local! {
    static DIALER: RefCell<Option<Dialer>> = const { RefCell::new(None) };
}

/// Until it is dropped, this thread dials a simulated store.
pub(crate) struct SimulatedStore(());

/// Makes this thread connect to stores by `dialer` alone.
pub(crate) fn simulate_store(dialer: impl Fn(&str, u16) -> Dialing + 'static) -> SimulatedStore {
    DIALER.set(Some(Rc::new(dialer)));
    SimulatedStore(())
}

impl Drop for SimulatedStore {
    fn drop(&mut self) {
        DIALER.set(None);
    }
}

/// Opens one connection to a server of the store.
pub(crate) async fn dial_store(host: &str, port: u16) -> io::Result<StoreStream> {
    let dialer = DIALER.with_borrow(Option::clone);
    match dialer {
        Some(dial) => dial(host, port).await.map(StoreStream::Simulated),
        None => super::dial_watched(host, port).await.map(StoreStream::Real),
    }
}

impl AsyncRead for StoreStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Simulated(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for StoreStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Real(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Simulated(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(stream) => Pin::new(stream).poll_flush(cx),
            Self::Simulated(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Simulated(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
