//! While the store is there.

use super::*;
use crate::remote::testing::TestServer;

const INCREMENT: Script = Script {
    operation: StoreOperation::LeaseAcquire,
    text: "return redis.call('incrby', KEYS[1], ARGV[1])",
};

const STOPS: Script =
    Script { operation: StoreOperation::LeaseKeep, text: "return redis.call('incr', KEYS[1])" };

#[test]
fn a_command_is_answered_on_every_lane_and_counted() {
    on_store_thread(async {
        let server = TestServer::redis();
        let store = Store::connected(server.config()).await;

        store.ask(Lane::Control, &["SET", "k", "v"]).await.unwrap();
        for lane in [Lane::Lease, Lane::Documents] {
            assert_eq!(store.ask(lane, &["GET", "k"]).await.unwrap(), text("v"));
        }

        let counted =
            store.metric(r#"interlock_store_operations_total{operation="beat",result="ok"}"#);
        assert_eq!(counted, "3");
    });
}

#[test]
fn valkey_serves_as_well() {
    on_store_thread(async {
        let server = TestServer::valkey();
        let mut store = Store::connected(server.config()).await;

        store.ask(Lane::Control, &["SET", "k", "v"]).await.unwrap();

        assert_eq!(store.ask(Lane::Lease, &["GET", "k"]).await.unwrap(), text("v"));
        assert_eq!(store.next_push().await, Pushed::Subscribed);
    });
}

#[test]
fn a_script_runs_though_the_server_has_forgotten_it() {
    on_store_thread(async {
        let server = TestServer::redis();
        let store = Store::connected(server.config()).await;
        let run = async || store.remote.run(Lane::Lease, &INCREMENT, &["n"], &[b"2"], None).await;

        let first = run().await.unwrap();
        server.cli(&["SCRIPT", "FLUSH"]);
        let second = run().await.unwrap();

        assert_eq!((first, second), (Value::Int(2), Value::Int(4)));
        assert!(server.cli(&["INFO", "commandstats"]).contains("cmdstat_evalsha:calls=2"));
    });
}

#[test]
fn a_script_that_stops_was_not_executed() {
    on_store_thread(async {
        let server = TestServer::redis();
        let store = Store::connected(server.config()).await;
        store.ask(Lane::Lease, &["LPUSH", "list", "a"]).await.unwrap();

        let stopped = store.remote.run(Lane::Lease, &STOPS, &["list"], &[], None).await;

        assert!(matches!(stopped, Err(CallError::NotExecuted(Cause::Redis(_)))), "{stopped:?}");
    });
}

#[test]
fn what_is_published_is_pushed_after_the_subscription_is_told() {
    on_store_thread(async {
        let server = TestServer::redis();
        let mut store = Store::connected(server.config()).await;

        assert_eq!(store.next_push().await, Pushed::Subscribed);
        store.until(|status| status.push).await;
        store.ask(Lane::Control, &["PUBLISH", "news", "flag"]).await.unwrap();

        let message = Pushed::Message { channel: "news".to_owned(), payload: b"flag".to_vec() };
        assert_eq!(store.next_push().await, message);
        assert_eq!(store.metric("interlock_store_push"), "1");
    });
}

#[test]
fn the_last_clone_takes_the_connections_with_it() {
    on_store_thread(async {
        let server = TestServer::redis();
        let store = Store::connected(server.config()).await;
        let mut status = store.remote.status();

        drop(store);

        timeout(PATIENCE, async { while status.changed().await.is_ok() {} }).await.unwrap();
        let names = server.cli(&["CLIENT", "LIST"]);
        assert!(!names.contains("name=interlock"), "{names}");
    });
}
