//! An upstream's connection as hyper sees it: what it may say before its answer is bounded.
//!
//! hyper reads over interim answers (RFC 9110 section 15.2) for as long as there are any. An upstream that never ends them
//! would keep a worker busy for nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::TcpStream;

/// All that may come before the end of an answer's head, in bytes: some interim answers, and a head of the largest size
/// with what is read along with it.
const BEFORE_ANSWER: usize = 512 * 1024;

/// How many bytes may still come: bounded while an answer's head is awaited, unbounded otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// A request is sent.
    pub(crate) fn await_head(&self) {
        self.0.store(BEFORE_ANSWER, Relaxed);
    }

    /// Its answer's head is here.
    pub(crate) fn head_came(&self) {
        self.0.store(usize::MAX, Relaxed);
    }

    fn take(&self, bytes: usize) -> io::Result<()> {
        match self.0.load(Relaxed) {
            usize::MAX => Ok(()),
            left if bytes > left => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "interim answers without end"))
            }
            left => {
                self.0.store(left - bytes, Relaxed);
                Ok(())
            }
        }
    }
}

/// An upstream's connection.
#[derive(Debug)]
pub(crate) struct UpstreamIo {
    tcp: TcpStream,
    allowance: Allowance,
}

impl UpstreamIo {
    pub(crate) fn new(tcp: TcpStream) -> (Self, Allowance) {
        let allowance = Allowance(Arc::new(AtomicUsize::new(usize::MAX)));
        (Self { tcp, allowance: allowance.clone() }, allowance)
    }

    /// The bare connection.
    pub(crate) fn into_inner(self) -> TcpStream {
        self.tcp
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        Poll::Ready(self.allowance.take(buf.filled().len() - before))
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
