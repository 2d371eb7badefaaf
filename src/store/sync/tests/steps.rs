//! All copies come to the same state, whoever changes it.

use super::*;
use crate::domain::flag::Path;

#[test]
fn a_change_through_one_sidecar_is_pushed_to_the_others() {
    on_store_thread(async {
        let server = TestServer::redis();
        let one = Setup::default().ready(&server).await;
        let other = Setup::default().ready(&server).await;

        let applied = one.set("25").await.unwrap();

        assert_eq!((applied.before.version, applied.after.version), (1, 2));
        assert_eq!(one.percent(), "25%");
        eventually("the other has it", || other.percent() == "25%").await;
        assert_eq!(one.state(), other.state());
        for copy in [&one, &other] {
            assert_eq!(*copy.heard.borrow(), [(FLAG.to_owned(), 1, 2)]);
            eventually("its history is there", || copy.history() == [2]).await;
        }
    });
}

#[test]
fn without_push_the_next_beat_brings_a_change() {
    on_store_thread(async {
        let server = TestServer::redis();
        let one = Setup::without_push().ready(&server).await;
        let other = Setup::without_push().ready(&server).await;
        one.set("25").await.unwrap();
        assert_eq!(other.percent(), "0%");

        other.beat(&server);

        eventually("the other has it", || other.percent() == "25%").await;
        let revision = server.cli(&["GET", &keys().revision()]).parse().ok();
        eventually("it says so", || *other.flags.applied().borrow() == revision).await;
    });
}

#[test]
fn of_the_same_change_through_two_sidecars_at_once_one_is_made() {
    on_store_thread(async {
        let server = TestServer::redis();
        let one = Setup::without_push().ready(&server).await;
        let other = Setup::without_push().ready(&server).await;

        let (first, second) = tokio::join!(one.set("25"), other.set("25"));

        let outcomes = [first, second];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        let conflict = |outcome: &Result<_, _>| {
            matches!(outcome, Err(StoreChangeError::VersionConflict { current: 2 }))
        };
        assert!(outcomes.iter().any(conflict), "{outcomes:?}");
        assert_eq!((one.state().version, other.state().version), (2, 2), "the loser has read it");
    });
}

#[test]
fn a_kill_is_not_refused_because_another_was_faster() {
    on_store_thread(async {
        let server = TestServer::redis();
        let one = Setup::without_push().ready(&server).await;
        let other = Setup::without_push().ready(&server).await;
        one.set("25").await.unwrap();

        let killed = other.make(Change::Kill).await.unwrap();

        assert!(killed.after.killed);
        assert_eq!(other.percent(), "25%", "the change before it is kept");
    });
}

#[test]
fn a_change_for_a_version_that_is_past_is_not_made() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        copy.set("25").await.unwrap();
        let author = Author { by: "ann".into(), reason: "fire".into(), at_ms: 7 };

        let stale = copy.flags.change(FLAG, Some(1), Change::Kill, author).await;

        assert!(matches!(stale, Err(StoreChangeError::VersionConflict { current: 2 })));
        assert!(!document(&server).contains("\"killed\":true"));
    });
}

#[test]
fn the_start_value_that_comes_first_to_the_store_counts_for_all() {
    on_store_thread(async {
        let server = TestServer::redis();
        let first = Setup::starting_at("5").ready(&server).await;
        let second = Setup::starting_at("50").ready(&server).await;

        assert_eq!((first.percent(), second.percent()), ("5%".to_owned(), "5%".to_owned()));
        assert_eq!(first.state(), second.state());
        assert_eq!(*second.heard.borrow(), [], "nobody changed it");
        assert!(second.refused().is_empty());
    });
}

#[test]
fn a_burst_of_pushes_costs_few_reads() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        let ok = "interlock_store_operations_total{operation=\"flags_read\",result=\"ok\"}";
        let before = copy.metric(ok);
        write_by_hand(&server, &document(&server).replace("\"version\":1", "\"version\":2"));

        let burst = "for _ = 1, 200 do redis.call('PUBLISH', KEYS[1], 'a') end";
        server.cli(&["EVAL", burst, "1", &keys().changes()]);

        eventually("it is read", || copy.state().version == 2).await;
        copy.flags.refresh().await;
        let reads = copy.metric(ok) - before;
        assert!(reads <= 5.0, "{reads} reads");
    });
}

#[test]
fn a_history_is_the_fleets_and_longer_than_one_answer() {
    on_store_thread(async {
        let server = TestServer::redis();
        let one = Setup::default().ready(&server).await;
        for n in 0..150 {
            one.set(&(n % 100).to_string()).await.unwrap();
        }

        let late = Setup::default().ready(&server).await;

        let all: Vec<u64> = (2..=151).rev().collect();
        eventually("the whole history is there", || late.history() == all).await;
        assert_eq!(late.store.history(FLAG), one.store.history(FLAG));
    });
}

#[test]
fn what_no_sidecar_wrote_into_a_history_is_left_out() {
    on_store_thread(async {
        let server = TestServer::redis();
        server.cli(&["XADD", &keys().history(FLAG), "*", "entry", "garbage"]);
        server.cli(&["XADD", &keys().history(FLAG), "*", "who", "knows"]);
        let one = Setup::default().ready(&server).await;
        one.set("25").await.unwrap();

        let late = Setup::default().ready(&server).await;

        eventually("the rest is there", || late.history() == [2]).await;
    });
}

#[test]
fn valkey_speaks_the_same_dialect() {
    on_store_thread(async {
        let server = TestServer::valkey();
        let one = Setup::default().ready(&server).await;
        let other = Setup::default().ready(&server).await;

        one.set("25").await.unwrap();
        eventually("the other has it", || other.percent() == "25%").await;
        let author = Author { by: "ann".into(), reason: "fire".into(), at_ms: 7 };
        let stale = other.flags.change(FLAG, Some(1), Change::Kill, author).await;
        assert!(matches!(stale, Err(StoreChangeError::VersionConflict { current: 2 })));

        write_by_hand(&server, "garbage");
        one.flags.refresh().await;
        assert_eq!(one.refused(), ["parse"]);
        assert!(matches!(one.set("50").await, Err(StoreChangeError::Unreadable { .. })));

        server.cli(&["FLUSHALL"]);
        one.flags.refresh().await;
        let late = Setup::default().ready(&server).await;
        assert_eq!(late.state(), one.state());
        eventually("its history is there", || late.history() == [2]).await;
    });
}

#[test]
fn a_flag_that_is_not_configured_here_is_told_of_once() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        server.cli(&["HSET", &keys().flags(), "somebody-elses", "{}"]);

        copy.flags.refresh().await;
        copy.flags.refresh().await;

        assert_eq!(copy.rejected("unknown_flag"), 1.0);
        assert!(copy.refused().is_empty());
        assert_eq!(copy.freshness(), Freshness::Live);
    });
}

#[test]
fn a_flag_too_large_for_the_fleet_is_not_changed() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        // Each character of such a key takes six bytes in a document.
        let pin = |n: u32| {
            let entity = format!("{n:03}{}", "\u{1}".repeat(1000));
            Change::Pin { entity, path: Some(Path::Fixed) }
        };

        let mut outcome = copy.make(pin(0)).await;
        for n in 1..300 {
            if outcome.is_err() {
                break;
            }
            outcome = copy.make(pin(n)).await;
        }

        assert!(matches!(outcome, Err(StoreChangeError::TooLarge { .. })), "{outcome:?}");
        copy.flags.refresh().await;
        assert!(copy.refused().is_empty());
    });
}
