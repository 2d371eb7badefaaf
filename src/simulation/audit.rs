//! What became of the updates of documents, by all that was written to them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::app::{UpdateId, Writer};
use super::documents::{Asked, Hand, Write};
use super::settings::entities_with_documents;
use super::tally::Tally;
use super::world::World;

/// For each update, its place in the order in which they were made, if nothing was forgotten.
type Order = BTreeMap<UpdateId, usize>;

/// What a line of writes shows.
#[derive(Default)]
struct Findings {
    order: Order,
    /// Updates that were made.
    made: Order,
    /// Updates and places: a later update set the same place.
    followed: BTreeSet<(UpdateId, usize)>,
    /// By update and place: who put back what had been there before.
    undone: BTreeMap<(UpdateId, usize), Writer>,
    /// What must never happen.
    breaches: Vec<String>,
}

/// Compares what callers of updates of documents were told with what was written.
pub(super) fn accounts(world: &World, tally: &mut Tally) {
    let asked = world.asked.borrow();
    // What the store forgot meanwhile is no part of it.
    let ever = world.redis.all_writes();
    let once = Findings::of(&ever, &asked, &Order::new()).made;
    let lasting = Findings::of(&world.redis.writes(), &asked, &once);
    for write in ever.iter().filter_map(|it| Some((&it.document, it.damage.as_ref()?))) {
        world.history.breach(format!("{} {}", write.0, write.1));
    }
    lasting.breaches.iter().for_each(|breach| world.history.breach(breach.clone()));
    for entity in entities_with_documents() {
        let of =
            |ids: &BTreeMap<String, Vec<UpdateId>>| ids.get(entity).cloned().unwrap_or_default();
        let promised: BTreeSet<UpdateId> = of(&tally.promised).into_iter().collect();
        for id in of(&tally.all) {
            if !once.contains_key(&id) {
                world.history.breach(format!("{entity}: #{id} was acknowledged and never made"));
            } else if !lasting.made.contains_key(&id) {
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
        for id in of(&tally.denied).into_iter().filter(|id| once.contains_key(id)) {
            world.history.breach(format!("{entity}: #{id} was refused, and it was made"));
        }
    }
    if !world.history.breaches().is_empty() {
        ever.iter().for_each(|write| world.history.note(format_args!("WRITE {write}")));
    }
}

impl Findings {
    fn of(writes: &[Rc<Write>], asked: &BTreeMap<UpdateId, Asked>, order: &Order) -> Self {
        let mut findings = Self { order: order.clone(), ..Self::default() };
        for write in writes {
            match &write.hand {
                // There was nothing to undo.
                Hand::Maker => {}
                Hand::App(writer) => findings.take(write, asked, writer),
                Hand::Edit => findings.take_edit(write, asked),
            }
        }
        findings
    }

    fn take_edit(&mut self, write: &Write, asked: &BTreeMap<UpdateId, Asked>) {
        let Write { document, before, after, .. } = write;
        let changed: Vec<usize> =
            (0..before.len()).filter(|place| before[*place] != after[*place]).collect();
        let ids: BTreeSet<UpdateId> = changed.iter().map(|place| after[*place]).collect();
        let [id] = ids.iter().copied().collect::<Vec<_>>()[..] else {
            return self.breaches.push(format!("{document}: an edit wrote for {ids:?}"));
        };
        // One that is made again may find some of it in place.
        if !self.made.contains_key(&id)
            && asked.get(&id).map(|it| it.change.places()) != Some(changed)
        {
            self.breaches.push(format!("{document}: the edit #{id} is made in part"));
        }
        let (sidecar, stage) = ("an edit".to_owned(), "fixed");
        let writer = Writer { id, sidecar, stage, is_exposed: false, is_after_kill: false };
        self.take(write, asked, &writer);
    }

    /// A write for an update: its own places are its to set, once. Any other change puts back what was there before.
    fn take(&mut self, write: &Write, asked: &BTreeMap<UpdateId, Asked>, writer: &Writer) {
        let Write { document, run, before, after, .. } = write;
        let Some(asked) = asked.get(&writer.id) else {
            return self.breaches.push(format!("{document}: nobody asked for #{}", writer.id));
        };
        let own = asked.change.places();
        let nth = self.made.len();
        let is_again = self.made.contains_key(&writer.id) && !asked.may_be_forgotten(*run);
        self.made.entry(writer.id).or_insert(nth);
        if is_again {
            self.breaches.push(format!("{document}: #{} is made twice", writer.id));
        }
        for place in (0..before.len()).filter(|place| before[*place] != after[*place]) {
            let (old, new) = (before[place], after[place]);
            // One that the store forgot comes back where an app had read it before.
            let is_later = self.order.get(&new) > self.order.get(&old);
            if is_later || own.contains(&place) && !is_again {
                self.followed.insert((old, place));
            } else if !self.followed.contains(&(old, place)) {
                self.undone.insert((old, place), writer.clone());
            }
            self.undone.remove(&(new, place));
        }
    }

    fn undone_by(&self, id: UpdateId) -> Option<&Writer> {
        self.undone.range((id, 0)..=(id, usize::MAX)).next().map(|(_, writer)| writer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::documents::{Change, NEW, Stored, Values, text};
    use super::*;

    const APP: fn(UpdateId) -> Hand = |id| {
        let (sidecar, stage) = ("a-1".to_owned(), "guarded");
        Hand::App(Writer { id, sidecar, stage, is_exposed: false, is_after_kill: false })
    };

    /// What is found in writes, one after the other; updates are of the places that `asked` says.
    fn found(asked: &[(UpdateId, Change)], writes: &[(Hand, u64, Values)]) -> Findings {
        let asked = asked.iter().map(|(id, change)| {
            let keyed_in = (*id >= 100).then_some(1);
            (*id, Asked { change: *change, keyed_in })
        });
        let mut before = NEW;
        let writes = writes.iter().map(|(hand, run, after)| {
            let [was, is] = [before, *after].map(stored);
            before = *after;
            Write::of("d:1", (hand.clone(), *run, 0), Some(&was), Some(&is))
        });
        Findings::of(&writes.collect::<Vec<_>>(), &asked.collect(), &Order::new())
    }

    fn stored(values: Values) -> Stored {
        Stored { bytes: text("d:1", &values).into_bytes(), expires: Some(7) }
    }

    #[test]
    fn what_a_later_update_set_anew_is_not_undone() {
        let asked = [(1, Change::Slot(0)), (2, Change::Slot(0))];
        let writes = [(Hand::Edit, 1, [1, 0, 0, 0, 0]), (Hand::Edit, 1, [2, 0, 0, 0, 0])];

        let Findings { made, undone, breaches, .. } = found(&asked, &writes);

        assert_eq!(made, BTreeMap::from([(1, 0), (2, 1)]));
        assert!(undone.is_empty() && breaches.is_empty(), "{breaches:?}");
    }

    #[test]
    fn what_an_app_put_back_is_undone_by_it_unless_it_comes_back() {
        let asked = [(1, Change::Slot(0)), (2, Change::ByApp(1)), (3, Change::ByApp(2))];
        let undoing = [(Hand::Edit, 1, [1, 0, 0, 0, 0]), (APP(2), 1, [0, 2, 0, 0, 0])];
        let redoing = [&undoing[..], &[(APP(3), 1, [1, 0, 3, 0, 0])]].concat();

        let by = |writes| found(&asked, writes).undone_by(1).map(|by| by.id);

        assert_eq!(by(&undoing), Some(2));
        assert_eq!(by(&redoing), None);
    }

    #[test]
    fn an_update_that_is_made_twice_is_noticed_and_undoes_what_came_between() {
        let asked = [(1, Change::Slot(0)), (2, Change::Slot(0)), (100, Change::Slot(0))];
        let twice = |id, run| {
            let first = (Hand::Edit, 1, [id, 0, 0, 0, 0]);
            [first, (Hand::Edit, 1, [2, 0, 0, 0, 0]), (Hand::Edit, run, [id, 0, 0, 0, 0])]
        };

        let again = found(&asked, &twice(1, 1));
        let forgotten = found(&asked, &twice(100, 2));

        assert_eq!(again.breaches, ["d:1: #1 is made twice"]);
        assert_eq!(again.undone_by(2).map(|by| by.id), Some(1));
        assert!(forgotten.breaches.is_empty() && forgotten.undone.is_empty());
        assert_eq!(found(&asked, &twice(100, 1)).breaches, ["d:1: #100 is made twice"]);
    }

    #[test]
    fn an_edit_is_made_whole_and_of_one_update() {
        let asked = [(1, Change::Both(0)), (2, Change::Slot(0))];

        let part = found(&asked, &[(Hand::Edit, 1, [1, 0, 0, 0, 0])]);
        let mixed = found(&asked, &[(Hand::Edit, 1, [2, 0, 0, 0, 1])]);

        assert_eq!(part.breaches, ["d:1: the edit #1 is made in part"]);
        assert_eq!(mixed.breaches, ["d:1: an edit wrote for {1, 2}"]);
    }

    #[test]
    fn a_write_keeps_every_other_byte_and_the_time_to_live() {
        let damage = |after: Stored| {
            let before = stored(NEW);
            Write::of("d:1", (Hand::Edit, 1, 0), Some(&before), Some(&after)).damage.clone()
        };
        let good = stored([1, 0, 0, 0, 0]);

        assert_eq!(damage(good.clone()), None);
        assert!(damage(Stored { expires: None, ..good.clone() }).is_some());
        let bytes = String::from_utf8(good.bytes).unwrap().replace("850.50", "850.5").into_bytes();
        assert!(damage(Stored { bytes, ..good }).is_some());
    }
}
