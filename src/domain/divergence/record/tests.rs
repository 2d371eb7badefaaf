//! Ids, bounds and the short form.

use proptest::prelude::*;

use super::*;
use crate::domain::divergence::{DifferenceKind, Excuse};
use crate::domain::timeline::tests::three_updates_losing_two;

fn difference(pointer: &str) -> Difference {
    Difference {
        pointer: pointer.to_owned(),
        kind: DifferenceKind::Lost,
        expected: Some("\"Departed\"".to_owned()),
        found: Some("\"Scheduled\"".to_owned()),
        excused: None,
    }
}

/// Two of three updates of a journey, lost.
pub(crate) fn lost_updates() -> Divergence {
    Divergence {
        at_ms: 1_764_011_519_000,
        flag: "journey-updates".to_owned(),
        route: "segment-status".to_owned(),
        entity: "journey:J0001".to_owned(),
        path: Path::Legacy,
        cause: Cause::LostUpdate,
        contended: true,
        differences: vec![
            difference("/segments/[segmentId=S1]/status"),
            difference("/segments/[segmentId=S2]/status"),
        ],
        truncated: false,
        trace_ids: vec![format!("{:032x}", 1), format!("{:032x}", 2)],
        timeline: Some(three_updates_losing_two()),
    }
}

#[test]
fn ids_are_ordered_by_their_numbers_and_spelt_one_way() {
    let id = |text: &str| text.parse::<RecordId>();

    assert!(id("9-10").unwrap() > id("9-9").unwrap());
    assert!(id("10-0").unwrap() > id("9-9").unwrap());
    assert_eq!(id("18446744073709551615-0").unwrap().to_string(), "18446744073709551615-0");
    for wrong in [
        "",
        "-",
        "1",
        "1-",
        "-1",
        "1-2-3",
        "01-2",
        "+1-2",
        "1 -2",
        "a-b",
        "1-1844674407370955161600",
    ] {
        assert_eq!(id(wrong), Err(RecordIdError), "{wrong}");
    }
}

#[test]
fn a_record_is_read_back_as_it_was() {
    let record = Record { id: RecordId { ms: 7, seq: 1 }, divergence: lost_updates() };

    let json = serde_json::to_value(&record).unwrap();

    assert_eq!((&json["id"], &json["cause"]), (&"7-1".into(), &"lost_update".into()));
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
}

#[test]
fn a_summary_names_each_place_once_and_none_that_is_excused() {
    let mut divergence = lost_updates();
    divergence.differences.push(difference("/segments/[segmentId=S2]/status"));
    let excused = Difference { excused: Some(Excuse::Noise), ..difference("/updatedAt") };
    divergence.differences.push(excused);

    let summary = divergence.summary();

    let expected = ["/segments/[segmentId=S1]/status", "/segments/[segmentId=S2]/status"];
    assert_eq!(summary.pointers, expected);
}

#[test]
fn the_title_counts_what_was_lost_and_names_any_other_cause() {
    let lost = lost_updates();
    let other = Divergence { cause: Cause::UnmanagedWriter, timeline: None, ..lost.clone() };

    assert_eq!(lost.title(), "journey:J0001: 2 of 3 updates lost");
    assert_eq!(other.title(), "journey:J0001: unmanaged writer");
    assert_eq!(other.mermaid(), None);
}

#[test]
fn what_is_within_bounds_stays_as_it_is() {
    assert_eq!(lost_updates().bounded(), lost_updates());
}

#[test]
fn what_is_too_much_is_cut_and_says_so() {
    let long = "ä".repeat(2000);
    let many = (0..100).map(|_| Difference { expected: Some(long.clone()), ..difference(&long) });
    let mut divergence = Divergence { differences: many.collect(), ..lost_updates() };
    let steps = &mut divergence.timeline.as_mut().unwrap().steps;
    let last = crate::domain::timeline::Step { field: long.clone(), ..steps[8].clone() };
    steps.extend(std::iter::repeat_n(last, 300));

    let bounded = divergence.bounded();

    assert!(bounded.truncated && bounded.differences.len() == MAX_DIFFERENCES);
    let first = &bounded.differences[0];
    assert!(first.pointer.len() <= 512 && first.pointer.ends_with('…'), "{}", first.pointer.len());
    assert!(first.expected.as_ref().unwrap().len() <= 1024);
    let timeline = bounded.timeline.unwrap();
    assert_eq!((timeline.steps.len(), timeline.truncated), (MAX_STEPS, true));
    assert!(timeline.steps[MAX_STEPS - 1].field.ends_with('…'));
}

#[test]
fn shrinking_ends_with_what_identifies_it() {
    let mut divergence = lost_updates();
    let mut sizes = Vec::new();
    while divergence.shrink() {
        let steps = divergence.timeline.as_ref().unwrap().steps.len();
        sizes.push((steps, divergence.differences.len()));
    }

    assert_eq!(sizes, [(4, 2), (2, 2), (1, 2), (0, 2), (0, 1), (0, 0)]);
    assert!(divergence.truncated && divergence.timeline.unwrap().truncated);
}

proptest! {
    #[test]
    fn no_text_is_taken_for_an_id_that_it_does_not_spell(text in "[0-9+ -]{0,24}") {
        if let Ok(id) = text.parse::<RecordId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn a_cut_never_splits_a_character(text in ".{0,60}", most in 3usize..40) {
        let mut shown = text.clone();
        cut(&mut shown, most);

        prop_assert!(shown == text || (shown.len() <= most && shown.ends_with('…')));
    }
}
