//! A Redis Cluster.

use super::*;
use crate::remote::testing::TestServer;

/// `foo` is in slot 12182, of the third node; `bar` in slot 5061, of the first.
const FOO_SLOT: u16 = 12_182;

#[test]
fn a_command_goes_to_the_node_that_has_its_key() {
    on_store_thread(async {
        let mut cluster = TestServer::cluster();
        let mut store = Store::connected(cluster.config()).await;
        let connected = store.until_connected().await;

        for lane in [Lane::Control, Lane::Lease, Lane::Documents] {
            store.ask(lane, &["SET", "foo", "v"]).await.unwrap();
            store.ask(lane, &["SET", "bar", "v"]).await.unwrap();
        }

        assert!(connected.cluster);
        assert_eq!(connected.identity.split(',').count(), 3);
        assert_eq!(cluster.node(0).cli(&["DBSIZE"]), "1");
        assert_eq!(cluster.node(2).cli(&["DBSIZE"]), "1");
        assert_eq!(store.next_push().await, Pushed::Subscribed);
        cluster.node(1).cli(&["PUBLISH", "news", "flag"]);
        let message = Pushed::Message { channel: "news".to_owned(), payload: b"flag".to_vec() };
        assert_eq!(store.next_push().await, message);
    });
}

#[test]
fn a_slot_that_moved_is_followed_at_once() {
    on_store_thread(async {
        let mut cluster = TestServer::cluster();
        let store = Store::connected(cluster.config()).await;

        cluster.hand_over(FOO_SLOT, 2, 0);
        store.ask(Lane::Lease, &["SET", "foo", "v"]).await.unwrap();

        assert_eq!(cluster.node(0).cli(&["GET", "foo"]), "v");
    });
}

#[test]
fn a_slot_on_its_way_is_asked_for_where_it_goes() {
    on_store_thread(async {
        let mut cluster = TestServer::cluster();
        let store = Store::connected(cluster.config()).await;

        cluster.begin_to_move(FOO_SLOT, 2, 0);
        store.ask(Lane::Lease, &["SET", "foo", "v"]).await.unwrap();

        assert_eq!(cluster.node(2).cli(&["DBSIZE"]), "0");
        assert_eq!(cluster.node(0).cli(&["DBSIZE"]), "1");
    });
}

#[test]
fn without_one_of_its_masters_a_cluster_is_gone() {
    on_store_thread(async {
        let mut cluster = TestServer::cluster();
        let mut store = Store::connected(cluster.config()).await;
        let before = store.until_connected().await;

        cluster.node(0).kill();
        store.until_gone().await;
        let elsewhere = store.ask(Lane::Lease, &["GET", "bar"]).await;
        cluster.node(0).restart();
        cluster.until_ok();
        let after = store.until_connected().await;

        assert!(matches!(elsewhere, Err(CallError::NotExecuted(Cause::Disconnected))));
        assert!(after.generation > before.generation);
        assert_ne!(after.identity, before.identity);
        store.ask(Lane::Lease, &["SET", "bar", "v"]).await.unwrap();
    });
}

#[test]
fn a_cluster_that_does_not_serve_every_key_is_gone() {
    on_store_thread(async {
        let mut cluster = TestServer::cluster();
        let mut store = Store::connected(cluster.config()).await;

        for node in 0..3 {
            cluster.node(node).cli(&["CLUSTER", "DELSLOTS", "0"]);
        }
        let refused = store.ask(Lane::Lease, &["GET", "foo"]).await;
        store.until_gone().await;
        cluster.node(0).cli(&["CLUSTER", "ADDSLOTS", "0"]);
        cluster.until_ok();
        store.until_connected().await;

        assert!(matches!(refused, Err(CallError::NotExecuted(Cause::Redis(_)))), "{refused:?}");
        store.ask(Lane::Lease, &["GET", "foo"]).await.unwrap();
    });
}
