//! What an edit does, and what it refuses.

use super::*;
use crate::remote::testing::with_password;
use Anchor::{Element, Prefix, Suffix};

/// An anchor, the old bytes and the new ones.
type Replaced<'a> = (Anchor, &'a [u8], &'a [u8]);

#[test]
fn an_edit_replaces_its_bytes_alone_and_keeps_the_time_to_live() {
    on_each_server(async |trial| {
        trial.command(redis::cmd("SET").arg(JOURNEY).arg(DOCUMENT).arg("PX").arg(50_000)).await;
        let (old, new) = (b"\0\xff\r\n", b"\xfe\0 %1");

        let edit = trial.planned("u1", &[(Element, old, new)]).await;
        let made = trial.edit(&edit).await;

        assert_eq!(made, Edited::Applied);
        assert_eq!(trial.get(JOURNEY).await.unwrap(), with(old, new));
        let left = trial.number("PTTL", JOURNEY).await;
        assert!((1..=50_000).contains(&left), "{left}");
        assert_eq!(trial.get(&receipt("u1")).await.unwrap(), b"answer to u1");
        let kept = trial.number("PTTL", &receipt("u1")).await;
        assert!((1..=60_000).contains(&kept), "{kept}");
    });
}

#[test]
fn a_document_without_a_time_to_live_gets_none() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;

        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;
        trial.edit(&edit).await;

        assert_eq!(trial.number("PTTL", JOURNEY).await, -1);
    });
}

#[test]
fn all_places_are_found_in_the_document_as_it_was() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let splices: [(Anchor, &[u8], &[u8]); 3] = [
            (Suffix, b"\"On\"}", b"850.50}"),
            (Element, b"850.50", S1),
            (Prefix, b"{\"Segments", b"{"),
        ];

        let edit = trial.planned("u1", &splices).await;
        let made = trial.edit(&edit).await;

        assert_eq!(made, Edited::Applied);
        let middle = &DOCUMENT[10..DOCUMENT.len() - 23];
        let all = [b"{", middle, S1, b"}],\"Status\":850.50}"].concat();
        assert_eq!(trial.get(JOURNEY).await.unwrap(), all);
    });
}

#[test]
fn an_edit_whose_place_is_in_doubt_is_not_made() {
    let in_doubt: [(&str, &[Replaced<'_>]); 9] = [
        ("gone", &[(Element, b"S9", b"x")]),
        ("twice", &[(Element, b"\"On\"", b"x")]),
        ("a pattern's letters", &[(Element, b"S.", b"x")]),
        ("nothing", &[(Element, b"", b"x")]),
        ("another beginning", &[(Prefix, b"{\"Segment_", b"x")]),
        ("another end", &[(Suffix, b"\"On\"]", b"x")]),
        ("longer than all", &[(Suffix, &[b'}'; 500], b"x")]),
        ("one of two", &[(Element, S1, S1_OFF), (Element, b"S9", b"x")]),
        ("overlapping", &[(Element, b"S1\",\"Status", b"x"), (Element, S1, S1_OFF)]),
    ];
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        for (case, splices) in &in_doubt {
            let edit = trial.planned("u1", splices).await;

            let changed = trial.edit(&edit).await;

            assert_eq!(changed, Edited::Changed(trial.read(ask("u1")).await), "{case}");
            assert_eq!(trial.get(JOURNEY).await.unwrap(), DOCUMENT, "{case}");
        }
        assert_eq!(trial.get(&receipt("u1")).await, None);
    });
}

#[test]
fn occurrences_that_overlap_are_two() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, b"[1,1,1]").await;

        let edit = trial.planned("u1", &[(Element, b"1,1", b"2")]).await;

        assert!(matches!(trial.edit(&edit).await, Edited::Changed(_)));
    });
}

#[test]
fn what_comes_in_at_one_place_stays_in_order() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, b"[]").await;
        let letters: Vec<_> = ('a'..='j').map(|letter| [letter as u8]).collect();
        let splices: Vec<Replaced<'_>> =
            letters.iter().map(|letter| (Prefix, &b""[..], &letter[..])).collect();

        let edit = trial.planned("u1", &splices).await;
        trial.edit(&edit).await;

        assert_eq!(trial.get(JOURNEY).await.unwrap(), b"abcdefghij[]");
    });
}

#[test]
fn a_conflict_brings_the_present_document_to_edit_again() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;
        let by_another = with(b"\"S1\"", b"\"S2\"");
        trial.set(JOURNEY, &by_another).await;
        trial.release(trial.lease().await).await;

        let changed = trial.edit(&edit).await;

        let Edited::Changed(Read::Document { bytes, fence, .. }) = changed else {
            panic!("{changed:?}")
        };
        assert_eq!(bytes, by_another);
        let splices = vec![Splice {
            anchor: Element,
            old: Old::Bytes(Bytes::from_static(b"S2")),
            new: Bytes::from_static(b"S3"),
        }];
        assert_eq!(trial.edit(&Edit { fence, splices, ..edit }).await, Edited::Applied);
    });
}

#[test]
fn a_document_that_went_or_is_none_any_more_is_a_conflict() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;

        trial.set(JOURNEY, &[b' '; 1001]).await;
        let large = trial.edit(&edit).await;
        trial.number("DEL", JOURNEY).await;
        let gone = trial.edit(&edit).await;
        trial.command(redis::cmd("HSET").arg(JOURNEY).arg("data").arg(DOCUMENT)).await;
        let hash = trial.edit(&edit).await;

        assert_eq!(large, Edited::Changed(Read::TooLarge));
        assert_eq!(gone, Edited::Changed(Read::Missing { holder: None }));
        assert_eq!(hash, Edited::Changed(Read::WrongType));
    });
}

#[test]
fn a_document_does_not_grow_over_the_limit() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let more = vec![b'x'; 1000 - DOCUMENT.len() + S1.len()];

        let fits = trial.planned("u1", &[(Element, S1, &more)]).await;
        let over = trial.planned("u2", &[(Element, S1, &[&more[..], b"x"].concat())]).await;

        assert_eq!(trial.edit(&over).await, Edited::TooLarge);
        assert_eq!(trial.get(JOURNEY).await.unwrap(), DOCUMENT);
        assert_eq!(trial.get(&receipt("u2")).await, None);
        assert_eq!(trial.edit(&fits).await, Edited::Applied);
    });
}

#[test]
fn an_edit_that_comes_again_is_not_made_again() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;
        trial.edit(&edit).await;

        let again = trial.edit(&edit).await;
        // The bytes are as the edit was planned on, the lease is held, the store is another one: it was made all the same.
        trial.set(JOURNEY, DOCUMENT).await;
        let _lease = trial.lease().await;
        trial.set(EPOCH, b"e2").await;
        let late = trial.edit(&edit).await;

        let already = Edited::Already("answer to u1".to_owned());
        assert_eq!((again, late), (already.clone(), already));
        assert_eq!(trial.get(JOURNEY).await.unwrap(), DOCUMENT);
    });
}

#[test]
fn while_the_lease_is_held_its_owner_alone_edits() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let lease = trial.lease().await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;
        let by = |owner: &str| Edit { owner: Some(owner.into()), ..edit.clone() };

        let without = trial.edit(&edit).await;
        let other = trial.edit(&by("s1/1/900/16")).await;
        let held = trial.get(HOLDER).await.unwrap();
        trial.set(HOLDER, b"").await;
        let unreadable = trial.edit(&edit).await;
        trial.set(HOLDER, &held).await;
        let holder = trial.edit(&by(lease.owner().unwrap())).await;

        assert_eq!((without, other, unreadable), (Edited::Held, Edited::Held, Edited::Held));
        assert_eq!(holder, Edited::Applied);
    });
}

#[test]
fn while_an_edit_has_the_lease_others_edit_and_none_once_it_is_a_call_s() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let lease = trial.lease_of_an_edit().await;
        let read = trial.read(ask("u1")).await;
        let beside = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;
        let under = trial.planned("u2", &[(Element, b"850.50", b"900.10")]).await;
        let under = Edit { owner: lease.owner().map(Arc::from), ..under };
        let late = trial.planned("u3", &[(Element, S1_OFF, S1)]).await;
        let late_under = Edit { owner: under.owner.clone(), ask: ask("u4"), ..late.clone() };

        assert!(matches!(read, Read::Document { holder: None, .. }), "{read:?}");
        assert_eq!(trial.edit(&beside).await, Edited::Applied);
        assert_eq!(trial.edit(&under).await, Edited::Applied);
        trial.release(lease).await;
        let call = trial.lease().await;
        let read = trial.read(ask("u3")).await;
        assert!(matches!(read, Read::Document { holder: Some(_), .. }), "{read:?}");
        assert_eq!(trial.edit(&late).await, Edited::Held);
        assert_eq!(trial.edit(&late_under).await, Edited::Held);
        trial.release(call).await;
        assert!(matches!(trial.edit(&late).await, Edited::Changed(_)));
        assert!(matches!(trial.edit(&late_under).await, Edited::Changed(_)));
    });
}

#[test]
fn a_lease_that_was_granted_or_ended_since_the_read_is_a_conflict() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;
        trial.release(trial.lease().await).await;
        let granted = trial.edit(&edit).await;

        let lease = trial.lease().await;
        let under_a_lease = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;
        trial.release(lease).await;
        let ended = trial.edit(&under_a_lease).await;

        assert!(matches!(granted, Edited::Changed(Read::Document { .. })), "{granted:?}");
        assert!(matches!(ended, Edited::Changed(Read::Document { .. })), "{ended:?}");
        assert_eq!(trial.get(JOURNEY).await.unwrap(), DOCUMENT);
    });
}

#[test]
fn in_a_store_that_was_replaced_nothing_is_edited() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;

        trial.set(EPOCH, b"e2").await;

        assert_eq!(trial.edit(&edit).await, Edited::Replaced);
        assert_eq!(trial.get(JOURNEY).await.unwrap(), DOCUMENT);
    });
}

/// A sidecar's desk under a user of the server.
async fn as_user(server: &TestServer, rights: &[&str]) -> Trial {
    let words = ["ACL", "SETUSER", "app", "reset", "on", ">pw"];
    assert_eq!(server.cli(&[&words, rights].concat()), "OK");
    let mut config = with_password(server.config(), "pw");
    config.url.username = Some("app".to_owned());
    Trial::at(config).await
}

#[test]
fn the_documented_rights_are_enough() {
    let page = include_str!("../../../docs/fleet.md");
    let mut lines = page.lines().filter_map(|line| line.strip_prefix("ACL SETUSER interlock "));
    let (first, more) = (lines.next().unwrap(), lines.next().unwrap());
    let first = first.strip_prefix("reset on >PASSWORD ").unwrap();
    for server in [TestServer::redis(), TestServer::valkey()] {
        on_store_thread(async {
            // What the test itself says needs no more.
            let rights: Vec<&str> = first.split(' ').chain(more.split(' ')).collect();
            let trial = as_user(&server, &rights).await;
            trial.set(JOURNEY, DOCUMENT).await;

            let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;

            assert_eq!(trial.edit(&edit).await, Edited::Applied);
        });
    }
}

#[test]
fn a_user_that_may_not_write_the_document_is_refused() {
    on_store_thread(async {
        let server = TestServer::redis();
        let trial = as_user(&server, &["~*interlock*", "+@all"]).await;
        let fence = unleased();
        let (text, keep) = ("text".into(), PATIENCE);
        let edit = Edit { ask: ask("u1"), owner: None, fence, splices: Vec::new(), text, keep };

        let read = trial.documents.read(&trial.place, ask("u1")).await;
        let edited = trial.documents.edit(&trial.place, edit).await;

        assert_eq!(read, Err(Failed::Refused));
        assert_eq!(edited, Err(Failed::Refused));
    });
}

#[test]
fn an_edit_without_its_receipt_is_taken_back() {
    on_store_thread(async {
        let server = TestServer::redis();
        let rights = ["~*", "+@all", "-set", "(+set ~journey:* ~{interlock}:epoch)"];
        let trial = as_user(&server, &rights).await;
        trial.command(redis::cmd("SET").arg(JOURNEY).arg(DOCUMENT).arg("PX").arg(50_000)).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;

        let edited = trial.documents.edit(&trial.place, edit).await;

        assert_eq!(edited, Err(Failed::Refused));
        assert_eq!(trial.get(JOURNEY).await.unwrap(), DOCUMENT);
        assert!(trial.number("PTTL", JOURNEY).await > 0);
    });
}
