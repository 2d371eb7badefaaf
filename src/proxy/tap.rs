//! Capturing an answer: a control's while it is relayed, a candidate's in its stead.

use std::rc::Rc;

use bytes::Bytes;

use super::memory::{BodyMemory, HeldMemory};
use crate::shadow::Captured;

/// Whoever sees an answer's body pass. Dropped before the end, it knows that the answer was not whole.
pub(crate) trait Tap {
    /// A piece of the body passes.
    fn pass(&mut self, data: &Bytes);
    /// The whole answer has passed.
    fn end(self: Box<Self>);
}

/// Why an answer is not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CaptureError {
    /// Its body is longer than may be held.
    #[error("the body is longer than {limit} bytes")]
    TooLarge { limit: usize },
    /// All that may be held by shadows is.
    #[error("shadows hold as much as they may")]
    NoMemory,
}

/// An answer that is being captured, within bounds.
pub(crate) struct Capture {
    answer: Captured,
    memory: HeldMemory,
    limit: usize,
}

impl Capture {
    /// Begins with the head; up to `limit` bytes of body may follow.
    pub(crate) fn new(head: Captured, memory: &Rc<BodyMemory>, limit: usize) -> Self {
        Self { answer: head, memory: memory.hold(), limit }
    }

    /// Takes a piece of the body.
    pub(crate) fn take(&mut self, data: &[u8]) -> Result<(), CaptureError> {
        self.grow_by(data.len())?;
        self.answer.push(data);
        Ok(())
    }

    /// Takes a piece of the body that may be shared with whoever else has it.
    pub(crate) fn take_shared(&mut self, data: &Bytes) -> Result<(), CaptureError> {
        self.grow_by(data.len())?;
        self.answer.push_shared(data);
        Ok(())
    }

    fn grow_by(&mut self, bytes: usize) -> Result<(), CaptureError> {
        let length = self.answer.len() + bytes;
        if length > self.limit {
            return Err(CaptureError::TooLarge { limit: self.limit });
        }
        self.memory.grow_to(length).map_err(|_| CaptureError::NoMemory)
    }

    /// What was captured so far.
    pub(crate) fn answer(&self) -> &Captured {
        &self.answer
    }

    /// What was captured, no longer accounted for here.
    pub(crate) fn into_answer(self) -> Captured {
        self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(memory: &Rc<BodyMemory>, limit: usize) -> Capture {
        Capture::new(Captured::default(), memory, limit)
    }

    #[test]
    fn what_passes_is_captured_up_to_the_limit_and_not_a_byte_more() {
        let memory = BodyMemory::new(1000);
        let mut capture = capture(&memory, 6);

        assert_eq!(capture.take(b"abc"), Ok(()));
        assert_eq!(capture.take_shared(&Bytes::from_static(b"def")), Ok(()));
        let over = capture.take(b"g");

        assert_eq!(over, Err(CaptureError::TooLarge { limit: 6 }));
        assert_eq!(&*capture.into_answer().body(), b"abcdef");
    }

    #[test]
    fn all_captures_share_one_memory_and_give_it_back() {
        let memory = BodyMemory::new(10);
        let (mut one, mut other) = (capture(&memory, 8), capture(&memory, 8));

        assert_eq!(one.take(b"abcdef"), Ok(()));
        assert_eq!(other.take(b"abcdef"), Err(CaptureError::NoMemory));
        drop(one);

        assert_eq!(other.take(b"abcdef"), Ok(()));
    }
}
