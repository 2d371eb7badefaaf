//! What is in the store and can't be right: in, held, told once, and out again.

use super::*;
use crate::store::Place;

/// The present document with a change, as somebody's `sed` would make it.
fn altered(server: &TestServer, from: &str, to: &str) -> String {
    let present = document(server);
    assert!(present.contains(from), "{from} in {present}");
    present.replace(from, to)
}

/// Has a document put into the store by hand, sees it refused for `reason`, and the last good state held.
async fn refused(server: &TestServer, copy: &Copy, document: &str, reason: &'static str) {
    let (before, counted) = (copy.state(), copy.rejected(reason));
    write_by_hand(server, document);

    copy.beat(server);

    eventually(reason, || copy.refused() == [reason]).await;
    copy.flags.refresh().await;
    assert_eq!(copy.rejected(reason) - counted, 1.0, "told once, however often it is read");
    assert_eq!(copy.state(), before, "{document}");
    assert_eq!(copy.freshness(), Freshness::Live);
}

#[test]
fn a_document_that_makes_no_sense_is_refused_until_it_is_removed() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        copy.set("25").await.unwrap();
        let whole = document(&server);
        let next = altered(&server, "\"version\":2", "\"version\":3");
        let cases = [
            ("garbage".to_owned(), "parse"),
            (String::new(), "parse"),
            ("{}".to_owned(), "parse"),
            (whole[..whole.len() / 2].to_owned(), "parse"),
            (next.replace("\"format\":1", "\"format\":2"), "parse"),
            (next.replace("\"killed\"", "\"surprise\""), "parse"),
            (next.replace("\"percent\":25.0", "\"percent\":200"), "range"),
            (next.replace("\"version\":3", "\"version\":0"), "range"),
            (next.replace("murmur3", "md5"), "bucketing"),
        ];
        for (document, reason) in cases {
            refused(&server, &copy, &document, reason).await;
            let detail = &copy.flags.refused()[0].detail;
            assert!(detail.starts_with("{interlock}:flags, field a, is refused"), "{detail}");

            server.cli(&["HDEL", &keys().flags(), FLAG]);

            copy.flags.refresh().await;
            assert!(copy.refused().is_empty(), "{document}");
            assert_eq!(super::document(&server), whole, "what is held was written back");
        }
    });
}

#[test]
fn a_flag_of_several_that_is_refused_is_shown_and_no_other() {
    on_store_thread(async {
        let server = TestServer::redis();
        let seeds = ["b", FLAG, "c"].map(|name| seed(name, "0")).to_vec();
        let copy = Setup { seeds, ..Setup::default() }.ready(&server).await;
        let gauge = |flag: &str| copy.metric(&format!("interlock_flag_refused{{flag=\"{flag}\"}}"));
        assert_eq!(["b", FLAG, "c"].map(gauge), [0.0, 0.0, 0.0], "from the start");

        refused(&server, &copy, "garbage", "parse").await;

        assert_eq!(["b", FLAG, "c"].map(gauge), [0.0, 1.0, 0.0]);
        server.cli(&["HDEL", &keys().flags(), FLAG]);
        copy.flags.refresh().await;
        assert_eq!(["b", FLAG, "c"].map(gauge), [0.0, 0.0, 0.0]);
    });
}

#[test]
fn a_refusal_stands_while_the_store_is_gone_and_until_it_is_read_anew() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        refused(&server, &copy, "garbage", "parse").await;

        server.kill();
        copy.miss_a_beat();
        copy.flags.refresh().await;
        assert_eq!(copy.refused(), ["parse"], "nothing says that it is cured");
        server.restart();
        copy.connected().await;
        copy.beat(&server);

        eventually("what is held was written back", || copy.refused().is_empty()).await;
    });
}

#[test]
fn a_document_over_the_bound_is_not_read() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        let pad = "redis.call('HSET', KEYS[1], 'a', redis.call('HGET', KEYS[1], 'a') .. string.rep(' ', 3145728))";
        server.cli(&["EVAL", pad, "1", &keys().flags()]);

        copy.flags.refresh().await;

        assert_eq!(copy.refused(), ["parse"]);
        assert!(matches!(copy.set("25").await, Err(StoreChangeError::Unreadable { .. })));
    });
}

#[test]
fn a_cure_by_hand_is_seen_although_no_revision_tells_of_it() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::without_push().ready(&server).await;
        refused(&server, &copy, "garbage", "parse").await;

        server.cli(&["HDEL", &keys().flags(), FLAG]);

        eventually("it is cured", || copy.refused().is_empty()).await;
    });
}

#[test]
fn a_change_does_not_write_over_what_it_cannot_read() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        let later = altered(&server, "\"version\":1", "\"version\":5");
        let whole = |key: String| Place { key, field: None };
        let field = Place { key: keys().flags(), field: Some(FLAG.into()) };
        let check = async |document: &str, place: &Place| {
            for change in [Change::Percent(percent("25")), Change::Kill] {
                let outcome = copy.make(change).await;
                let Err(StoreChangeError::Unreadable { place: found }) = outcome else {
                    panic!("{document}: {outcome:?}");
                };
                assert_eq!(found, *place, "{document}");
            }
            assert_eq!(copy.state().version, 1);
        };

        for document in ["garbage", "17", "{\"version\":\"2\"}", "{\"version\":1.5}", "[2]"] {
            write_by_hand(&server, document);
            check(document, &field).await;
            assert_eq!(super::document(&server), document, "nothing was written");
        }
        let beyond = later.replace("\"percent\":0.0", "\"percent\":200");
        write_by_hand(&server, &beyond);
        check(&beyond, &field).await;

        server.cli(&["HDEL", &keys().flags(), FLAG]);
        copy.flags.refresh().await;
        server.cli(&["SET", &keys().revision(), "many"]);
        check("revision", &whole(keys().revision())).await;
        server.cli(&["DEL", &keys().revision()]);
        server.cli(&["SET", &keys().history(FLAG), "none"]);
        check("history", &whole(keys().history(FLAG))).await;
        server.cli(&["DEL", &keys().history(FLAG)]);
        copy.set("25").await.unwrap();
    });
}

#[test]
fn a_key_of_another_type_is_refused_for_all_flags() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        server.cli(&["DEL", &keys().flags()]);
        server.cli(&["SET", &keys().flags(), "somebody's"]);

        copy.flags.refresh().await;

        let standing = copy.flags.refused();
        let detail = &standing[0].detail;
        assert!(detail.contains("no hash but a string") && detail.contains("DEL"), "{detail}");
        assert!(matches!(copy.set("25").await, Err(StoreChangeError::Unreadable { .. })));

        server.cli(&["DEL", &keys().flags()]);
        copy.flags.refresh().await;

        assert!(copy.refused().is_empty());
        copy.set("25").await.unwrap();
    });
}

#[test]
fn a_flag_whose_version_went_back_is_frozen_until_it_is_changed() {
    on_store_thread(async {
        let server = TestServer::redis();
        let one = Setup::default().ready(&server).await;
        let other = Setup::without_push().ready(&server).await;
        one.set("25").await.unwrap();
        one.set("50").await.unwrap();
        other.flags.refresh().await;
        assert_eq!(other.percent(), "50%");
        let back = altered(&server, "\"version\":3", "\"version\":2").replace("50.0", "10.0");

        refused(&server, &one, &back, "backwards").await;
        refused(&server, &other, &back, "backwards").await;
        let changed = one.set("60").await.unwrap();

        assert_eq!(changed.after.version, 4);
        other.beat(&server);
        eventually("both have it", || other.percent() == "60%").await;
        for copy in [&one, &other] {
            assert!(copy.refused().is_empty());
        }
    });
}

#[test]
fn one_version_that_means_two_things_is_frozen_until_it_is_changed() {
    on_store_thread(async {
        let server = TestServer::redis();
        let copy = Setup::default().ready(&server).await;
        copy.set("25").await.unwrap();
        let other = altered(&server, "\"percent\":25.0", "\"percent\":75.0");

        refused(&server, &copy, &other, "backwards").await;
        copy.make(Change::Kill).await.unwrap();

        assert!(copy.refused().is_empty());
        assert_eq!((copy.percent().as_str(), copy.state().version), ("25%", 3));
        assert!(document(&server).contains("\"killed\":true"));
    });
}

#[test]
fn what_was_forgotten_is_written_back_with_its_history() {
    on_store_thread(async {
        let server = TestServer::redis();
        let veteran = Setup::default().ready(&server).await;
        veteran.set("25").await.unwrap();
        veteran.set("50").await.unwrap();

        server.cli(&["FLUSHALL"]);
        veteran.beat(&server);

        eventually("it is back", || document(&server).contains("\"percent\":50.0")).await;
        veteran.flags.refresh().await;
        assert_eq!((veteran.rejected("missing"), veteran.refused().len()), (1.0, 0));
        assert_eq!(veteran.percent(), "50%");
        let late = Setup::starting_at("5").ready(&server).await;
        assert_eq!(late.state(), veteran.state());
        eventually("its history is there", || late.history() == [3, 2]).await;
    });
}

#[test]
fn a_sidecar_without_memory_that_comes_first_gives_way_to_one_that_remembers() {
    on_store_thread(async {
        let server = TestServer::redis();
        let veteran = Setup::without_push().ready(&server).await;
        veteran.set("50").await.unwrap();
        server.cli(&["FLUSHALL"]);
        let newcomer = Setup::starting_at("5").ready(&server).await;
        assert_eq!(newcomer.percent(), "5%");

        veteran.flags.refresh().await;

        eventually("the newcomer learns", || newcomer.state() == veteran.state()).await;
        assert_eq!((veteran.percent().as_str(), veteran.rejected("missing")), ("50%", 1.0));
    });
}

#[test]
fn a_flag_that_was_changed_under_another_configuration_keeps_its_state() {
    on_store_thread(async {
        let server = TestServer::redis();
        let one = Setup::default().ready(&server).await;
        one.set("25").await.unwrap();
        let elsewhere = FlagSeed { entity: "trip:{id}".into(), ..seed(FLAG, "0") };

        let other = Setup { seeds: vec![elsewhere], ..Setup::default() }.ready(&server).await;

        assert_eq!((other.percent().as_str(), other.refused().len()), ("25%", 0));
    });
}
