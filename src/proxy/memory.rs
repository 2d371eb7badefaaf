//! How much memory bodies may take that are held.

use std::cell::Cell;
use std::rc::Rc;

use super::error::Refusal;

/// How much of all bodies one worker holds in memory at present.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    held: Cell<usize>,
    most: usize,
}

impl BodyMemory {
    /// `most` is in bytes.
    pub(crate) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { held: Cell::new(0), most })
    }

    /// Begins to account for one body.
    pub(crate) fn hold(self: &Rc<Self>) -> HeldMemory {
        HeldMemory { of: Rc::clone(self), bytes: 0 }
    }
}

/// One body's share; given back on drop.
pub(crate) struct HeldMemory {
    of: Rc<BodyMemory>,
    bytes: usize,
}

impl HeldMemory {
    /// The body is that long now, in bytes.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let total = self.of.held.get() - self.bytes + bytes;
        if total > self.of.most {
            return Err(Refusal::BodyMemory);
        }
        self.of.held.set(total);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.of.held.set(self.of.held.get() - self.bytes);
    }
}
