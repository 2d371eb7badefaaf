//! Without the store, without an answer, without a disk; and back.

use super::*;

#[test]
fn flags_are_never_loaded_then_live_then_stale_then_live() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().start(&server);
        assert_eq!(copy.freshness(), Freshness::NeverLoaded);

        copy.connected().await;
        copy.beat(&server);
        eventually("they are live", || copy.freshness() == Freshness::Live).await;
        assert!(copy.metric("interlock_flags_last_success_timestamp_seconds") > 0.0);

        copy.miss_a_beat();
        eventually("they are stale", || copy.freshness() == Freshness::Stale).await;
        assert_eq!(copy.metric("interlock_freshness{state=\"stale\"}"), 1.0);

        copy.beat(&server);
        eventually("they are live again", || copy.freshness() == Freshness::Live).await;
    });
}

#[test]
fn a_store_that_comes_back_is_read_before_its_flags_are_live() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::without_push().ready(&server).await;
        copy.miss_a_beat();
        eventually("they are stale", || copy.freshness() == Freshness::Stale).await;
        // As after a failover to another server that has counted as far.
        let other = document(&server).replace("\"version\":1", "\"version\":2");
        server.cli(&["HSET", &keys().flags(), FLAG, &other]);

        copy.beat(&server);

        eventually("they are live again", || copy.freshness() == Freshness::Live).await;
        assert_eq!(copy.state().version, 2);
    });
}

#[test]
fn a_restart_without_the_store_goes_on_where_it_was() {
    on_store_thread(async {
        let dir = TempDir::new();
        let mut server = TestServer::redis();
        let copy = Setup::remembering_in(&dir).ready(&server).await;
        copy.set("25").await.unwrap();
        copy.end().await;
        server.kill();

        let setup = Setup { seeds: vec![seed(FLAG, "90")], ..Setup::remembering_in(&dir) };
        let copy = setup.start(&server);
        assert!(matches!(copy.set("50").await, Err(StoreChangeError::StoreUnreachable(_))));
        assert_eq!((copy.percent().as_str(), copy.freshness()), ("25%", Freshness::Stale));
        assert_eq!(copy.history(), [2]);

        // With nothing in it.
        server.restart();
        copy.connected().await;
        copy.beat(&server);
        eventually("it is written back", || document(&server).contains("\"percent\":25.0")).await;
        eventually("they are live", || copy.freshness() == Freshness::Live).await;
        assert_eq!(copy.set("50").await.unwrap().after.version, 3);
    });
}

#[test]
fn a_start_value_that_the_fleet_agreed_on_survives_a_restart_without_the_store() {
    on_store_thread(async {
        let dir = TempDir::new();
        let server = TestServer::redis();
        let first = Setup::starting_at("5").ready(&server).await;
        Setup::remembering_in(&dir).ready(&server).await.end().await;

        let absent = TestServer::redis();
        let setup = Setup { seeds: vec![seed(FLAG, "90")], ..Setup::remembering_in(&dir) };
        let copy = setup.start(&absent);

        assert_eq!((copy.percent(), copy.freshness()), (first.percent(), Freshness::Stale));
    });
}

#[test]
fn without_the_store_nothing_can_be_changed_not_even_by_a_kill() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        copy.set("25").await.unwrap();
        server.kill();
        let mut status = copy.remote.status();
        drop(status.wait_for(|status| status.connected.is_none()).await.unwrap());
        copy.miss_a_beat();

        for change in [Change::Percent(percent("50")), Change::Kill] {
            let outcome = copy.make(change).await;

            assert!(matches!(outcome, Err(StoreChangeError::StoreUnreachable(_))), "{outcome:?}");
        }
        assert_eq!((copy.percent().as_str(), copy.state().killed), ("25%", false));

        server.restart();
        copy.connected().await;
        assert!(copy.make(Change::Kill).await.unwrap().after.killed);
    });
}

#[test]
fn a_change_without_an_answer_may_have_been_made_and_a_later_read_tells() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        server.stop();

        let outcome = copy.set("25").await;

        assert!(matches!(outcome, Err(StoreChangeError::OutcomeUnknown)), "{outcome:?}");
        assert_eq!(copy.percent(), "0%");
        server.cont();
        copy.connected().await;
        copy.beat(&server);
        eventually("it is known", || copy.freshness() == Freshness::Live).await;
        let made = document(&server).contains("\"percent\":25.0");
        eventually("it is as in the store", || (copy.percent() == "25%") == made).await;
    });
}

#[test]
fn a_disk_that_refuses_stops_no_change() {
    on_store_thread(async {
        let dir = TempDir::new();
        let server = TestServer::redis();
        let copy = Setup::remembering_in(&dir).ready(&server).await;
        let other = Setup::default().ready(&server).await;
        eventually("the file is there", || dir.file().exists()).await;
        // A directory in the way of the temporary file stands for a disk that refuses.
        std::fs::create_dir(dir.in_the_way()).unwrap();

        other.set("25").await.unwrap();

        eventually("it is in force", || copy.percent() == "25%").await;
        eventually("it is counted", || copy.rejected("io") == 1.0).await;
        assert_eq!(copy.metric("interlock_snapshot_refused"), 1.0);
        copy.set("50").await.unwrap();

        std::fs::remove_dir(dir.in_the_way()).unwrap();
        copy.set("75").await.unwrap();
        let telemetry = copy.telemetry.clone();
        copy.end().await;
        let counted = telemetry.render();
        assert!(counted.contains("interlock_flags_rejected_total{reason=\"io\"} 1\n"), "told once");
        assert!(counted.contains("interlock_snapshot_refused 0\n"), "it is over");
        let (reopened, _) = FlagStore::of_fleet(&[seed(FLAG, "0")], Some(dir.file())).unwrap();
        assert_eq!(reopened.flag(FLAG).unwrap().1.percent, percent("75"));
    });
}
