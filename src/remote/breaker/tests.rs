//! The breaker's parts, one by one.

#![cfg(test)]

use proptest::prelude::*;

use super::*;
use crate::clock;

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_first_attempt_is_made_at_once_and_the_next_ones_ever_later() {
    let mut backoff = Backoff::default();

    let pauses: Vec<_> = (0..7).map(|_| backoff.pause(1.0).as_millis()).collect();

    assert_eq!(pauses, [0, 50, 100, 200, 400, 500, 500]);
}

#[test]
fn after_a_connection_that_served_the_first_attempt_is_made_at_once() {
    let mut backoff = Backoff::default();
    let _first = backoff.pause(1.0);

    backoff.served(SETTLED_AFTER);

    assert_eq!(backoff.pause(1.0), Duration::ZERO);
}

#[test]
fn a_connection_that_ends_at_once_is_no_reason_to_hurry() {
    let mut backoff = Backoff::default();
    let _first = backoff.pause(1.0);

    backoff.served(SETTLED_AFTER - MS);

    assert_eq!(backoff.pause(1.0), FIRST_PAUSE);
}

proptest! {
    #[test]
    fn no_pause_is_shorter_than_half_or_longer_than_the_longest(attempts in 1_usize..200, random in 0.0..=1.0_f64) {
        let mut backoff = Backoff::default();
        let mut pause = Duration::ZERO;
        for _ in 0..=attempts {
            pause = backoff.pause(random);
        }

        prop_assert!(pause >= FIRST_PAUSE / 2);
        prop_assert!(pause <= LONGEST_PAUSE);
    }
}

#[test]
fn three_silent_commands_in_a_row_are_the_end() {
    let start = clock::now();
    let mut silence = Silence::default();

    assert!(!silence.timed_out(start, start + MS * 50));
    assert!(!silence.timed_out(start + MS * 50, start + MS * 100));
    assert!(silence.timed_out(start + MS * 100, start + MS * 150));
}

#[test]
fn commands_that_waited_at_the_same_time_count_as_one() {
    let start = clock::now();
    let mut silence = Silence::default();

    for sent in 0..40 {
        let sent = start + MS * sent;

        assert!(!silence.timed_out(sent, sent + MS * 50), "{sent:?}");
    }
}

#[test]
fn any_answer_begins_the_count_anew() {
    let start = clock::now();
    let mut silence = Silence::default();
    for round in 0..2 {
        silence.timed_out(start + MS * 50 * round, start + MS * 50 * (round + 1));
    }
    assert!(silence.is_suspicious());

    silence.answered();

    assert!(!silence.is_suspicious());
    assert!(!silence.timed_out(start + MS * 200, start + MS * 250));
}

#[test]
fn an_outage_is_told_once_and_so_is_its_end() {
    let mut outage = Outage::new();

    assert_eq!(outage.connected(), Some(Tell::Changed(Breaker::Closed)));
    assert_eq!(outage.connected(), None);
    assert_eq!(outage.tried(), None);
    assert_eq!(outage.failed("broken"), [Some(Tell::Changed(Breaker::Open)), None]);
    assert_eq!(outage.tried(), Some(Tell::Moved(Breaker::HalfOpen)));
    assert_eq!(outage.failed("broken"), [Some(Tell::Moved(Breaker::Open)), None]);
    assert_eq!(outage.connected(), Some(Tell::Changed(Breaker::Closed)));
    assert_eq!(outage.failed("broken"), [Some(Tell::Changed(Breaker::Open)), None]);
}

#[test]
fn another_reason_in_the_same_outage_is_told_once_as_well() {
    let mut outage = Outage::new();
    let moved = Some(Tell::Moved(Breaker::Open));

    assert_eq!(outage.failed("refused"), [Some(Tell::Changed(Breaker::Open)), None]);
    assert_eq!(outage.failed("password"), [moved, Some(Tell::Reason)]);
    assert_eq!(outage.failed("password"), [moved, None]);
    assert_eq!(outage.failed("refused"), [moved, None]);
}
