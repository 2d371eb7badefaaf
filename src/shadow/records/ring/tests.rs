//! The ring: ids, caps, what waits, and lists.

use proptest::prelude::*;

use super::*;
use crate::domain::divergence::Cause;
use crate::domain::divergence::lost_updates;

const LIMITS: Limits = Limits { keep: 3, bytes: usize::MAX, max_age_ms: 1_000 };
const ALL: Query = Query { flag: None, cause: None, after: None, limit: 100 };

fn item(entity: &str) -> Item {
    let divergence = Divergence { entity: entity.to_owned(), ..lost_updates() };
    Item::of(FlagIndex(0), divergence).unwrap()
}

/// The entities in a list.
fn entities(page: &Page) -> Vec<&str> {
    page.divergences.iter().map(|listed| listed.summary.entity.as_str()).collect()
}

fn ids(page: &Page) -> Vec<String> {
    page.divergences.iter().map(|listed| listed.id.to_string()).collect()
}

fn id(text: &str) -> RecordId {
    text.parse().unwrap()
}

#[test]
fn the_latest_stand_first_and_the_earliest_go() {
    let mut ring = Ring::alone(LIMITS);
    for (at, entity) in [(10, "a"), (10, "b"), (9, "c"), (11, "d")] {
        assert!(ring.push(item(entity), at).is_empty(), "nothing should have been written");
    }

    let page = ring.list(&ALL, 11);

    assert_eq!(entities(&page), ["d", "c", "b"]);
    assert_eq!(ids(&page), ["11-0", "10-2", "10-1"], "a clock that is set back makes no id twice");
    assert_eq!((page.next, page.from), (None, Source::Memory));
    assert!(ring.find(id("10-0"), 11).is_none());
    let (found, item) = ring.find(id("10-1"), 11).unwrap();
    assert_eq!(item.record(found).unwrap().divergence.entity, "b");
}

#[test]
fn what_is_too_old_is_gone_whether_or_not_another_comes() {
    let mut ring = Ring::alone(LIMITS);
    ring.push(item("a"), 0);
    ring.push(item("b"), 500);

    assert_eq!(entities(&ring.list(&ALL, 999)), ["b", "a"]);
    assert_eq!(entities(&ring.list(&ALL, 1_000)), ["b"]);
    assert!(ring.find(id("0-1"), 1_000).is_none());
    ring.push(item("c"), 1_400);
    assert_eq!(ring.slots.len(), 2);
}

#[test]
fn bytes_are_bounded_and_the_last_one_stays() {
    let one = item("a").bytes();
    let mut ring = Ring::alone(Limits { keep: 100, bytes: 2 * one, ..LIMITS });
    for entity in ["a", "b", "c"] {
        ring.push(item(entity), 0);
    }
    assert_eq!(entities(&ring.list(&ALL, 0)), ["c", "b"]);
    assert_eq!(ring.bytes, 2 * one);

    let mut narrow = Ring::alone(Limits { bytes: 1, ..LIMITS });
    narrow.push(item("a"), 0);
    narrow.push(item("b"), 0);
    assert_eq!(entities(&narrow.list(&ALL, 0)), ["b"]);
}

#[test]
fn a_list_is_read_page_by_page_and_filtered() {
    let mut ring = Ring::alone(Limits { keep: 100, ..LIMITS });
    for n in 0..7 {
        let divergence = Divergence {
            entity: n.to_string(),
            cause: if n == 3 { Cause::Body } else { Cause::LostUpdate },
            flag: if n == 5 { "seats" } else { "journey-updates" }.to_owned(),
            ..lost_updates()
        };
        ring.push(Item::of(FlagIndex(0), divergence).unwrap(), n);
    }
    let of = |query: Query| ring.list(&query, 10);

    let first = of(Query { limit: 3, ..ALL });
    let second = of(Query { limit: 3, after: first.next, ..ALL });
    let third = of(Query { limit: 3, after: second.next, ..ALL });

    let pages = [&first, &second, &third].map(|page| entities(page));
    assert_eq!(pages, [vec!["6", "5", "4"], vec!["3", "2", "1"], vec!["0"]]);
    assert_eq!(third.next, None);
    assert_eq!(of(Query { limit: 7, ..ALL }).next, None, "a full page that is the last");
    assert_eq!(entities(&of(Query { cause: Some(Cause::Body), ..ALL })), ["3"]);
    assert_eq!(entities(&of(Query { flag: Some("seats".to_owned()), ..ALL })), ["5"]);
}

#[test]
fn what_waits_is_taken_in_order_and_in_bounded_batches() {
    let mut ring = Ring::before_a_store(Limits { keep: 100, ..LIMITS });
    for entity in ["a", "b", "c", "d", "e"] {
        ring.push(item(entity), 0);
    }
    let one = item("a").bytes();
    let mut taken = |most, bytes| {
        let batch = ring.take(most, bytes)?;
        let entities: Vec<String> =
            batch.items.iter().map(|it| it.summary.entity.clone()).collect();
        Some((batch.first, entities.concat()))
    };

    assert_eq!(taken(2, usize::MAX), Some((0, "ab".to_owned())));
    assert_eq!(taken(5, 2 * one), Some((2, "cd".to_owned())));
    assert_eq!(taken(5, 1), Some((4, "e".to_owned())), "one at least");
    assert_eq!(taken(5, usize::MAX), None);
}

#[test]
fn what_has_to_go_before_it_was_taken_is_told_of_and_nothing_else() {
    let mut ring = Ring::before_a_store(LIMITS);
    for entity in ["a", "b", "c"] {
        assert!(ring.push(item(entity), 0).is_empty());
    }
    let batch = ring.take(1, usize::MAX).unwrap();

    assert!(ring.push(item("d"), 0).is_empty(), "a is being written");
    let gone: Vec<String> =
        ring.push(item("e"), 0).iter().map(|it| it.summary.entity.clone()).collect();
    assert_eq!(gone, ["b"]);
    ring.written(&batch, &[id("5-0")]);
    let next = ring.take(10, usize::MAX).unwrap();

    assert_eq!(next.first, 2);
    assert_eq!(next.items.len(), 3);
}

#[test]
fn a_record_is_found_by_the_id_that_it_had_before_it_was_written() {
    let mut ring = Ring::before_a_store(LIMITS);
    ring.push(item("a"), 7);
    ring.push(item("b"), 7);
    let before = ring.list(&ALL, 7);
    let (first, second) = (before.divergences[1].id, before.divergences[0].id);
    let batch = ring.take(1, usize::MAX).unwrap();
    ring.written(&batch, &[id("900-0")]);

    assert!(first.seq >= PROVISIONAL, "an id that no store gives");
    assert_eq!(ring.find(first, 7).unwrap().0, id("900-0"));
    assert_eq!(ring.find(id("900-0"), 7).unwrap().0, id("900-0"));
    assert_eq!(ring.find(second, 7).unwrap().0, second);
    assert_eq!(entities(&ring.list(&ALL, 7)), ["a", "b"], "in the order of the ids");
}

#[test]
fn a_record_that_is_too_long_loses_its_earliest_steps_first() {
    let mut divergence = lost_updates();
    let steps = &mut divergence.timeline.as_mut().unwrap().steps;
    let mut last = steps[8].clone();
    last.value = Some("\"x\"".repeat(300));
    steps.extend(std::iter::repeat_n(last, 150));

    let item = Item::of(FlagIndex(0), divergence.clone()).unwrap();

    assert!(item.json.len() <= MAX_RECORD_BYTES);
    let kept = item.record(id("1-0")).unwrap().divergence;
    let timeline = kept.timeline.unwrap();
    assert!(timeline.truncated && timeline.steps.len() >= 15, "{}", timeline.steps.len());
    assert_eq!(kept.differences, divergence.differences);
}

proptest! {
    #[test]
    fn the_ring_never_exceeds_its_bounds_and_ids_only_grow(
        pushes in proptest::collection::vec((0u64..3_000, any::<bool>()), 1..60),
        keep in 1usize..8,
        bytes in 1usize..40_000,
        shared in any::<bool>(),
    ) {
        let limits = Limits { keep, bytes, max_age_ms: 1_000 };
        let mut ring = if shared { Ring::before_a_store(limits) } else { Ring::alone(limits) };
        let (mut taken, mut dropped, mut last) = (0, 0, id("0-0"));
        for (at, takes) in &pushes {
            dropped += ring.push(item("a"), *at).len();
            let newest = ring.slots.back().unwrap().id;
            prop_assert!(newest > last);
            last = newest;
            prop_assert!(ring.slots.len() <= keep);
            prop_assert!(ring.bytes <= bytes || ring.slots.len() == 1);
            let counted: usize = ring.slots.iter().map(|slot| slot.item.bytes()).sum();
            prop_assert_eq!(ring.bytes, counted);
            if *takes {
                taken += ring.take(2, usize::MAX).map_or(0, |batch| batch.items.len());
            }
        }
        while let Some(batch) = ring.take(2, usize::MAX) {
            taken += batch.items.len();
        }
        prop_assert_eq!(taken + dropped, if shared { pushes.len() } else { 0 }, "none is both or neither");
    }
}
