//! Bodies on their way through: streamed both ways with back-pressure, held only where a decision or a lease needs it.

mod response;

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use smallvec::SmallVec;
use tokio::time::Sleep;

use super::error::Refusal;
use super::headers::clean_trailers;
use super::memory::{BodyMemory, HeldMemory};
use super::watch::{Fate, Watch};
use crate::clock::{self, Instant};

pub(crate) use response::ResponseBody;

/// How long a body waits for the upstream's `100 Continue` before it is sent all the same: an upstream is free never to
/// send one (RFC 9110 section 10.1.1).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// Pieces of a held body are put together up to this length, in bytes.
const GATHERED: usize = 64 * 1024;

/// A client's body, as it is sent upstream. Small to move: a request passes through many hands.
pub(crate) struct RequestBody(Box<Arriving>);

struct Arriving {
    held: SmallVec<[Bytes; 1]>,
    gathered: BytesMut,
    next_held: usize,
    rest: Option<Rest>,
    /// The end of a body that was read to its end ahead.
    trailers: Option<Box<HeaderMap>>,
    upload: Option<Rc<Upload>>,
    waiting_since: Option<Instant>,
    waited: Duration,
    /// Dropped with the body: the memory of what is held is given back.
    memory: Option<HeldMemory>,
    gate: Option<Gate>,
}

/// What is still to come from the client.
struct Rest {
    body: Incoming,
    watch: Arc<Watch>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        // Nobody waits for it any more.
        self.watch.wait_for_body(None);
    }
}

impl RequestBody {
    /// A body that is not looked at.
    pub(crate) fn streamed(body: Incoming, watch: Arc<Watch>) -> Self {
        let rest = (!body.is_end_stream()).then(|| Rest { body, watch });
        Self::new(rest)
    }

    /// No body, of a request of our own.
    pub(crate) fn none() -> Self {
        Self::new(None)
    }

    fn new(rest: Option<Rest>) -> Self {
        Self(Box::new(Arriving {
            held: SmallVec::new(),
            gathered: BytesMut::new(),
            next_held: 0,
            rest,
            trailers: None,
            upload: None,
            waiting_since: None,
            waited: Duration::ZERO,
            memory: None,
            gate: None,
        }))
    }

    /// What is held of it, in pieces.
    pub(crate) fn held(&self) -> &[Bytes] {
        &self.0.held
    }

    /// The trailers of a body that is held to its end, if it has any.
    pub(crate) fn held_trailers(&self) -> Option<&HeaderMap> {
        self.0.trailers.as_deref()
    }

    /// How much of it is held, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.0.held.iter().map(Bytes::len).sum()
    }

    /// How far the body has come, for whoever waits while it moves; `None` for one that is here already.
    pub(crate) fn upload(&mut self, now: Instant) -> Option<Rc<Upload>> {
        if self.0.rest.is_some() {
            self.0.upload =
                Some(Rc::new(Upload { moved_at: Cell::new(now), ended: Cell::new(false) }));
        }
        self.0.upload.clone()
    }

    /// Waits for the body's first bytes, so that the head and a small body leave in one write.
    pub(crate) async fn fill_first(&mut self) -> Result<(), Refusal> {
        if self.0.rest.is_some() && self.0.held.is_empty() {
            self.0.hold_next().await?;
        }
        Ok(())
    }

    /// Reads until the body is whole or more than `limit` bytes are held. Says whether it is whole.
    pub(crate) async fn hold(
        &mut self,
        limit: usize,
        memory: &Rc<BodyMemory>,
    ) -> Result<bool, Refusal> {
        let mut length = self.held_bytes();
        let mut accounted = self.0.memory.take().unwrap_or_else(|| memory.hold());
        while self.0.rest.is_some() && length <= limit {
            accounted.grow_to(length)?;
            length += self.0.hold_next().await?;
        }
        accounted.grow_to(length)?;
        self.0.keep_gathered();
        self.0.memory = Some(accounted);
        Ok(length <= limit)
    }

    /// The bytes held, in one piece.
    pub(crate) fn join_held(&mut self) -> Bytes {
        if self.0.held.len() > 1 {
            let joined = Bytes::from(self.0.held.concat());
            self.0.held = SmallVec::from_iter([joined]);
        }
        self.0.held.first().cloned().unwrap_or_default()
    }

    /// How long the client let us wait for what was read ahead.
    pub(crate) fn waited(&self) -> Duration {
        self.0.waited
    }

    /// Whether nothing is left to ask the client for before the rest: some was read ahead, or there is none.
    pub(crate) fn is_held(&self) -> bool {
        !self.0.held.is_empty() || self.0.rest.is_none()
    }

    /// Takes [`Self::wait_for_continue`] back.
    pub(crate) fn wait_no_longer(&mut self) {
        self.0.gate = None;
    }

    /// Whether more of it is still to come from the client.
    pub(crate) fn is_streamed(&self) -> bool {
        self.0.rest.is_some()
    }

    /// Keeps the body back until the upstream asks for it.
    pub(crate) fn wait_for_continue(&mut self) -> Arc<AtomicBool> {
        let open = Arc::new(AtomicBool::new(false));
        self.0.gate = Some(Gate {
            open: Arc::clone(&open),
            patience: Box::pin(tokio::time::sleep(CONTINUE_PATIENCE)),
        });
        open
    }
}

impl Arriving {
    async fn hold_next(&mut self) -> Result<usize, Refusal> {
        let frame = std::future::poll_fn(|cx| self.poll_rest(cx)).await;
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let length = data.len();
                    self.keep(data);
                    Ok(length)
                }
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok().map(Box::new);
                    Ok(0)
                }
            },
            Some(Err(BodyError::Silent)) => Err(Refusal::BodyTimeout),
            Some(Err(_)) => Err(Refusal::BodyBroken),
            None => Ok(0),
        }
    }

    /// Frames after the first are put together: each one by itself would keep a whole read buffer in memory.
    fn keep(&mut self, data: Bytes) {
        if self.held.is_empty() {
            self.held.push(data);
            return;
        }
        self.gathered.extend_from_slice(&data);
        if self.gathered.len() >= GATHERED {
            self.keep_gathered();
        }
    }

    fn keep_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.held.push(std::mem::take(&mut self.gathered).freeze());
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        if rest.watch.fate() == Fate::SilentBody {
            self.rest = None;
            return Poll::Ready(Some(Err(BodyError::Silent)));
        }
        // The client's connection feeds this body, and polls whoever reads it right after: a wake-up would only make its
        // task run once more for nothing.
        match Pin::new(&mut rest.body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => {
                rest.watch.wait_for_body(Some(cx.waker()));
                self.waiting_since.get_or_insert_with(clock::now);
                Poll::Pending
            }
            Poll::Ready(frame) => {
                rest.watch.wait_for_body(None);
                if let Some(since) = self.waiting_since.take() {
                    self.waited += clock::now() - since;
                }
                let ended = frame.is_none() || rest.body.is_end_stream();
                if ended {
                    self.rest = None;
                }
                if let Some(upload) = &self.upload {
                    upload.moved_at.set(clock::now());
                    upload.ended.set(ended);
                }
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => Ok(clean(frame)),
                    Err(error) => Err(BodyError::Broken(error)),
                }))
            }
        }
    }
}

fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(clean_trailers(trailers)),
        Err(data) => data,
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let arriving = &mut *self.0;
        if let Some(gate) = &mut arriving.gate {
            if !gate.open.load(Relaxed) && gate.patience.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            arriving.gate = None;
        }
        let next = arriving.next_held;
        if let Some(data) = arriving.held.get_mut(next).map(std::mem::take) {
            arriving.next_held += 1;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = arriving.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
        }
        arriving.poll_rest(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.next_held >= self.0.held.len() && self.0.rest.is_none() && self.0.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held: usize =
            self.0.held.get(self.0.next_held..).unwrap_or_default().iter().map(Bytes::len).sum();
        let held = held as u64;
        if self.0.trailers.is_some() {
            // No length is told, so that it goes in chunks, which trailers need.
            let mut hint = SizeHint::new();
            hint.set_lower(held);
            return hint;
        }
        let Some(rest) = &self.0.rest else {
            return SizeHint::with_exact(held);
        };
        let mut hint = rest.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(hint.lower().saturating_add(held));
        hint
    }
}

/// How far a body has come that is still arriving.
#[derive(Debug)]
pub(crate) struct Upload {
    moved_at: Cell<Instant>,
    ended: Cell<bool>,
}

impl Upload {
    /// Whether all of it is here.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// The latest moment for an answer's head: counted from the body's end, and up to that from its last move.
    pub(crate) fn deadline(&self, silence: Duration, timeout: Duration) -> Instant {
        self.moved_at.get() + if self.ended.get() { timeout } else { silence.max(timeout) }
    }
}

/// Why a client's body did not arrive whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Nothing came for `proxy.body_timeout`.
    #[error("the client's body stopped arriving")]
    Silent,
    /// The client left or its framing is wrong.
    #[error("the client's body broke off")]
    Broken(#[source] hyper::Error),
}

struct Gate {
    open: Arc<AtomicBool>,
    patience: Pin<Box<Sleep>>,
}
