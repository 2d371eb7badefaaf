//! When the store goes, and when it comes back.

use super::*;
use crate::remote::testing::{Proxy, TestServer};

#[test]
fn a_server_that_crashed_and_came_back_is_another_one() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let mut store = Store::connected(server.config()).await;
        let before = store.until_connected().await;

        server.kill();
        store.until_gone().await;
        server.restart();
        let after = store.until_connected().await;

        assert!(after.generation > before.generation);
        assert_ne!(after.identity, before.identity);
        let late = store.ask_at(Lane::Lease, &["INCR", "n"], Some(before.generation)).await;
        assert!(matches!(late, Err(CallError::NotExecuted(Cause::Reconnected))), "{late:?}");
        let in_time = store.ask_at(Lane::Lease, &["INCR", "n"], Some(after.generation)).await;
        assert_eq!(in_time.unwrap(), Value::Int(1));
    });
}

#[test]
fn calls_on_a_server_that_stands_still_end_in_time_and_then_at_once() {
    on_store_thread(async {
        let server = TestServer::redis();
        let mut store = Store::connected(server.config()).await;
        let limit = server.config().timeout;

        server.stop();
        let began = clock::now();
        let first = store.ask(Lane::Lease, &["INCR", "n"]).await;
        let took = clock::now() - began;
        store.until_gone().await;
        let noticed = clock::now() - began;
        let then = clock::now();
        let second = store.ask(Lane::Lease, &["INCR", "n"]).await;
        let second_took = clock::now() - then;
        server.cont();
        store.until_connected().await;

        assert!(matches!(first, Err(CallError::Unknown(Cause::Timeout))), "{first:?}");
        assert!(took >= limit && took < limit * 3 / 2, "{took:?}");
        assert!(noticed < limit * 5, "{noticed:?}");
        assert!(matches!(second, Err(CallError::NotExecuted(Cause::Disconnected))), "{second:?}");
        assert!(second_took < limit / 2, "{second_took:?}");
    });
}

#[test]
fn a_connection_that_moves_nothing_any_more_is_made_anew_though_nobody_calls() {
    on_store_thread(async {
        let server = TestServer::redis();
        let proxy = Proxy::to(&[server.port()]).await;
        let mut store = Store::connected(config(proxy.port())).await;
        let before = store.until_connected().await;

        proxy.freeze();
        let began = clock::now();
        let another = |status: &Status| {
            status.connected.as_ref().is_some_and(|it| it.generation >= before.generation + 3)
        };
        let after = store.until(another).await.connected.unwrap();
        let took = clock::now() - began;

        // A second without a command, then three without an answer, then a connection.
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!(after.identity, before.identity);
    });
}

#[test]
fn a_call_that_gets_no_answer_makes_the_server_be_asked_at_once() {
    on_store_thread(async {
        let server = TestServer::redis();
        let proxy = Proxy::to(&[server.port()]).await;
        let mut store = Store::connected(config(proxy.port())).await;

        let limit = server.config().timeout;
        proxy.freeze();
        let began = clock::now();
        let lost = store.ask(Lane::Lease, &["INCR", "n"]).await;
        store.until_gone().await;
        let took = clock::now() - began;

        assert!(matches!(lost, Err(CallError::Unknown(Cause::Timeout))), "{lost:?}");
        assert!(took < limit * 4, "{took:?}");
    });
}

#[test]
fn a_call_in_flight_on_a_connection_that_breaks_may_have_been_executed() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let store = Store::connected(server.config()).await;

        server.stop();
        let call = store.ask(Lane::Lease, &["INCR", "n"]);
        let kill = async {
            tokio::task::yield_now().await;
            server.kill();
        };
        let (result, ()) = tokio::join!(call, kill);

        assert!(matches!(result, Err(CallError::Unknown(Cause::Redis(_)))), "{result:?}");
        let next = store.ask(Lane::Lease, &["INCR", "n"]).await;
        assert!(matches!(next, Err(CallError::NotExecuted(Cause::Disconnected))), "{next:?}");
    });
}

#[test]
fn a_master_that_was_demoted_is_left_and_its_replica_not_taken() {
    on_store_thread(async {
        let server = TestServer::redis();
        let mut store = Store::connected(server.config()).await;

        server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
        let refused = store.ask(Lane::Control, &["SET", "k", "v"]).await;
        store.until_gone().await;
        let meanwhile = store.ask(Lane::Control, &["SET", "k", "v"]).await;
        let again = Connector::new(server.config()).connect(&Place::Master, None).await;
        server.cli(&["REPLICAOF", "NO", "ONE"]);
        store.until_connected().await;

        assert!(matches!(refused, Err(CallError::NotExecuted(Cause::Redis(_)))), "{refused:?}");
        assert!(matches!(meanwhile, Err(CallError::NotExecuted(Cause::Disconnected))));
        assert!(matches!(again, Err(Failure::NotMaster { .. })), "{:?}", again.err());
        store.ask(Lane::Control, &["SET", "k", "v"]).await.unwrap();
    });
}

#[test]
fn a_server_that_answers_too_late_is_not_connected_to() {
    on_store_thread(async {
        let server = TestServer::redis();
        let proxy = Proxy::to(&[server.port()]).await;
        let config = RedisConfig { timeout: Duration::from_millis(50), ..config(proxy.port()) };
        proxy.delay(config.timeout * 2);
        let connector = Connector::new(config);

        let late = connector.connect(&Place::Master, None).await.err().unwrap();
        proxy.delay(Duration::ZERO);
        let in_time = connector.connect(&Place::Master, None).await;

        assert!(matches!(late, Failure::Lame { .. }), "{late}");
        assert!(in_time.is_ok(), "{:?}", in_time.err());
    });
}

#[test]
fn connections_to_two_servers_are_not_one_store() {
    on_store_thread(async {
        let (old, new) = (TestServer::redis(), TestServer::redis());
        let proxy = Proxy::to(&[old.port(), new.port()]).await;
        let mut store = Store::open(config(proxy.port()));

        let connected = store.until_connected().await;

        assert!(new.cli(&["INFO", "server"]).contains(&connected.identity), "{connected:?}");
        store.ask(Lane::Control, &["SET", "k", "v"]).await.unwrap();
        assert_eq!(store.ask(Lane::Lease, &["GET", "k"]).await.unwrap(), text("v"));
        assert_eq!(store.ask(Lane::Documents, &["GET", "k"]).await.unwrap(), text("v"));
    });
}

#[test]
fn what_a_server_pushes_that_serves_no_more_is_not_listened_to() {
    on_store_thread(async {
        let (old, new) = (TestServer::redis(), TestServer::redis());
        let proxy = Proxy::to(&[old.port(), old.port(), old.port(), old.port(), new.port()]).await;
        let mut store = Store::connected(config(proxy.port())).await;
        assert_eq!(store.next_push().await, Pushed::Subscribed);

        old.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        assert_eq!(store.next_push().await, Pushed::Subscribed);
        new.cli(&["PUBLISH", "news", "flag"]);

        let message = Pushed::Message { channel: "news".to_owned(), payload: b"flag".to_vec() };
        assert_eq!(store.next_push().await, message);
        assert!(!old.cli(&["CLIENT", "LIST"]).contains("name=interlock"));
    });
}

#[test]
fn the_breaker_shows_whether_the_store_is_there() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let mut store = Store::connected(server.config()).await;
        assert_eq!(store.metric(r#"interlock_store_breaker{state="closed"}"#), "1");
        assert_eq!(store.metric("interlock_store_up"), "1");

        server.kill();
        store.until_gone().await;
        tokio::task::yield_now().await;

        assert_eq!(store.metric(r#"interlock_store_breaker{state="closed"}"#), "0");
        assert_eq!(store.metric("interlock_store_up"), "0");
        drop(store.ask(Lane::Lease, &["GET", "k"]).await);
        let failed = r#"interlock_store_operations_total{operation="beat",result="error"}"#;
        assert_eq!(store.metric(failed), "1");
    });
}
