//! The body of an upstream's answer, on its way to the client.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::ahead::Ahead;
use super::body::Upload;
use super::memory::HeldMemory;
use super::pool::{Link, Pool};
use crate::clock;
use crate::telemetry::labels::UpstreamError;

/// The body of an upstream's answer. Owns the connection and drives it; gives it back to its pool at the end.
pub(crate) struct Relay {
    body: Incoming,
    link: Option<Box<Link>>,
    pool: Rc<Pool>,
    ahead: Option<Box<Ahead>>,
    /// The request's body, where it was still arriving when the request was sent.
    upload: Option<Rc<Upload>>,
}

/// Why an answer's body ends before its end. The client's message must break off as well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// The upstream broke off.
    #[error("the upstream's answer broke off")]
    Broken(#[source] Option<hyper::Error>),
    /// The upstream fell silent.
    #[error("the upstream sent nothing of its answer for {within:?}")]
    Silent {
        /// `proxy.body_timeout`.
        within: Duration,
    },
}

impl Relay {
    pub(super) fn new(
        body: Incoming,
        link: Box<Link>,
        pool: Rc<Pool>,
        upload: Option<Rc<Upload>>,
    ) -> Self {
        let mut relay = Self { body, link: Some(link), pool, ahead: None, upload };
        if relay.body.is_end_stream() {
            relay.give_back();
        } else if let Some(link) = &mut relay.link {
            link.set_deadline(clock::now() + relay.pool.body_timeout);
        }
        relay
    }

    /// Whether it answers a request whose body has not arrived whole: what is still to come of that may never be read.
    pub(crate) fn is_early(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| !upload.has_ended())
    }

    fn give_back(&mut self) {
        if let Some(link) = self.link.take() {
            self.pool.give_back(link);
        }
    }

    /// Reads until the body is whole, or more than `limit` bytes are held, or no memory is left to hold it. Says whether it is
    /// whole. What was read comes first from then on, also where this was dropped in between.
    pub(crate) async fn read_ahead(&mut self, limit: usize, memory: HeldMemory) -> bool {
        if self.is_end_stream() {
            return true;
        }
        self.ahead = Some(Box::new(Ahead::new(memory)));
        loop {
            let frame = poll_fn(|cx| self.poll_rest(cx)).await;
            let Some(ahead) = &mut self.ahead else { return false };
            match ahead.take(frame, limit) {
                Some(whole) => return whole,
                None if self.body.is_end_stream() => return true,
                None => {}
            }
        }
    }

    /// What was read ahead, in one piece.
    pub(crate) fn held(&mut self) -> Bytes {
        self.ahead.as_mut().map(|ahead| ahead.join()).unwrap_or_default()
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        if let Some(ahead) = &mut self.ahead {
            match ahead.next() {
                Some(frame) => return Poll::Ready(Some(frame)),
                None => self.ahead = None,
            }
        }
        self.poll_rest(cx)
    }

    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        match self.poll_driven(cx) {
            Poll::Pending => self.poll_silence(cx),
            Poll::Ready(Some(Ok(frame))) => {
                if self.body.is_end_stream() {
                    self.give_back();
                } else if let Some(link) = &mut self.link {
                    link.set_deadline(clock::now() + self.pool.body_timeout);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.link = None;
                self.break_off(RelayError::Broken(Some(error)))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
        }
    }

    /// As with an answer's head, only driving the connection brings a frame, so only the connection has to wake this task.
    fn poll_driven(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let quiet = &mut Context::from_waker(Waker::noop());
        let mut frame = Pin::new(&mut self.body).poll_frame(quiet);
        if frame.is_pending()
            && let Some(link) = &mut self.link
        {
            link.drive(cx);
            frame = Pin::new(&mut self.body).poll_frame(quiet);
        }
        frame
    }

    fn poll_silence<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, RelayError>>> {
        let Some(link) = &mut self.link else {
            return self.break_off(RelayError::Broken(None));
        };
        if link.poll_deadline(cx).is_pending() {
            return Poll::Pending;
        }
        self.link = None;
        self.break_off(RelayError::Silent { within: self.pool.body_timeout })
    }

    fn break_off<T>(&self, error: RelayError) -> Poll<Option<Result<T, RelayError>>> {
        let label = match &error {
            RelayError::Broken(_) => UpstreamError::Reset,
            RelayError::Silent { .. } => UpstreamError::BodyTimeout,
        };
        self.pool.tell_failure(label, &error);
        Poll::Ready(Some(Err(error)))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.ahead.as_ref().is_none_or(|ahead| ahead.is_empty())
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let Some(ahead) = &self.ahead else { return hint };
        let held = ahead.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(hint.lower().saturating_add(held));
        hint
    }
}
