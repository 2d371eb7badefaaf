//! What was read ahead of an answer's body, before the client is given any of it.

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use super::memory::HeldMemory;
use super::relay::RelayError;

/// What comes before the rest of a body.
pub(super) struct Ahead {
    gathering: BytesMut,
    data: Option<Bytes>,
    trailers: Option<Frame<Bytes>>,
    error: Option<RelayError>,
    memory: HeldMemory,
}

impl Ahead {
    /// Nothing yet.
    pub(super) fn new(memory: HeldMemory) -> Self {
        Self { gathering: BytesMut::new(), data: None, trailers: None, error: None, memory }
    }

    /// Takes what came next. `Some` where reading ahead ends with it, and says whether the body is whole.
    pub(super) fn take(
        &mut self,
        frame: Option<Result<Frame<Bytes>, RelayError>>,
        limit: usize,
    ) -> Option<bool> {
        match frame {
            None => Some(true),
            Some(Err(error)) => {
                self.error = Some(error);
                Some(false)
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    // Put together: each frame by itself would keep a whole read buffer in memory.
                    self.gathering.extend_from_slice(&data);
                    let length = self.gathering.len();
                    let is_too_much = length > limit || self.memory.grow_to(length).is_err();
                    is_too_much.then_some(false)
                }
                Err(trailers) => {
                    self.trailers = Some(trailers);
                    None
                }
            },
        }
    }

    /// The data, in one piece.
    pub(super) fn join(&mut self) -> Bytes {
        if !self.gathering.is_empty() {
            self.data = Some(self.gathering.split().freeze());
        }
        self.data.clone().unwrap_or_default()
    }

    /// What is given next; `None` where all of it was.
    pub(super) fn next(&mut self) -> Option<Result<Frame<Bytes>, RelayError>> {
        self.join();
        let data = self.data.take().map(|data| Ok(Frame::data(data)));
        data.or_else(|| self.trailers.take().map(Ok)).or_else(|| self.error.take().map(Err))
    }

    /// How much data it holds, in bytes.
    pub(super) fn len(&self) -> usize {
        self.gathering.len() + self.data.as_ref().map_or(0, Bytes::len)
    }

    /// Whether nothing of it is left to be given.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0 && self.trailers.is_none() && self.error.is_none()
    }
}
