//! An upstream's connection as hyper sees it: what it may say before its answer is bounded, and what it said before it broke is
//! heard.
//!
//! hyper reads over interim answers (RFC 9110 section 15.2) for as long as there are any. An upstream that never ends them
//! would keep a worker busy for nothing.
//!
//! An upstream may answer before it has read a whole body, and close (RFC 9110 section 7.5, RFC 9112 section 9.5). Sending then
//! fails although the answer is here, and hyper would give the call up for that. So the failure is kept from it: what it still
//! sends is dropped, so that the client is not held up, and reading tells how it ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::TcpStream;

/// All that may come before the end of an answer's head, in bytes: some interim answers, and a head of the largest size
/// with what is read along with it.
const BEFORE_ANSWER: usize = 512 * 1024;

/// What is known of an upstream's connection beside hyper.
#[derive(Clone, Debug)]
pub(crate) struct Line(Arc<State>);

#[derive(Debug)]
struct State {
    /// How many bytes may still come: bounded while an answer's head is awaited, unbounded otherwise.
    allowance: AtomicUsize,
    /// Nothing can be sent any more.
    cut: AtomicBool,
}

impl Line {
    fn new() -> Self {
        let (allowance, cut) = (AtomicUsize::new(usize::MAX), AtomicBool::new(false));
        Self(Arc::new(State { allowance, cut }))
    }

    /// A request is sent.
    pub(crate) fn await_head(&self) {
        self.0.allowance.store(BEFORE_ANSWER, Relaxed);
    }

    /// Its answer's head is here.
    pub(crate) fn head_came(&self) {
        self.0.allowance.store(usize::MAX, Relaxed);
    }

    /// Whether the upstream takes no more: good for what it still has to say, and for no other call.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.load(Relaxed)
    }

    /// Nothing can be sent any more.
    pub(crate) fn cut(&self) {
        self.0.cut.store(true, Relaxed);
    }

    fn take(&self, bytes: usize) -> io::Result<()> {
        match self.0.allowance.load(Relaxed) {
            usize::MAX => Ok(()),
            left if bytes > left => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "interim answers without end"))
            }
            left => {
                self.0.allowance.store(left - bytes, Relaxed);
                Ok(())
            }
        }
    }
}

/// An upstream's connection.
#[derive(Debug)]
pub(crate) struct UpstreamIo {
    tcp: TcpStream,
    line: Line,
    /// How sending failed.
    failed: Option<io::ErrorKind>,
}

impl UpstreamIo {
    pub(crate) fn new(tcp: TcpStream) -> (Self, Line) {
        let line = Line::new();
        (Self { tcp, line: line.clone(), failed: None }, line)
    }

    /// The bare connection.
    pub(crate) fn into_inner(self) -> TcpStream {
        self.tcp
    }

    /// The end of what there is to read. A socket tells of a reset once: where sending heard of it, reading finds a plain end,
    /// which would be the end of an answer that is framed by it. One that failed otherwise had been closed in order before.
    fn end(&self) -> io::Result<()> {
        match self.failed {
            Some(kind) if kind != io::ErrorKind::BrokenPipe => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

/// Whether the other side is gone, so that what it said is all there is: reading will not wait for more.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read == 0 {
            return Poll::Ready(self.end());
        }
        Poll::Ready(self.line.take(read))
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.failed.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        match ready!(Pin::new(&mut self.tcp).poll_write(cx, buf)) {
            Err(error) if is_gone(&error) => {
                self.failed = Some(error.kind());
                self.line.cut();
                // Reading goes on at once: nothing else has to happen for it.
                cx.waker().wake_by_ref();
                Poll::Ready(Ok(buf.len()))
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;
    use crate::net::{self, TcpListener};

    /// A connection, and its other side.
    async fn connected() -> ((UpstreamIo, Line), TcpStream) {
        let listener = net::listen(([127, 0, 0, 1], 0).into(), false).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ours, theirs) = tokio::join!(net::dial("127.0.0.1", port), listener.accept());
        (UpstreamIo::new(ours.unwrap()), theirs.unwrap().0)
    }

    /// Sends until nothing can be sent any more, and on: what can't be sent holds nobody up.
    async fn send_on(io: &mut UpstreamIo, line: &Line) {
        let sending = async {
            while !line.is_cut() {
                io.write_all(&[b'x'; 64 * 1024]).await.unwrap();
            }
            io.write_all(&vec![b'x'; 16 * 1024 * 1024]).await.unwrap();
        };
        timeout(Duration::from_secs(30), sending).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_said_before_a_reset_is_read_and_the_reset_is_no_end() {
        let ((mut io, line), mut peer) = connected().await;
        peer.write_all(b"enough").await.unwrap();
        net::reset_on_close(&peer).unwrap();
        drop(peer);

        send_on(&mut io, &line).await;
        let mut said = Vec::new();
        let end = io.read_to_end(&mut said).await.map_err(|error| error.kind());

        assert_eq!((&*said, end), (&b"enough"[..], Err(io::ErrorKind::ConnectionReset)));
    }

    #[tokio::test]
    async fn an_end_in_order_is_one_although_sending_failed_after_it() {
        let ((mut io, line), mut peer) = connected().await;
        peer.write_all(b"enough").await.unwrap();
        peer.shutdown().await.unwrap();
        net::reset_on_close(&peer).unwrap();
        drop(peer);

        send_on(&mut io, &line).await;
        let mut said = Vec::new();
        let end = io.read_to_end(&mut said).await.map_err(|error| error.kind());

        assert_eq!((&*said, end), (&b"enough"[..], Ok(6)));
    }
}
