//! How far everybody has come.

use super::*;

over_every_store! {
    everybody_hears_how_far_all_others_are
    whoever_leaves_is_not_waited_for
    who_was_silent_for_long_is_not_waited_for
    who_is_in_the_register_and_has_said_nothing_has_come_nowhere
    a_mark_beyond_the_stores_clock_is_none
    a_mark_that_can_not_be_read_is_one_at_the_beginning
}

async fn tell(sidecar: &Sidecar, mark: u64) {
    sidecar.exchange(Exchange { mark, ..Exchange::default() }).await;
}

fn said(marks: &[(&str, u64)]) -> Vec<(String, u64)> {
    marks.iter().map(|(id, until)| ((*id).to_owned(), *until)).collect()
}

async fn everybody_hears_how_far_all_others_are(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    let third = Sidecar::at(store, "third").await;
    assert_eq!(one.marks().await, []);

    tell(&other, 7).await;
    tell(&third, 1_790_000_000_000_001).await;

    assert_eq!(one.marks().await, said(&[("other", 7), ("third", 1_790_000_000_000_001)]));
    let told = third.exchange(Exchange::default()).await;
    let written = |id: &str| told.marks.iter().find(|mark| mark.sidecar == id).unwrap().written;
    assert!(written("other") < written("one") && written("one") < told.store_now);
}

async fn whoever_leaves_is_not_waited_for(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    tell(&other, 7).await;
    assert_eq!(one.marks().await, said(&[("other", 7)]));

    other.journal.leave().await;

    assert_eq!(one.marks().await, []);
}

async fn who_was_silent_for_long_is_not_waited_for(store: &impl Store) {
    let one = Sidecar::at(store, "one").await;
    let now = one.exchange(Exchange::default()).await.store_now;
    let marks = store.marks();
    let heard = |seconds: u64| format!("7:{}:1", now - seconds * 1_000_000);
    store.cli(&["HSET", &marks, "lately", &heard(50), "silent", &heard(61), "gone", &heard(601)]);

    assert_eq!(one.marks().await, said(&[("lately", 7)]));

    let last_heard = one.exchange(Exchange::default()).await.last_heard;
    assert_eq!(last_heard, Some(now - 61 * 1_000_000), "what it had under way nobody will tell");
    assert_eq!(store.cli(&["HKEYS", &marks]), "one\nlately\nsilent", "in the end it is forgotten");
}

async fn who_is_in_the_register_and_has_said_nothing_has_come_nowhere(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    tell(&other, 7).await;
    let now_ms = one.exchange(Exchange::default()).await.store_now / 1000;
    let register = Keys::new("interlock").sidecars();
    let heard = |ago: i64| format!("{} {{}}", now_ms.saturating_add_signed(-ago * 1000));
    for (id, ago) in [("one", 0), ("other", 0), ("new", 1), ("crashed", 61), ("ahead", -61)] {
        store.cli(&["HSET", &register, id, &heard(ago)]);
    }
    store.cli(&["HSET", &register, "strange", "x"]);

    assert_eq!(one.marks().await, said(&[("new", 0), ("other", 7)]));

    store.cli(&["SET", &register, "no register"]);
    assert_eq!(one.marks().await, said(&[("other", 7)]));
}

async fn a_mark_beyond_the_stores_clock_is_none(store: &impl Store) {
    let (one, other) = (Sidecar::at(store, "one").await, Sidecar::at(store, "other").await);
    let now = one.exchange(Exchange::default()).await.store_now;

    for beyond in [now + 60_000_000, u64::MAX] {
        tell(&other, beyond).await;

        assert_eq!(one.marks().await, said(&[("other", 0)]));
        let stands = store.cli(&["HGET", &store.marks(), "other"]);
        assert!(!stands.ends_with(":0"), "its commands are told by their numbers all the same");
    }
}

async fn a_mark_that_can_not_be_read_is_one_at_the_beginning(store: &impl Store) {
    let one = Sidecar::at(store, "one").await;
    let now = one.exchange(Exchange::default()).await.store_now;
    let marks = store.marks();
    let beyond = now + 3_600_000_000;
    let strange = ["", "x", "1", "7:8", "7:x:1", &format!("7:{beyond}:1"), &format!("{now}:7:1")];
    for text in strange {
        store.cli(&["HSET", &marks, "strange", text]);

        assert_eq!(one.marks().await, said(&[("strange", 0)]), "{text}");
        // From here on it ages.
        let stands = store.cli(&["HGET", &marks, "strange"]);
        let written: u64 = stands.split(':').nth(1).unwrap().parse().unwrap();
        assert!((now..now + 20_000_000).contains(&written), "{text}");
    }
}
