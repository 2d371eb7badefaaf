//! How a flag changes.

use super::*;

fn author(reason: &str) -> Author {
    Author { by: "ann".into(), reason: reason.into(), at_ms: 7 }
}

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

#[test]
fn a_change_is_one_version_on_and_says_who_and_why() {
    let start = FlagState::initial(percent("5"), 1);

    let next = start
        .changed("flag", Strategy::Serialize, &Change::Percent(percent("25")), author("try it"))
        .unwrap();

    assert_eq!(
        (next.version, next.percent, next.previous_percent),
        (2, percent("25"), percent("5"))
    );
    assert_eq!(
        (next.changed_by.as_str(), next.reason.as_str(), next.changed_at_ms),
        ("ann", "try it", 7)
    );
}

#[test]
fn a_change_without_a_reason_is_refused() {
    let start = FlagState::initial(Percent::ZERO, 1);

    for reason in ["", "  \n"] {
        assert_eq!(
            start.changed("flag", Strategy::Serialize, &Change::Kill, author(reason)),
            Err(ChangeError::NoReason)
        );
    }
    let long = "x".repeat(FlagState::MAX_REASON_BYTES + 1);
    assert_eq!(
        start.changed("flag", Strategy::Serialize, &Change::Kill, author(&long)),
        Err(ChangeError::ReasonTooLong)
    );
}

#[test]
fn kill_and_resume_leave_the_percentage_as_it_was() {
    let start = FlagState::initial(percent("25"), 1);

    let killed = start.changed("flag", Strategy::Serialize, &Change::Kill, author("fire")).unwrap();
    let resumed =
        killed.changed("flag", Strategy::Serialize, &Change::Resume, author("out")).unwrap();

    assert!(killed.killed && !resumed.killed);
    assert_eq!((killed.percent, resumed.percent), (percent("25"), percent("25")));
}

#[test]
fn an_entity_is_pinned_to_one_path_at_a_time() {
    let pin = |state: &FlagState, path| {
        let change = Change::Pin { entity: "journey:7".into(), path };
        state.changed("flag", Strategy::Serialize, &change, author("vip")).unwrap()
    };
    let start = FlagState::initial(Percent::ZERO, 1);

    let fixed = pin(&start, Some(Path::Fixed));
    let legacy = pin(&fixed, Some(Path::Legacy));
    let free = pin(&legacy, None);

    assert_eq!(fixed.pins.path_of("journey:7"), Some(Path::Fixed));
    assert_eq!(legacy.pins.path_of("journey:7"), Some(Path::Legacy));
    assert_eq!(free.pins, Pins::default());
}

#[test]
fn pins_are_bounded() {
    let mut pins = Pins::default();
    for n in 0..Pins::MAX {
        pins.set(&format!("journey:{n}"), Some(Path::Fixed)).unwrap();
    }

    assert_eq!(pins.set("one more", Some(Path::Legacy)), Err(ChangeError::TooManyPins));
    assert_eq!(pins.set("journey:1", Some(Path::Legacy)), Ok(()), "moving one needs no room");
}

#[test]
fn two_states_of_one_turn_are_told_apart() {
    let set = |by: &str, to: &str| {
        let author = Author { by: by.into(), ..author("step") };
        let change = Change::Percent(percent(to));
        FlagState::initial(Percent::ZERO, 1)
            .changed("flag", Strategy::Serialize, &change, author)
            .unwrap()
    };
    let state = set("ann", "25");
    let mut pinned = state.clone();
    pinned.pins.fixed.insert("journey:7".into());

    assert_eq!(state.fingerprint(), set("ann", "25").fingerprint());
    for other in
        [set("ann", "26"), set("bob", "25"), pinned, FlagState { transit: None, ..state.clone() }]
    {
        assert_eq!(other.turn(), state.turn());
        assert_ne!(other.fingerprint(), state.fingerprint(), "{other:?}");
    }
}
