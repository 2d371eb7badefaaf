//! What became of the updates of documents, by all that was written to them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::app::{UpdateId, Writer};
use super::documents::{Change, Hand, Write};
use super::settings::entities_with_documents;
use super::tally::Tally;
use super::world::World;

/// What a line of writes shows.
#[derive(Default)]
struct Findings {
    /// Updates that were made.
    made: BTreeSet<UpdateId>,
    /// By update and place: who put back what had been there before.
    undone: BTreeMap<(UpdateId, usize), Writer>,
    /// What must never happen.
    breaches: Vec<String>,
}

/// Compares what callers of updates of documents were told with what was written.
pub(super) fn accounts(world: &World, tally: &mut Tally) {
    let changes = world.changes.borrow();
    // What the store forgot meanwhile is no part of it.
    let lasting = Findings::of(&world.redis.writes(), &changes);
    let ever = world.redis.all_writes();
    let once = Findings::of(&ever, &changes).made;
    for write in ever.iter().filter_map(|it| Some((&it.document, it.damage.as_ref()?))) {
        world.history.breach(format!("{} {}", write.0, write.1));
    }
    lasting.breaches.iter().for_each(|breach| world.history.breach(breach.clone()));
    for entity in entities_with_documents() {
        let of =
            |ids: &BTreeMap<String, Vec<UpdateId>>| ids.get(entity).cloned().unwrap_or_default();
        let promised: BTreeSet<UpdateId> = of(&tally.promised).into_iter().collect();
        for id in of(&tally.all) {
            if !once.contains(&id) {
                world.history.breach(format!("{entity}: #{id} was acknowledged and never made"));
            } else if !lasting.made.contains(&id) {
                tally.forgotten += 1;
            } else if let Some(by) = lasting.undone_by(id) {
                tally.lost += 1;
                if promised.contains(&id) && by.is_exposed {
                    tally.undone_without_store += 1;
                } else if promised.contains(&id) {
                    let breach = format!("{entity}: protected #{id} is lost, overwritten by {by}");
                    world.history.breach(breach);
                }
            }
        }
        for id in of(&tally.denied).into_iter().filter(|id| once.contains(id)) {
            world.history.breach(format!("{entity}: #{id} was refused, and it was made"));
        }
    }
}

impl Findings {
    fn of(writes: &[Rc<Write>], changes: &BTreeMap<UpdateId, Change>) -> Self {
        let mut findings = Self::default();
        for write in writes {
            match &write.hand {
                // There was nothing to undo.
                Hand::Maker => {}
                Hand::App(writer) => findings.take(write, changes, writer),
                Hand::Edit => findings.take_edit(write, changes),
            }
        }
        findings
    }

    fn take_edit(&mut self, write: &Write, changes: &BTreeMap<UpdateId, Change>) {
        let Write { document, before, after, .. } = write;
        let changed: Vec<usize> =
            (0..before.len()).filter(|place| before[*place] != after[*place]).collect();
        let ids: BTreeSet<UpdateId> = changed.iter().map(|place| after[*place]).collect();
        let [id] = ids.iter().copied().collect::<Vec<_>>()[..] else {
            return self.breaches.push(format!("{document}: an edit wrote for {ids:?}"));
        };
        // One that is made again may find some of it in place.
        if !self.made.contains(&id) && changes.get(&id).map(|it| it.places()) != Some(changed) {
            self.breaches.push(format!("{document}: the edit #{id} is made in part"));
        }
        let (sidecar, stage) = ("an edit".to_owned(), "fixed");
        let writer = Writer { id, sidecar, stage, is_exposed: false, is_after_kill: false };
        self.take(write, changes, &writer);
    }

    /// A write for an update: its own places are its to set, once. Any other change puts back what was there before.
    fn take(&mut self, write: &Write, changes: &BTreeMap<UpdateId, Change>, writer: &Writer) {
        let Write { document, before, after, .. } = write;
        let own = changes.get(&writer.id).map(|it| it.places()).unwrap_or_default();
        let is_first = self.made.insert(writer.id);
        if !is_first {
            self.breaches.push(format!("{document}: #{} is made twice", writer.id));
        }
        for place in (0..before.len()).filter(|place| before[*place] != after[*place]) {
            let (old, new) = (before[place], after[place]);
            if !own.contains(&place) || !is_first {
                self.undone.insert((old, place), writer.clone());
            }
            self.undone.remove(&(new, place));
        }
    }

    fn undone_by(&self, id: UpdateId) -> Option<&Writer> {
        self.undone.range((id, 0)..=(id, usize::MAX)).next().map(|(_, writer)| writer)
    }
}
