//! A store that goes away, comes back as another one, or has something else where journals are.

use futures_util::FutureExt;

use super::*;
use crate::remote::CallError;

/// What the documented user could before there were journals.
const OLD_RIGHTS: &str = "ACL SETUSER old on >pw ~{interlock}:* +ping +info +client|setname +eval +evalsha +time +type +get +set +del +pexpire +pttl +hset +hget +hgetall +hdel +hkeys +rpush +lindex +lpop";

fn append(key: &JournalKey, entry: Entry) -> Exchange {
    Exchange { appends: vec![(key.clone(), vec![entry])], ..Exchange::default() }
}

async fn until_gone(remote: &Remote) {
    let mut status = remote.status();
    let gone = status.wait_for(|status| status.connected.is_none());
    drop(timeout(PATIENCE, gone).await.unwrap().unwrap());
}

#[test]
fn a_store_that_is_gone_is_not_waited_for_and_one_that_is_back_is_another() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.append(&key("a"), vec![update(1)]).await;
        let before = sidecar.store.borrow().clone();

        server.kill();
        until_gone(&sidecar.remote).await;
        let began = clock::now();
        let gone = sidecar.try_exchange(append(&key("a"), update(2))).await;
        assert!(matches!(gone, Err(JournalError::StoreGone)), "{gone:?}");
        assert!(clock::now() - began < STORE_TIMEOUT);
        sidecar.journal.leave().await;

        server.restart();
        until_connected(&sidecar.remote).await;
        let other = sidecar.try_exchange(append(&key("a"), update(2))).await;
        let Err(JournalError::OtherStore(told)) = other else { panic!("{other:?}") };
        assert_ne!(told.identity, before);
        assert!(told.store_now > 0 && told.asked <= told.answered);
        assert_eq!(server.keys("{interlock}:journal:"), Vec::<String>::new(), "nothing was done");

        sidecar.store.replace(told.identity);
        sidecar.append(&key("a"), vec![update(2)]).await;
        assert_eq!(numbers_of(&sidecar.claim(&key("a")).await.unwrap().entries), [2]);
    });
}

#[test]
fn a_question_needs_no_store_that_is_known() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;

        let asked = Exchange { claims: vec![key("a")], ..Exchange::default() };
        assert!(sidecar.journal.exchange(asked).await.is_ok());

        let marked = Exchange { mark: 7, ..Exchange::default() };
        let refused = sidecar.journal.exchange(marked).await;
        assert!(matches!(refused, Err(JournalError::OtherStore(_))), "{refused:?}");
    });
}

#[test]
fn journals_of_another_store_are_not_read() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.append(&key("a"), vec![update(1)]).await;

        // As they would be found after a failover to a replica, or a restart with persistence.
        for key in [server.journal(), server.marks()] {
            let (front, back) = key.split_at(key.find(":journal").unwrap());
            let (kind, rest) = back[1..].split_once(':').unwrap();
            let elsewhere = format!("{front}:{kind}:0123456789abcdef{}", &rest[16..]);
            assert_eq!(server.cli(&["RENAME", &key, &elsewhere]), "OK");
        }

        assert_eq!(sidecar.claim(&key("a")).await.unwrap().entries, []);
    });
}

#[test]
fn a_store_that_was_emptied_says_so() {
    on_store_thread(async {
        let server = TestServer::redis();
        let epoch = Keys::new("interlock").epoch();
        server.cli(&["SET", &epoch, "0123 abcd 1790000000000"]);
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.append(&key("a"), vec![update(1)]).await;
        let before = sidecar.store.borrow().clone();
        assert!(before.ends_with(" 0123 abcd 1790000000000"), "{before}");

        server.cli(&["FLUSHALL"]);
        let emptied = sidecar.exchange(append(&key("a"), update(2))).await;
        assert_ne!(emptied.identity, before);

        server.cli(&["DEL", &epoch]);
        server.cli(&["RPUSH", &epoch, "strange"]);
        let strange = sidecar.exchange(Exchange::default()).await;
        assert_eq!(strange.identity, emptied.identity, "what is none is as if there were none");
    });
}

#[test]
fn what_was_sent_to_a_store_that_stood_still_is_there_once() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.append(&key("a"), vec![update(1)]).await;
        let claimed = sidecar.claim(&key("a")).await.unwrap();

        server.stop();
        let exchange = |more: u64| Exchange {
            settled: vec![settled(&key("a"), &claimed, vec![read("Boarding")])],
            appends: vec![(key("a"), updates(2..more)), (key("b"), updates(7..8))],
            ..Exchange::default()
        };
        let unknown = sidecar.try_exchange(exchange(3)).await;
        assert!(matches!(unknown, Err(JournalError::Failed(CallError::Unknown(_)))), "{unknown:?}");
        server.cont();
        until_connected(&sidecar.remote).await;
        // It comes again with what is new since, as often as it takes.
        let mut tries = 0;
        let exchanged = loop {
            match sidecar.try_exchange(exchange(5)).await {
                Ok(exchanged) => break exchanged,
                Err(error) => assert!(tries < 100, "{error}"),
            }
            tries += 1;
        };

        assert_eq!(exchanged.settled, [true]);
        let after = sidecar.claim(&key("a")).await.unwrap();
        assert_eq!(after.entries[0], read("Boarding"));
        assert_eq!(numbers_of(&after.entries[1..]), [2, 3, 4]);
        assert_eq!(numbers_of(&sidecar.claim(&key("b")).await.unwrap().entries), [7]);
    });
}

#[test]
fn an_exchange_that_was_given_up_is_finished_before_the_next() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.hear().await;
        let first = append(&key("a"), update(1));
        let store = sidecar.store.borrow().clone();
        {
            let given_up = sidecar.journal.exchange(Exchange { store, ..first.clone() });
            tokio::pin!(given_up);
            // Polled once: it is on its way.
            assert!(given_up.as_mut().now_or_never().is_none());
        }

        sidecar.exchange(append(&key("a"), update(2))).await;
        assert_eq!(numbers_of(&sidecar.claim(&key("a")).await.unwrap().entries), [1, 2]);
        sidecar.exchange(first.clone()).await;
        assert_eq!(
            sidecar.claim(&key("a")).await.unwrap().count,
            2,
            "whoever brings it is told now"
        );
        sidecar.exchange(first).await;
        assert_eq!(sidecar.claim(&key("a")).await.unwrap().count, 3, "and this is another time");
    });
}

#[test]
fn what_failed_at_another_store_is_not_brought_to_this_one() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.hear().await;
        server.kill();
        until_gone(&sidecar.remote).await;
        assert!(sidecar.try_exchange(append(&key("a"), update(1))).await.is_err());
        server.restart();
        until_connected(&sidecar.remote).await;

        // Even by a question, which is of no store.
        let other = sidecar.try_exchange(Exchange::default()).await;
        let Err(JournalError::OtherStore(told)) = other else { panic!("{other:?}") };
        sidecar.store.replace(told.identity);
        sidecar.exchange(append(&key("a"), update(1))).await;

        assert_eq!(numbers_of(&sidecar.claim(&key("a")).await.unwrap().entries), [1]);
    });
}

#[test]
fn what_stands_in_a_journals_place_makes_way_and_is_told() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.append(&key("a"), vec![update(1)]).await;
        sidecar.claim(&key("a")).await.unwrap();
        for key in [server.journal(), server.claim(), server.marks()] {
            server.cli(&["DEL", &key]);
            assert_eq!(server.cli(&["SADD", &key, "strange"]), "1");
        }

        let claimed = sidecar.claim(&key("a")).await.unwrap();

        assert_eq!((claimed.count, claimed.overflowed), (1, true));
        assert!(sidecar.settle(&key("a"), &claimed, Vec::new()).await);
        assert!(!sidecar.claim(&key("a")).await.unwrap().overflowed);
        server.cli(&["DEL", &server.marks()]);
        server.cli(&["SADD", &server.key("{interlock}:journal-claim:"), "x"]);
        sidecar.journal.leave().await;
    });
}

#[test]
fn a_full_store_refuses_and_keeps_what_it_has() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.append(&key("a"), vec![update(1)]).await;
        server.cli(&["CONFIG", "SET", "maxmemory", "1"]);

        let refused = sidecar.try_exchange(append(&key("a"), update(2))).await;
        let Err(JournalError::Failed(error)) = &refused else { panic!("{refused:?}") };
        assert!(error.is_refusal(), "{error}");
        sidecar.journal.leave().await;

        server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(server.keys("{interlock}:journal-marks:"), Vec::<String>::new(), "it has left");
        assert_eq!(numbers_of(&sidecar.claim(&key("a")).await.unwrap().entries), [1, 2]);
    });
}

#[test]
fn what_is_refused_again_and_again_is_told_to_be_lost() {
    on_store_thread(async {
        let server = TestServer::redis();
        let sidecar = Sidecar::at(&server, "one").await;
        sidecar.append(&key("a"), vec![update(1)]).await;
        server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        for _ in 0..20 {
            assert!(sidecar.try_exchange(append(&key("a"), update(2))).await.is_err());
        }
        server.cli(&["CONFIG", "SET", "maxmemory", "0"]);

        // It was among those that failed.
        let exchange = Exchange { appends: vec![(key("a"), updates(2..4))], ..Exchange::default() };
        sidecar.exchange(exchange).await;

        let claimed = sidecar.claim(&key("a")).await.unwrap();
        assert_eq!(numbers_of(&claimed.entries), [1, 3]);
        assert!(claimed.overflowed);
    });
}

#[test]
fn without_the_rights_nothing_grows_without_bound() {
    on_store_thread(async {
        let server = TestServer::redis();
        server.cli(&OLD_RIGHTS.split(' ').collect::<Vec<_>>());
        let mut config = server.config();
        config.url.username = Some("old".to_owned());
        let config = crate::remote::testing::with_password(config, "pw");
        let sidecar = Sidecar::with(config, "one").await;
        sidecar.hear().await;

        let refused = sidecar.try_exchange(append(&key("a"), update(1))).await;

        let Err(JournalError::Failed(error)) = &refused else { panic!("{refused:?}") };
        assert!(error.is_refusal(), "{error}");
        assert_eq!(server.keys("{interlock}:journal:"), Vec::<String>::new());
    });
}

#[test]
fn the_stores_thread_goes_on_when_nobody_asks_any_more() {
    on_store_thread(async {
        let server = TestServer::redis();
        let Sidecar { journal, clerk, .. } = Sidecar::at(&server, "one").await;

        drop(journal);
        tokio::task::yield_now().await;

        assert!(!clerk.is_finished());
    });
}

#[test]
fn who_asks_a_thread_that_has_ended_is_told() {
    on_store_thread(async {
        let (journal, requests) = FleetJournal::new();
        drop(requests);

        let gone = journal.exchange(Exchange::default()).await;

        assert!(matches!(gone, Err(JournalError::StoreGone)), "{gone:?}");
        journal.leave().await;
    });
}
