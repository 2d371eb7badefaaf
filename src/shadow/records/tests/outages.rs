//! When the store goes, refuses, or does not say what became of a record.

use super::*;
use crate::shadow::records::BESIDE_STORE;

#[test]
fn while_the_store_is_gone_memory_answers_and_what_waits_is_written_when_it_is_back() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let sidecar = Sidecar::new(&server);
        sidecar.add("before");
        sidecar.until_written(1).await;

        server.kill();
        sidecar.until(false).await;
        sidecar.add("meanwhile");
        let gone = sidecar.list().await;
        let provisional = gone.divergences[0].id;
        assert_eq!((entities(&gone), gone.from), (vec!["meanwhile", "before"], Source::Memory));
        let found = sidecar.records.find(provisional).await;
        assert_eq!(
            (found.record.unwrap().divergence, found.from),
            (of("meanwhile"), Source::Memory)
        );
        assert_eq!(counted(&sidecar.telemetry), (1, 0), "it waits");

        // It comes back with nothing in it.
        server.restart();
        sidecar.until_written(2).await;
        let back = sidecar.list().await;
        assert_eq!((entities(&back), back.from), (vec!["meanwhile"], Source::Store));
        assert_ne!(back.divergences[0].id, provisional);
        let found = sidecar.records.find(provisional).await.record.unwrap();
        assert_eq!(found.id, back.divergences[0].id, "it is found by both");
        assert_eq!(counted(&sidecar.telemetry), (2, 0));
    });
}

#[test]
fn of_what_waits_the_last_ones_are_kept_and_the_others_counted() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let sidecar = Sidecar::new(&server);
        sidecar.until(true).await;
        server.kill();
        sidecar.until(false).await;

        let many = BESIDE_STORE as u32 + 50;
        sidecar.add_all(0..many);
        assert_eq!(counted(&sidecar.telemetry), (0, 50));
        server.restart();
        sidecar.until_written(BESIDE_STORE as u64).await;

        let page = sidecar.list().await;
        assert_eq!(page.divergences.len(), BESIDE_STORE);
        assert_eq!(entities(&page)[BESIDE_STORE - 1], "50");
        assert_eq!(counted(&sidecar.telemetry), (BESIDE_STORE as u64, 50));
    });
}

fn writes_once_without_an_answer(server: &TestServer) {
    on_store_thread(async {
        let sidecar = Sidecar::new(server);
        sidecar.add("a");
        sidecar.until_written(1).await;

        // What is sent now is executed later, and its answer comes too late.
        server.stop();
        sidecar.add("b");
        sidecar.until(false).await;
        let gone = sidecar.list().await;
        assert_eq!((entities(&gone), gone.from), (vec!["b", "a"], Source::Memory));
        sidecar.add("c");
        server.cont();
        sidecar.until_written(3).await;

        assert_eq!(entities(&sidecar.list().await), ["c", "b", "a"]);
        assert_eq!(server.cli(&["XLEN", KEY]), "3");
    });
}

#[test]
fn a_record_whose_writing_was_not_answered_is_written_once_on_redis() {
    writes_once_without_an_answer(&TestServer::redis());
}

#[test]
fn a_record_whose_writing_was_not_answered_is_written_once_on_valkey() {
    writes_once_without_an_answer(&TestServer::valkey());
}

#[test]
fn a_batch_that_is_sent_twice_is_written_once() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::new(&server);
        sidecar.until(true).await;
        let shelf =
            shelf::Shelf::new((*sidecar.remote).clone(), &Keys::new("interlock"), "w", 10, 60_000);
        let item = Arc::new(Item::of(FlagIndex(0), of("a")).unwrap());
        let batch = Batch { first: 7, items: vec![Arc::clone(&item), item] };

        let first = shelf.add(&batch).await.unwrap();
        let again = shelf.add(&batch).await.unwrap();
        let next = shelf.add(&Batch { first: 9, ..batch }).await.unwrap();

        assert_eq!(first, again);
        assert!(next[0] > first[1]);
        assert_eq!(server.cli(&["XLEN", KEY]), "4");
    });
}

#[test]
fn what_stands_in_the_way_is_not_written_over_and_records_wait() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::new(&server);
        server.cli(&["SET", KEY, "something else"]);
        sidecar.until(true).await;

        sidecar.add("a");
        let refused =
            r#"interlock_store_operations_total{operation="divergence_add",result="ok"} "#;
        eventually("it was tried", async || {
            let page = sidecar.telemetry.render();
            page.lines().any(|line| line.starts_with(refused) && !line.ends_with(" 0"))
        })
        .await;
        let meanwhile = sidecar.list().await;
        assert_eq!((entities(&meanwhile), meanwhile.from), (vec!["a"], Source::Memory));
        assert_eq!(server.cli(&["GET", KEY]), "something else");

        server.cli(&["DEL", KEY]);
        sidecar.until_written(1).await;
        assert_eq!(sidecar.list().await.from, Source::Store);
    });
}

#[test]
fn what_waits_at_the_end_is_written_and_the_end_waits_for_no_store() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let writes = Sidecar::new(&server);
        writes.until(true).await;
        writes.add_all(0..100);
        drop(writes.end);
        timeout(PATIENCE, writes.ran).await.expect("it does not end").unwrap();
        assert_eq!(server.cli(&["XLEN", KEY]), "100");

        let waits = Sidecar::new(&server);
        waits.until(true).await;
        server.kill();
        waits.until(false).await;
        waits.add("a");
        sleep(Duration::from_millis(20)).await;
        drop(waits.end);
        timeout(Duration::from_secs(1), waits.ran).await.expect("it waits").unwrap();
    });
}
