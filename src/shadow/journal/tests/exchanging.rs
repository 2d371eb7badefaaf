//! What is appended, and how it is found again.

use super::*;

over_every_store! {
    what_one_sidecar_appends_another_reads_in_order
    journals_of_different_names_are_different
    all_that_there_is_at_one_time_is_one_command
    a_journal_that_nobody_adds_to_is_forgotten
    the_stores_clock_is_told_in_microseconds
    what_no_sidecar_wrote_is_counted_and_hides_nothing
    an_answer_has_room_for_so_much
}

async fn what_one_sidecar_appends_another_reads_in_order(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    let journey = key("journey:1");

    one.append(&journey, vec![update(1), read("Boarding")]).await;
    other.append(&journey, vec![update(2)]).await;

    let claimed = other.claim(&journey).await.unwrap();
    assert_eq!(claimed.entries, [update(1), read("Boarding"), update(2)]);
    assert_eq!((claimed.count, claimed.overflowed), (3, false));
}

async fn journals_of_different_names_are_different(store: &impl Store) {
    let long = "x".repeat(crate::domain::entity::MAX_ENTITY_BYTES);
    let names = ["", "a", "}", "{", "{a}", "}{b}", "a/b", "b:a", "ä \n\0", long.as_str()];
    let flag =
        |flag: &str, entity: &str| JournalKey { flag: flag.to_owned(), entity: entity.to_owned() };
    let all: Vec<JournalKey> =
        names.iter().flat_map(|name| [flag("a", name), flag("a.b", name)]).collect();
    let sidecar = Sidecar::at(store, "one").await;

    let appends = all.iter().zip(0..).map(|(key, number)| (key.clone(), vec![update(number)]));
    let exchange =
        Exchange { appends: appends.collect(), claims: all.clone(), ..Exchange::default() };
    let exchanged = sidecar.exchange(exchange).await;

    for (claimed, number) in exchanged.claimed.into_iter().zip(0..) {
        assert_eq!(claimed.unwrap().entries, [update(number)]);
    }
}

async fn all_that_there_is_at_one_time_is_one_command(store: &impl Store) {
    let sidecar = Sidecar::at(store, "one").await;
    let all: Vec<JournalKey> = (0..64).map(|number| key(&format!("journey:{number}"))).collect();
    let first = sidecar.exchange(Exchange { claims: all.clone(), ..Exchange::default() }).await;
    let before = sidecar.commands();

    let settled = all
        .iter()
        .zip(&first.claimed)
        .map(|(key, claimed)| settled(key, claimed.as_ref().unwrap(), vec![read("Boarding")]));
    let appends = all.iter().map(|key| (key.clone(), updates(0..8)));
    let exchange = Exchange {
        settled: settled.collect(),
        appends: appends.collect(),
        claims: all.clone(),
        mark: 1,
        ..Exchange::default()
    };
    let exchanged = sidecar.exchange(exchange).await;

    assert_eq!(sidecar.commands() - before, 1.0);
    assert_eq!(exchanged.settled, [true; 64]);
    assert!(exchanged.claimed.iter().all(|claimed| claimed.as_ref().unwrap().count == 9));
}

async fn a_journal_that_nobody_adds_to_is_forgotten(store: &impl Store) {
    let sidecar = Sidecar::at(store, "one").await;
    sidecar.append(&key("a"), vec![update(1)]).await;
    let left = |key: &str| store.cli(&["PTTL", key]).parse::<i64>().unwrap();
    let soon = 590_000..=600_000;
    assert!(soon.contains(&left(&store.journal())));
    assert!(soon.contains(&left(&store.marks())));

    store.cli(&["PEXPIRE", &store.journal(), "10000"]);
    sidecar.append(&key("a"), vec![update(2)]).await;

    assert!(soon.contains(&left(&store.journal())), "whoever adds to it begins anew");
}

async fn the_stores_clock_is_told_in_microseconds(store: &impl Store) {
    let sidecar = Sidecar::at(store, "one").await;
    let mut parts = std::collections::BTreeSet::new();

    for _ in 0..20 {
        let before = clock::wall_ms();
        let exchanged = sidecar.exchange(Exchange::default()).await;
        let after = clock::wall_ms();

        assert!((before..=after).contains(&(exchanged.store_now / 1000)));
        assert!(exchanged.asked <= exchanged.answered);
        parts.insert(exchanged.store_now % 1000);
    }

    assert!(parts.len() > 5, "{parts:?}");
}

async fn what_no_sidecar_wrote_is_counted_and_hides_nothing(store: &impl Store) {
    let sidecar = Sidecar::at(store, "one").await;
    sidecar.append(&key("a"), vec![update(1)]).await;
    for nonsense in ["", "{}", "null", "[1]", "overflow!", "{\"update\":{}}", "\\xff"] {
        store.cli(&["RPUSH", &store.journal(), nonsense]);
    }
    sidecar.append(&key("a"), vec![update(2)]).await;

    let claimed = sidecar.claim(&key("a")).await.unwrap();

    assert_eq!(numbers_of(&claimed.entries), [1, 2]);
    assert_eq!((claimed.count, claimed.overflowed), (9, false));
    assert!(sidecar.settle(&key("a"), &claimed, Vec::new()).await);
    assert_eq!(store.keys("{interlock}:journal:"), Vec::<String>::new(), "it goes as well");
}

async fn an_answer_has_room_for_so_much(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    let all: Vec<JournalKey> = (0..4).map(|number| key(&format!("journey:{number}"))).collect();
    for key in &all {
        one.append(key, updates(0..400)).await;
    }

    let claims = || Exchange { claims: all.clone(), ..Exchange::default() };
    let exchanged = one.exchange(claims()).await;

    let given = exchanged.claimed.iter().take_while(|claimed| claimed.is_some()).count();
    assert!((1..all.len()).contains(&given), "{given}");
    assert!(exchanged.claimed[given..].iter().all(Option::is_none));
    let left = other.exchange(claims()).await.claimed;
    assert!(left[..given].iter().all(Option::is_none), "those are claimed");
    assert!(left[given].is_some(), "and those are not");
}
