//! The body of an answer on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::clean;
use crate::proxy::call::CallGuard;
use crate::proxy::relay::{Relay, RelayError};
use crate::proxy::tap::Tap;

/// The body of an answer to a client.
pub(crate) struct ResponseBody {
    kind: Kind,
    /// The call counts as in flight, and its connection as busy, until its answer is handed over.
    pub(crate) call: Option<CallGuard>,
    /// Sees it pass.
    tap: Option<Box<dyn Tap>>,
}

enum Kind {
    Own(Option<Bytes>),
    Relayed(Box<Relay>),
}

impl ResponseBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self { kind: Kind::Own(None), call: None, tap: None }
    }

    /// A body of our own.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self { kind: Kind::Own(Some(bytes)), call: None, tap: None }
    }

    /// An upstream's body; `tap` sees it pass.
    pub(crate) fn relayed(relay: Box<Relay>, tap: Option<Box<dyn Tap>>) -> Self {
        let mut body = Self { kind: Kind::Relayed(relay), call: None, tap };
        body.end_tap_at_end();
        body
    }

    /// Shows the tap what passes: a frame, or the end.
    fn show(&mut self, frame: Option<&Frame<Bytes>>) {
        if let (Some(tap), Some(data)) = (&mut self.tap, frame.and_then(Frame::data_ref)) {
            tap.pass(data);
        }
        match frame {
            Some(_) => self.end_tap_at_end(),
            None => self.tap.take().map_or((), Tap::end),
        }
    }

    /// Nobody may poll a body that says it has ended.
    fn end_tap_at_end(&mut self) {
        if self.tap.is_some()
            && self.is_end_stream()
            && let Some(tap) = self.tap.take()
        {
            tap.end();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.kind {
            Kind::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Relayed(relay) => {
                let frame = relay.poll_frame(cx);
                match &frame {
                    Poll::Pending => {}
                    Poll::Ready(Some(Err(_))) => {
                        self.tap = None;
                        if let Some(call) = &self.call {
                            call.break_off();
                        }
                    }
                    Poll::Ready(Some(Ok(frame))) => self.show(Some(frame)),
                    Poll::Ready(None) => self.show(None),
                }
                frame.map(|frame| frame.map(|frame| frame.map(clean)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(bytes) => bytes.is_none(),
            Kind::Relayed(relay) => relay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Relayed(relay) => relay.size_hint(),
        }
    }
}
