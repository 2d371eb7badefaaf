//! Many writers of one document.

use super::*;
use Anchor::Element;

const WRITERS: usize = 12;
const ROUNDS: usize = 20;

fn element(id: usize, count: usize) -> Bytes {
    format!(r#"{{"SegmentId":"S{id}","Count":{count}}}"#).into()
}

fn document(count: impl Fn(usize) -> usize) -> Vec<u8> {
    let elements: Vec<_> = (0..WRITERS)
        .map(|id| String::from_utf8(element(id, count(id)).to_vec()).unwrap())
        .collect();
    format!(r#"{{"Segments":[{}]}}"#, elements.join(",")).into_bytes()
}

/// Sets an element's count from one to the next.
async fn set(trial: &Trial, writer: usize, id: usize, count: usize) -> Edited {
    let name = format!("{writer}-{id}-{count}");
    let Read::Document { fence, .. } = trial.read(ask(&name)).await else { panic!("no document") };
    let old = Old::Bytes(element(id, count));
    let splice = Splice { anchor: Element, old, new: element(id, count + 1) };
    let (text, keep) = ("done".into(), PATIENCE);
    let edit = Edit { ask: ask(&name), owner: None, fence, splices: vec![splice], text, keep };
    trial.edit(&edit).await
}

#[test]
fn writers_of_different_elements_lose_nothing_and_never_conflict() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, &document(|_| 0)).await;

        let write = |id| async move {
            for count in 0..ROUNDS {
                assert_eq!(set(trial, id, id, count).await, Edited::Applied, "{id} {count}");
            }
        };
        futures_util::future::join_all((0..WRITERS).map(write)).await;

        assert_eq!(trial.get(JOURNEY).await.unwrap(), document(|_| ROUNDS));
    });
}

#[test]
fn of_writers_of_one_element_exactly_one_wins_each_round() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, &document(|_| 0)).await;

        for count in 0..ROUNDS {
            let tries = (0..WRITERS).map(|writer| set(trial, writer, 3, count));
            let outcomes = futures_util::future::join_all(tries).await;

            let won = outcomes.iter().filter(|outcome| **outcome == Edited::Applied).count();
            let lost = outcomes.iter().filter(|it| matches!(it, Edited::Changed(_))).count();
            assert_eq!((won, lost), (1, WRITERS - 1), "{outcomes:?}");
        }

        let counted = |id| if id == 3 { ROUNDS } else { 0 };
        assert_eq!(trial.get(JOURNEY).await.unwrap(), document(counted));
    });
}

#[test]
fn writers_of_one_value_that_is_left_open_never_conflict() {
    on_each_server(async |trial| {
        trial.set(JOURNEY, &document(|_| 0)).await;
        let Read::Document { fence, .. } = trial.read(ask("first")).await else { panic!("none") };

        let write = |writer: usize| {
            let (head, tail) = (r#"{"SegmentId":"S3","Count":"#, "}");
            let (was, kind) = (Bytes::from_static(b"0"), Scalar::Number);
            let old = Old::Value { head: head.into(), was, kind, tail: tail.into() };
            let new = writer.to_string().into();
            let splices = vec![Splice { anchor: Element, old, new }];
            let (text, keep, ask) = ("done".into(), PATIENCE, ask(&writer.to_string()));
            Edit { ask, owner: None, fence: fence.clone(), splices, text, keep }
        };
        let edits: Vec<Edit> = (1..=WRITERS).map(write).collect();
        let outcomes = futures_util::future::join_all(edits.iter().map(|it| trial.edit(it))).await;

        assert!(outcomes.iter().all(|outcome| *outcome == Edited::Applied), "{outcomes:?}");
        let stored = trial.get(JOURNEY).await.unwrap();
        let one_of_them = |last| stored == document(|id| if id == 3 { last } else { 0 });
        assert!((1..=WRITERS).any(one_of_them), "{stored:?}");
    });
}
