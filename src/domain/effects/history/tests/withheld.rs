//! When a conclusion is withheld.

use super::*;

/// Concludes a read of `[5, 0]` between these ticks.
fn conclusions(history: &mut History, begun: u64, ended: u64) -> Vec<Conclusion> {
    let told = conclude(history, read_of(&[5, 0], alone(begun), alone(ended)), &open(begun));
    told.into_iter().map(|concluded| concluded.conclusion).collect()
}

/// Which of the updates were verified.
fn verified(history: &mut History, begun: u64, ended: u64) -> Vec<bool> {
    let told = conclusions(history, begun, ended).into_iter();
    told.map(|conclusion| conclusion == Conclusion::Verified).collect()
}

/// A history that knows what was there before.
fn with_baseline() -> History {
    let mut history = History::default();
    history.extend([Entry::Read(read_of(&[0, 0], alone(1), alone(2)))]);
    history
}

#[test]
fn an_entry_that_was_sent_twice_counts_once() {
    let mut history = with_baseline();
    let twice = Entry::Update(update(1, 0, 5, alone(10), alone(20)));
    history.extend([twice.clone(), twice]);

    assert_eq!(verified(&mut history, 30, 31), [true]);
}

#[test]
fn an_update_that_ended_while_the_entity_was_read_waits_for_the_next_read() {
    let mut history = with_baseline();
    history.extend([Entry::Update(update(1, 0, 5, alone(10), alone(30)))]);

    assert!(verified(&mut history, 25, 35).is_empty());
    assert_eq!(verified(&mut history, 40, 41), [true]);
}

#[test]
fn what_was_sent_in_a_gap_is_concluded_and_not_verified() {
    let mut history = History::default();
    history.extend([Entry::Gap(15), Entry::Update(update(1, 0, 5, alone(10), alone(20)))]);

    assert_eq!(conclusions(&mut history, 30, 31), [Conclusion::Gap]);
}

#[test]
fn an_update_that_could_not_have_been_told_to_be_lost_is_not_verified() {
    // What was looked at first came too late.
    let mut late = History::default();
    late.extend([
        Entry::Update(update(1, 0, 5, alone(10), alone(20))),
        Entry::Read(read_of(&[5, 0], alone(21), alone(22))),
    ]);
    let mut beside = History::default();
    beside.extend([
        Entry::Update(update(1, 0, 5, alone(10), alone(20))),
        Entry::Read(read_of(&[0, 0], alone(15), alone(25))),
    ]);
    let mut after_another = History::default();
    after_another.extend([
        Entry::Update(update(1, 0, 3, alone(1), alone(2))),
        Entry::Update(update(2, 0, 5, alone(10), alone(20))),
    ]);

    assert_eq!(conclusions(&mut late, 30, 31), [Conclusion::NoBaseline]);
    assert_eq!(conclusions(&mut beside, 30, 31), [Conclusion::Verified]);
    let (no, yes) = (Conclusion::NoBaseline, Conclusion::Verified);
    assert_eq!(conclusions(&mut after_another, 30, 31), [no, yes]);
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

/// They begin before the first update, and end after it was concluded upon.
#[test]
fn first_looks_that_take_long_push_no_baseline_out() {
    let mut history = History::default();
    let first = update(1, 0, 7, alone(100), alone(110));
    history.extend([Entry::Update(first)]);
    conclude(&mut history, read_of(&[7, 0, 0], alone(200), alone(210)), &open(190));
    assert_eq!(history.updates, [], "it is settled");

    let looks = (50..50 + MAX_READS as u64).map(|at| read_of(&[0; 3], alone(at), alone(at + 350)));
    let rejected = Update { ending: Ending::Rejected, ..update(2, 0, 9, alone(500), alone(510)) };
    history.extend(looks.map(Entry::Read).chain([Entry::Update(rejected)]));

    assert_eq!(history.check(&read_of(&[7, 0, 0], alone(600), alone(610))), []);
}

/// A call that was given up may write for longer than reads are kept.
#[test]
fn what_only_an_early_read_saw_is_an_older_value_when_it_comes_back() {
    let mut history = History::default();
    let looked = read_of(&[3, 0, 0], alone(1), alone(2));
    let given_up =
        Update { ending: Ending::Unknown, settles: 1_000, ..update(1, 1, 9, alone(10), alone(20)) };
    let replaces = update(2, 0, 7, alone(30), alone(40));
    history.extend([Entry::Read(looked), Entry::Update(given_up), Entry::Update(replaces)]);
    for read in 0..2 * MAX_READS as u64 {
        let at = 50 + 10 * read;
        conclude(&mut history, read_of(&[7, 0, 0], alone(at), alone(at + 1)), &open(at));
    }

    let findings = history.check(&read_of(&[3, 9, 0], alone(900), alone(901)));

    let lost = (findings[0].field.as_str(), findings[0].said, findings[0].updates.len());
    assert_eq!((lost, findings.len()), (("/fields/0", Said::Lost, 1), 1));
}
