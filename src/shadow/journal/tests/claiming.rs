//! Who checks an entity, and what becomes of its journal.

use super::*;
use crate::shadow::journal::command::{Command, Numbers};

over_every_store! {
    an_entity_is_checked_by_one_sidecar_at_a_time
    a_claim_that_is_made_again_lasts_longer_and_shows_what_is_new
    a_claim_that_ran_out_goes_to_another
    whoever_lost_a_claim_settles_nothing
    what_is_kept_stands_for_what_was_taken
    a_command_that_comes_again_does_nothing_again
    what_was_settled_stays_so_for_whoever_asks_again_when_another_one_has_it
    a_claim_that_would_last_for_ever_is_cut
    a_claim_that_nobody_made_holds_nobody_up
}

async fn an_entity_is_checked_by_one_sidecar_at_a_time(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    let claimed = one.claim(&key("a")).await.unwrap();

    assert_eq!(other.claim(&key("a")).await, None);
    assert!(other.claim(&key("b")).await.is_some(), "another entity is free");

    assert!(one.settle(&key("a"), &claimed, Vec::new()).await);
    assert!(other.claim(&key("a")).await.is_some());
}

async fn a_claim_that_is_made_again_lasts_longer_and_shows_what_is_new(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    let first = one.claim(&key("a")).await.unwrap();
    let left = || store.cli(&["PTTL", &store.claim()]).parse::<i64>().unwrap();
    assert!((10_000..=15_000).contains(&left()));

    store.cli(&["PEXPIRE", &store.claim(), "5000"]);
    other.append(&key("a"), vec![update(1)]).await;
    let again = one.claim(&key("a")).await.unwrap();

    assert!((10_000..=15_000).contains(&left()));
    assert!(again.ticket.is_of_the_claim_of(first.ticket));
    assert_eq!(numbers_of(&again.entries), [1]);
    // Either answer may be settled by.
    assert!(one.settle(&key("a"), &first, Vec::new()).await);
    assert_eq!(numbers_of(&one.claim(&key("a")).await.unwrap().entries), [1]);
}

async fn a_claim_that_ran_out_goes_to_another(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    one.claim(&key("a")).await.unwrap();

    store.cli(&["PEXPIRE", &store.claim(), "1"]);
    let deadline = clock::now() + PATIENCE;
    while !store.keys("{interlock}:journal-claim:").is_empty() {
        assert!(clock::now() < deadline, "it never ran out");
    }

    assert!(other.claim(&key("a")).await.is_some());
    assert_eq!(one.claim(&key("a")).await, None);
}

async fn whoever_lost_a_claim_settles_nothing(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    one.append(&key("a"), updates(1..4)).await;
    let lost = one.claim(&key("a")).await.unwrap();
    store.cli(&["DEL", &store.claim()]);

    assert!(!one.settle(&key("a"), &lost, Vec::new()).await, "nobody has it");
    let claimed = other.claim(&key("a")).await.unwrap();
    assert!(!one.settle(&key("a"), &lost, Vec::new()).await, "another has it");
    assert!(other.settle(&key("a"), &claimed, claimed.entries.clone()).await);
    let mine = one.claim(&key("a")).await.unwrap();
    assert!(!one.settle(&key("a"), &lost, Vec::new()).await, "it has another one itself");

    assert!(!mine.ticket.is_of_the_claim_of(lost.ticket));
    assert_eq!(numbers_of(&one.claim(&key("a")).await.unwrap().entries), [1, 2, 3]);
}

async fn what_is_kept_stands_for_what_was_taken(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    one.append(&key("a"), updates(1..4)).await;
    let claimed = one.claim(&key("a")).await.unwrap();
    other.append(&key("a"), vec![update(4)]).await;

    // What is appended with it comes after it.
    let settled = vec![settled(&key("a"), &claimed, vec![update(3)])];
    let appends = vec![(key("a"), vec![update(5)])];
    one.exchange(Exchange { settled, appends, ..Exchange::default() }).await;

    assert_eq!(numbers_of(&other.claim(&key("a")).await.unwrap().entries), [4, 3, 5]);
}

async fn a_command_that_comes_again_does_nothing_again(store: &impl Store) {
    let (_, requests) = FleetJournal::new();
    let (remote, _) = connected(store.config()).await;
    let clerk = clerk(&remote, "one", requests);
    let other = Sidecar::at(store, "other").await;
    other.append(&key("a"), updates(1..3)).await;
    let told = other.store.borrow().clone();
    let mut numbers = Numbers::from(0);
    let mut write = |exchange: &Exchange| {
        let [command] = Command::all_of(exchange, &mut numbers).try_into().unwrap();
        command
    };
    let run = async |command: &Command| {
        let reply = clerk.exchange(command).await.unwrap();
        answer::Answer::read(reply.value, command.settled, command.claimed).unwrap()
    };
    let claims = Exchange { claims: vec![key("a")], store: told, ..Exchange::default() };
    let claimed = run(&write(&claims)).await.claimed[0].clone().unwrap();
    // It settles and appends, and claims anew.
    let settles = Exchange {
        settled: vec![settled(&key("a"), &claimed, Vec::new())],
        appends: vec![(key("a"), vec![update(3)])],
        mark: 100,
        ..claims
    };
    let (first, later) = (write(&settles), write(&Exchange { mark: 200, ..settles }));

    let answer = run(&first).await;
    assert_eq!((answer.settled, answer.claimed[0].is_some()), (vec![true], true));
    let answer = run(&first).await;
    assert_eq!((answer.settled, &answer.claimed[0]), (vec![true], &None), "it was, by the first");
    let answer = run(&later).await;
    assert_eq!(answer.settled, [true], "the same in another command");
    assert!(answer.claimed[0].as_ref().unwrap().ticket.number == 2);
    let answer = run(&first).await;
    assert_eq!(answer.settled, [true], "though it claimed anew");

    assert_eq!(other.marks().await, [("one".to_owned(), 200)], "a late one takes nothing back");
    store.cli(&["DEL", &store.claim()]);
    let left = other.claim(&key("a")).await.unwrap();
    assert_eq!(numbers_of(&left.entries), [3, 3], "as it stood in two that are different");
}

async fn what_was_settled_stays_so_for_whoever_asks_again_when_another_one_has_it(
    store: &impl Store,
) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    one.append(&key("a"), updates(1..3)).await;
    let claimed = one.claim(&key("a")).await.unwrap();
    let settled = vec![settled(&key("a"), &claimed, Vec::new())];
    let settles = || Exchange { settled: settled.clone(), ..Exchange::default() };
    assert_eq!(one.exchange(settles()).await.settled, [true]);

    let theirs = other.claim(&key("a")).await.unwrap();
    assert_eq!(one.exchange(settles()).await.settled, [true], "while it is claimed");
    let kept = vec![super::settled(&key("a"), &theirs, Vec::new())];
    other.exchange(Exchange { settled: kept, ..Exchange::default() }).await;
    assert_eq!(one.exchange(settles()).await.settled, [true], "after it was settled again");

    let mine = one.claim(&key("a")).await.unwrap();
    assert_eq!(one.exchange(settles()).await.settled, [true], "under a claim of its own");
    let late = vec![super::settled(&key("a"), &mine, Vec::new())];
    store.cli(&["DEL", &store.claim()]);
    other.claim(&key("a")).await.unwrap();
    let late = Exchange { settled: late, ..Exchange::default() };
    assert_eq!(one.exchange(late).await.settled, [false], "a claim that has run out");
}

async fn a_claim_that_would_last_for_ever_is_cut(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    one.claim(&key("a")).await.unwrap();
    let left = || store.cli(&["PTTL", &store.claim()]).parse::<i64>().unwrap();
    // As after the store's clock was set back.
    store.cli(&["PEXPIRE", &store.claim(), "3600000"]);

    assert_eq!(other.claim(&key("a")).await, None);
    assert!((10_000..=15_000).contains(&left()));

    store.cli(&["PERSIST", &store.claim()]);
    assert_eq!(other.claim(&key("a")).await, None);
    assert!((10_000..=15_000).contains(&left()));
}

async fn a_claim_that_nobody_made_holds_nobody_up(store: &impl Store) {
    let one = Sidecar::at(store, "one").await;
    one.claim(&key("a")).await.unwrap();
    let claim = store.claim();
    for nonsense in ["", "x", "x 1", "x 1 y 2", "other 7 0"] {
        store.cli(&["SET", &claim, nonsense]);

        assert!(one.claim(&key("a")).await.is_some(), "{nonsense}");
    }
}
