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
    let splice = Splice { anchor: Element, old: element(id, count), new: element(id, count + 1) };
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
