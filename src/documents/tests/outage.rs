//! When the store or the desk goes in between.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::*;
use Anchor::Element;

/// Polls it once.
async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}

/// The document at a server that knows the script: one that did not would not do the first edit.
async fn with_known_script() -> (TestServer, Trial) {
    let server = TestServer::redis();
    let trial = Trial::at(server.config()).await;
    trial.set(JOURNEY, DOCUMENT).await;
    let before = trial.planned("u0", &[]).await;
    trial.edit(&before).await;
    (server, trial)
}

#[test]
fn an_edit_of_unknown_outcome_is_made_once_however_often_it_is_sent() {
    on_store_thread(async {
        let (server, trial) = with_known_script().await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;

        server.stop();
        let lost = trial.documents.edit(&trial.place, edit.clone()).await;
        server.cont();
        // The server does the first one before it answers anything that came later.
        let again = trial.edit(&edit).await;

        assert_eq!(lost, Err(Failed::Unknown));
        assert_eq!(again, Edited::Already("answer to u1".to_owned()));
        assert_eq!(trial.get(JOURNEY).await.unwrap(), with(S1, S1_OFF));
    });
}

/// Others may have set the field since it was given up.
#[test]
fn an_edit_that_was_given_up_does_not_replace_a_value_that_it_was_not_planned_on() {
    for changed in [true, false] {
        on_store_thread(async {
            let (server, trial) = with_known_script().await;
            let edit = left_open(&trial, Element, S1_STATUS, b"}", b"\"Off\"").await;
            let newer = with(S1, &[S1_STATUS, b"\"Newer\"}"].concat());
            if changed {
                trial.set(JOURNEY, &newer).await;
            }

            server.stop();
            let given_up = trial.documents.edit(&trial.place, edit).await;
            server.cont();

            assert_eq!(given_up, Err(Failed::Unknown));
            let expected = if changed { newer } else { with(S1, S1_OFF) };
            assert_eq!(trial.get(JOURNEY).await.unwrap(), expected);
        });
    }
}

#[test]
fn an_edit_under_way_on_a_connection_that_breaks_may_have_been_made() {
    on_store_thread(async {
        let mut server = TestServer::redis();
        let trial = Trial::at(server.config()).await;
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;
        let sent = trial.remote.clone();
        server.stop();

        let mut status = sent.status();
        let kill = async {
            // The desk takes it, and then sends it.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            server.kill();
            status.wait_for(|status| status.connected.is_none()).await.unwrap();
        };
        let (edited, ()) = tokio::join!(trial.documents.edit(&trial.place, edit.clone()), kill);
        let after = trial.documents.edit(&trial.place, edit).await;
        let read = trial.documents.read(&trial.place, ask("u1")).await;

        assert_eq!(edited, Err(Failed::Unknown));
        assert_eq!((after, read), (Err(Failed::NotExecuted), Err(Failed::NotExecuted)));
    });
}

#[test]
fn nothing_is_sent_over_other_connections_than_those_of_the_place() {
    on_store_thread(async {
        let server = TestServer::redis();
        let mut trial = Trial::at(server.config()).await;
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;

        let generation = trial.place.generation - 1;
        trial.place = Arc::new(Place { generation, epoch: "e1".to_owned(), cluster: false });
        let edited = trial.documents.edit(&trial.place, edit).await;

        assert_eq!(edited, Err(Failed::NotExecuted));
        assert_eq!(trial.get(JOURNEY).await.unwrap(), DOCUMENT);
    });
}

#[test]
fn an_edit_that_nobody_waits_for_any_more_is_not_sent() {
    on_store_thread(async {
        let server = TestServer::redis();
        let trial = Trial::at(server.config()).await;
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;

        let mut dropped = Box::pin(trial.documents.edit(&trial.place, edit.clone()));
        assert!(is_pending(&mut dropped).await);
        drop(dropped);

        // The desk has seen it when it answers the next one.
        let next = Edit { ask: ask("u2"), ..edit };
        assert_eq!(trial.edit(&next).await, Edited::Applied);
        assert_eq!(trial.get(&receipt("u1")).await, None);
    });
}

#[test]
fn a_desk_that_ended_has_made_what_it_was_sent_or_nothing() {
    on_store_thread(async {
        let server = TestServer::redis();
        let mut trial = Trial::at(server.config()).await;
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = trial.planned("u1", &[(Element, S1, S1_OFF)]).await;

        let mut sent = Box::pin(trial.documents.edit(&trial.place, edit.clone()));
        assert!(is_pending(&mut sent).await);
        trial.desk.shutdown().await;
        let sent = sent.await;
        let after = trial.documents.edit(&trial.place, edit).await;

        assert_eq!((sent, after), (Err(Failed::Unknown), Err(Failed::NotExecuted)));
    });
}
