//! Other ways to find the store, and to be let in.

use std::fs;

use super::*;
use crate::remote::testing::{TestSentinel, TestServer};

#[test]
fn the_master_that_the_sentinels_choose_is_followed() {
    on_store_thread(async {
        let mut fleet = TestSentinel::start();
        let mut store = Store::connected(fleet.config()).await;
        let before = store.until_connected().await;

        fleet.master.kill();
        store.until_gone().await;
        let after = store.until_connected().await;

        assert!(fleet.replica.cli(&["INFO", "server"]).contains(&after.identity), "{after:?}");
        assert_ne!(after.identity, before.identity);
        assert!(after.generation > before.generation);
        store.ask(Lane::Lease, &["SET", "k", "v"]).await.unwrap();
    });
}

#[test]
fn a_service_that_the_sentinel_does_not_know_is_named() {
    on_store_thread(async {
        let fleet = TestSentinel::start();
        let mut config = fleet.config();
        config.url.mode = StoreMode::Sentinel { service: "nowhere".to_owned() };

        let failure = Connector::new(config).connect(&Place::Master, None).await.err().unwrap();

        assert!(failure.to_string().contains("knows no service \"nowhere\""), "{failure}");
    });
}

#[test]
fn a_password_that_was_changed_is_read_again() {
    on_store_thread(async {
        let server = TestServer::redis_with(&["--requirepass", "first-secret"]);
        let folder = Folder::new();
        let file = folder.write("password", "first-secret\n");
        let config = RedisConfig { password_file: Some(file.clone()), ..server.config() };
        let mut store = Store::connected(config.clone()).await;

        let admin = |words: &[&str]| server.cli(&[&["-a", "first-secret"], words].concat());
        admin(&["CONFIG", "SET", "requirepass", "second-secret"]);
        server.cli(&["-a", "second-secret", "CLIENT", "KILL", "TYPE", "normal"]);
        store.until_gone().await;
        let refused = Connector::new(config).connect(&Place::Master, None).await.err().unwrap();
        fs::write(&file, "second-secret\n").unwrap();
        store.until_connected().await;

        let text = format!("{refused} {refused:?}");
        assert!(text.contains("WRONGPASS"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    });
}

#[test]
fn a_user_that_may_not_listen_is_served_without_push() {
    on_store_thread(async {
        let server = TestServer::redis();
        server.cli(&["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "resetchannels"]);
        let mut config = with_password(server.config(), "pw");
        config.url.username = Some("app".to_owned());

        let mut store = Store::connected(config).await;
        store.until(|status| status.connected.is_some()).await;

        store.ask(Lane::Control, &["SET", "k", "v"]).await.unwrap();
        while !server.cli(&["ACL", "LOG"]).contains("channel") {
            tokio::task::yield_now().await;
        }
        assert!(!store.status.borrow().push);
        assert!(store.pushed.try_recv().is_err());
    });
}

#[test]
fn tls_is_spoken_to_a_server_that_is_trusted() {
    on_store_thread(async {
        let (server, certificate) = TestServer::tls();
        let mut config = server.config();
        config.url.tls = true;
        config.ca_file = Some(certificate);

        let store = Store::connected(config.clone()).await;
        store.ask(Lane::Lease, &["SET", "k", "v"]).await.unwrap();
        config.ca_file = None;
        let distrusted = Connector::new(config).connect(&Place::Master, None).await.err().unwrap();

        assert!(matches!(distrusted, Failure::Tls { .. }), "{distrusted}");
    });
}

#[test]
fn a_file_without_a_certificate_is_named_with_its_key() {
    on_store_thread(async {
        let server = TestServer::redis();
        let folder = Folder::new();
        let mut config = server.config();
        config.url.tls = true;

        for text in ["", "-----BEGIN CERTIFICATE-----\nAA"] {
            config.ca_file = Some(folder.write("ca.pem", text));
            let failure = Connector::new(config.clone()).connect(&Place::Master, None).await;

            let failure = failure.err().unwrap().to_string();
            assert!(failure.contains("store.ca_file"), "{failure}");
        }
    });
}
