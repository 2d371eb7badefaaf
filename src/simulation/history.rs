//! What happened in a run, line by line: the same seed gives the same lines.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::clock::{self, Instant};

/// Clones are the same history.
#[derive(Clone)]
pub(super) struct History {
    began: Instant,
    lines: Rc<RefCell<Vec<String>>>,
    /// What should never have happened.
    breaches: Rc<RefCell<Vec<String>>>,
}

impl History {
    pub(super) fn new() -> Self {
        Self { began: clock::now(), lines: Rc::default(), breaches: Rc::default() }
    }

    /// Something happens.
    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        let at = (clock::now() - self.began).as_millis();
        self.lines.borrow_mut().push(format!("{at:>6} {what}"));
    }

    /// Something happens that must not.
    pub(super) fn breach(&self, what: String) {
        self.note(format_args!("BREACH {what}"));
        self.breaches.borrow_mut().push(what);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    pub(super) fn breaches(&self) -> Vec<String> {
        self.breaches.borrow().clone()
    }
}
