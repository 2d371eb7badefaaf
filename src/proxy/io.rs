//! A client's connection as hyper sees it: watched, tapped, and with our words where hyper has none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error;
use super::watch::{Fate, Watch};
use super::wire::Tap;
use crate::net::{self, TcpStream};
use crate::telemetry::labels::ClientError;

/// How much of what a client still sends is read and dropped after its connection was ended early.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Read and dropped at a time.
const DROPPED_AT_ONCE: usize = 16 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct ClientIo {
    tcp: TcpStream,
    watch: Arc<Watch>,
    tap: Tap,
    /// Our words in place of an answer of hyper's own, and how much of them is written.
    replacement: Option<(&'static [u8], usize)>,
    lingered: usize,
}

impl ClientIo {
    pub(crate) fn new(tcp: TcpStream, watch: Arc<Watch>) -> Self {
        Self { tcp, watch, tap: Tap::default(), replacement: None, lingered: 0 }
    }

    fn end_of_input(&mut self, fate: Fate) -> io::Result<()> {
        if fate == Fate::SlowHead && !self.watch.is_write_stuck() {
            // Best effort: nothing has been written on behalf of this request yet, so the words can't land inside others.
            self.tcp.try_write(&error::RAW_HEADER_TIMEOUT).ok();
            self.watch.set_linger();
        }
        if fate == Fate::StuckWrite {
            net::reset_on_close(&self.tcp)?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn tap(&mut self, bytes: &[u8]) {
        if self.watch.is_tunnel() {
            return;
        }
        let (was_between, heads) = (self.tap.is_between(), self.tap.heads);
        self.tap.observe(bytes);
        if self.tap.conflict {
            self.watch.note_conflict();
        }
        let only_empty_lines = was_between && self.tap.is_between() && heads == self.tap.heads;
        if !only_empty_lines {
            self.watch.note_read(self.tap.inside_head());
        }
    }

    /// Refuses a client whose messages can't be followed: hyper gets none of what it sent last.
    fn refuse_lost(&mut self) {
        if !self.watch.serves_a_call() {
            self.tcp.try_write(&error::RAW_MALFORMED).ok();
        }
        self.watch.set_linger();
    }

    fn poll_replacement(
        &mut self,
        cx: &mut Context<'_>,
        instead_of: usize,
    ) -> Poll<io::Result<usize>> {
        while let Some((words, written)) = &mut self.replacement {
            let rest = words.get(*written..).unwrap_or_default();
            if rest.is_empty() {
                self.replacement = None;
                break;
            }
            *written += ready!(Pin::new(&mut self.tcp).poll_write(cx, rest))?;
        }
        Poll::Ready(Ok(instead_of))
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.watch.is_broken() {
            // Fails only for a socket that is gone already.
            net::reset_on_close(&self.tcp).ok();
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.watch.fate() {
            Fate::Live | Fate::SilentBody => {}
            fate => return Poll::Ready(self.end_of_input(fate)),
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.tcp).poll_read(cx, buf) {
            Poll::Ready(result) => {
                result?;
                self.tap(buf.filled().get(before..).unwrap_or_default());
                if self.tap.lost {
                    buf.set_filled(before);
                    self.refuse_lost();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                self.watch.park(cx.waker());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.watch.fate() == Fate::StuckWrite {
            net::reset_on_close(&self.tcp)?;
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.replacement.is_none()
            && !self.watch.serves_a_call()
            && let Some((reason, words)) =
                error::instead_of_hypers(buf, self.tap.long_request_line())
        {
            if reason == ClientError::UriTooLong {
                self.watch.note_long_target();
            }
            self.replacement = Some((words, 0));
            self.watch.set_linger();
        }
        let written = if self.replacement.is_some() {
            self.poll_replacement(cx, buf.len())
        } else {
            Pin::new(&mut self.tcp).poll_write(cx, buf)
        };
        match written {
            Poll::Ready(_) => self.watch.note_written(),
            Poll::Pending => {
                self.watch.note_write_stuck();
                self.watch.park(cx.waker());
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_flush(cx))?;
        self.watch.set_answering(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
        if self.tap.inside_body() {
            self.watch.set_linger();
        }
        while self.watch.lingers() && self.lingered < LINGER_BYTES {
            let mut scratch = [0; DROPPED_AT_ONCE];
            let mut buf = ReadBuf::new(&mut scratch);
            let Poll::Ready(read) = Pin::new(&mut self.tcp).poll_read(cx, &mut buf) else {
                self.watch.park(cx.waker());
                return Poll::Pending;
            };
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
            self.lingered += buf.filled().len();
            self.watch.note_dropped();
        }
        Poll::Ready(Ok(()))
    }
}
