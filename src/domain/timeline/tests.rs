//! Timelines as the detector makes them, and how they are bounded and counted.

use super::*;

/// A step through the sidecar `pod-a` on the legacy path.
pub(crate) fn step(at_us: u64, caller: &str, what: StepKind, value: Option<&str>) -> Step {
    Step {
        at_us,
        caller: caller.to_owned(),
        what,
        field: "/status".to_owned(),
        value: value.map(str::to_owned),
        path: Path::Legacy,
        sidecar: "pod-a".to_owned(),
        trace_id: String::new(),
        lost: false,
    }
}

/// Three updates of a journey's segments at once: each writes the whole document as it has read it, so the last write
/// undoes the other two.
pub(crate) fn three_updates_losing_two() -> Timeline {
    let segment = |number: u64, what: StepKind, at_us: u64| {
        let update = step(at_us, &format!("update {number}"), what, Some("\"Departed\""));
        Step {
            field: format!("/segments/[segmentId=S{number}]/status"),
            sidecar: if number == 2 { "pod-b" } else { "pod-a" }.to_owned(),
            trace_id: format!("{number:032x}"),
            lost: number != 3,
            ..update
        }
    };
    let read = |number: u64, value: &str| Step {
        caller: "read 1".to_owned(),
        what: StepKind::Read,
        value: Some(value.to_owned()),
        sidecar: "pod-a".to_owned(),
        trace_id: format!("{:032x}", 4),
        lost: false,
        ..segment(number, StepKind::Read, 215_400)
    };
    let steps = vec![
        segment(1, StepKind::Sent, 0),
        segment(2, StepKind::Sent, 612),
        segment(3, StepKind::Sent, 1_240),
        segment(1, StepKind::Acknowledged, 11_874),
        segment(2, StepKind::Acknowledged, 12_430),
        segment(3, StepKind::Acknowledged, 13_105),
        read(1, "\"Scheduled\""),
        read(2, "\"Scheduled\""),
        read(3, "\"Departed\""),
    ];
    Timeline { steps, truncated: false }
}

#[test]
fn what_is_left_out_is_what_came_first() {
    let late = step(9, "b", StepKind::Sent, None);
    let timeline = Timeline {
        steps: vec![late.clone(), step(1, "a", StepKind::Sent, None)],
        truncated: false,
    };

    let whole = timeline.clone().bounded(2);
    let cut = timeline.bounded(1);

    assert_eq!((whole.steps[0].at_us, whole.truncated), (1, false));
    assert_eq!((cut.steps, cut.truncated), (vec![late], true));
}

#[test]
fn an_update_is_lost_once_and_a_read_is_no_update() {
    assert_eq!(three_updates_losing_two().losses(), (2, 3));
    assert_eq!(Timeline::default().losses(), (0, 0));
}

#[test]
fn what_is_redacted_is_not_in_the_json() {
    let timeline =
        Timeline { steps: vec![step(1, "a", StepKind::Sent, None)], ..Timeline::default() };

    let json = serde_json::to_value(&timeline).unwrap();

    assert_eq!(json["steps"][0].get("value"), None);
    assert_eq!(json["steps"][0]["what"], "sent");
    assert_eq!(serde_json::from_value::<Timeline>(json).unwrap(), timeline);
}
