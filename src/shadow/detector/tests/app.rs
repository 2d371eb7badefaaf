//! An app in virtual time: documents with some numbers each.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use serde_json::json;

use super::{Dice, EntityReader, RawRead};
use crate::clock;
use crate::shadow::notebook::ReadFault;

/// How many fields an entity has.
pub(super) const FIELDS: usize = 4;

/// The app. Clones share everything.
#[derive(Clone)]
pub(super) struct App {
    documents: Rc<RefCell<BTreeMap<String, Vec<u64>>>>,
    dice: Dice,
    knobs: Rc<Knobs>,
}

/// What can be set, and what is counted.
#[derive(Default)]
pub(super) struct Knobs {
    /// Of so many reads one fails; 0 for none.
    pub(super) failing_reads: Cell<u64>,
    /// The longest that a read takes either way, in milliseconds.
    pub(super) read_takes: Cell<u64>,
    /// Reads so far.
    pub(super) reads: Cell<usize>,
    /// Values that a document written whole has put back to what they were, so far.
    pub(super) put_back: Cell<usize>,
}

impl App {
    pub(super) fn new(dice: Dice) -> Self {
        let knobs = Knobs { read_takes: Cell::new(3), ..Knobs::default() };
        Self { documents: Rc::default(), dice, knobs: Rc::new(knobs) }
    }

    pub(super) fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    /// What an entity holds.
    pub(super) fn document(&self, entity: &str) -> Vec<u64> {
        self.documents.borrow().get(entity).cloned().unwrap_or_else(|| vec![0; FIELDS])
    }

    /// Writes one field and nothing else.
    pub(super) fn write(&self, entity: &str, field: usize, value: u64) {
        let mut document = self.document(entity);
        document[field] = value;
        self.documents.borrow_mut().insert(entity.to_owned(), document);
    }

    /// Writes a document that was read before, with one field changed.
    pub(super) fn write_back(&self, entity: &str, mut copy: Vec<u64>, field: usize, value: u64) {
        let present = self.document(entity);
        let differs = |at: &usize| *at != field && copy[*at] != present[*at];
        let put_back = (0..FIELDS).filter(differs).count();
        self.knobs.put_back.set(self.knobs.put_back.get() + put_back);
        copy[field] = value;
        self.documents.borrow_mut().insert(entity.to_owned(), copy);
    }
}

impl EntityReader for App {
    fn read(&self, path: String) -> impl Future<Output = RawRead> + 'static {
        let app = self.clone();
        async move {
            let begun = clock::now();
            let takes = app.knobs.read_takes.get();
            app.knobs.reads.set(app.knobs.reads.get() + 1);
            app.dice.pause(takes).await;
            let fields = app.document(path.strip_prefix("/e/").unwrap());
            app.dice.pause(takes).await;
            let failing = app.knobs.failing_reads.get();
            let document = match failing > 0 && app.dice.one_in(failing) {
                true => Err(ReadFault::Status(500)),
                false => Ok(json!({ "fields": fields }).to_string().into()),
            };
            RawRead { begun, ended: clock::now(), document }
        }
    }
}
