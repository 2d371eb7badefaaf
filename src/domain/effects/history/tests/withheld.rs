//! When a conclusion is withheld.

use super::*;

/// Concludes a read of `[5, 0]` between these ticks; gives which updates were verified.
fn verified(history: &mut History, begun: u64, ended: u64) -> Vec<bool> {
    let told = conclude(history, read_of(&[5, 0], alone(begun), alone(ended)), &open(begun));
    told.into_iter().map(|concluded| concluded.verified).collect()
}

#[test]
fn an_entry_that_was_sent_twice_counts_once() {
    let mut history = History::default();
    let twice = Entry::Update(update(1, 0, 5, alone(10), alone(20)));
    history.extend([twice.clone(), twice]);

    assert_eq!(verified(&mut history, 30, 31), [true]);
}

#[test]
fn an_update_that_ended_while_the_entity_was_read_waits_for_the_next_read() {
    let mut history = History::default();
    history.extend([Entry::Update(update(1, 0, 5, alone(10), alone(30)))]);

    assert!(verified(&mut history, 25, 35).is_empty());
    assert_eq!(verified(&mut history, 40, 41), [true]);
}

#[test]
fn what_was_sent_in_a_gap_is_concluded_and_not_verified() {
    let mut history = History::default();
    history.extend([Entry::Gap(15), Entry::Update(update(1, 0, 5, alone(10), alone(20)))]);

    assert_eq!(verified(&mut history, 30, 31), [false]);
}

#[test]
fn a_gap_lasts_until_a_read_from_after_it() {
    let mut history = History::default();
    history.extend([Entry::Gap(50)]);

    verified(&mut history, 30, 31);
    assert_eq!(history.gap, 50);
    verified(&mut history, 60, 61);
    assert_eq!(history.gap, 0);
}
