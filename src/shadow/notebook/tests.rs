//! What is noted, and its bounds.

use super::*;
use crate::domain::percent::Percent;
use crate::shadow::detector::test_config;

const FLAG: FlagIndex = FlagIndex(0);

/// Long enough for a difference.
const SETTLES: Duration = Duration::from_secs(3);

fn notebook(verify: &str) -> (Notebook, mpsc::UnboundedReceiver<Note>) {
    Notebook::new(&test_config(verify)).unwrap()
}

fn watched(value: Written) -> Box<Watched> {
    Box::new(Watched {
        flag: FLAG,
        route: RouteIndex(0),
        entity: "e".to_owned(),
        read: "/e/e".to_owned(),
        field: "/fields/0".to_owned(),
        value,
        path: Path::Legacy,
        trace: TraceContext::NONE,
    })
}

fn text() -> Box<Watched> {
    watched(Written::Text("1".to_owned()))
}

/// How the next one that ended did, and for how long it may still write.
fn ended(notes: &mut mpsc::UnboundedReceiver<Note>) -> (u64, Ending, Duration) {
    loop {
        if let Note::Ended { number, ending, settles, .. } = notes.try_recv().unwrap() {
            return (number, ending, settles);
        }
    }
}

#[test]
fn nothing_is_noted_where_no_flag_is_verified() {
    let mut config = test_config("");
    config.flags.iter_mut().for_each(|flag| flag.verify = None);

    assert!(Notebook::new(&config).is_none());
}

#[test]
fn an_app_that_has_answered_writes_no_more_and_one_that_was_given_up_may() {
    let (notebook, mut notes) = notebook("");
    for ending in [Ending::Acknowledged, Ending::Rejected, Ending::Unknown] {
        notebook.note(text(), SETTLES).unwrap().end(ending);
    }
    // As when its task is dropped.
    drop(notebook.note(text(), SETTLES).unwrap());

    assert_eq!(ended(&mut notes), (0, Ending::Acknowledged, Duration::ZERO));
    assert_eq!(ended(&mut notes), (1, Ending::Rejected, Duration::ZERO));
    assert_eq!(ended(&mut notes), (2, Ending::Unknown, SETTLES));
    assert_eq!(ended(&mut notes), (3, Ending::Unknown, SETTLES));
    assert!(notes.try_recv().is_err(), "each ends once");
}

#[test]
fn past_its_bound_nothing_is_noted_and_that_is_counted_until_there_is_room() {
    let (notebook, mut notes) = notebook("");
    let noted: Vec<Noted> =
        (0..MAX_NOTED).map(|_| notebook.note(text(), SETTLES).unwrap()).collect();

    assert!(notebook.note(text(), SETTLES).is_none());
    assert_eq!(notebook.missed(), 1);
    drop(noted);
    assert!(notebook.note(text(), SETTLES).is_none(), "the detector has not seen their end");
    ended(&mut notes);
    notebook.took_end();
    assert!(notebook.note(text(), SETTLES).is_some());
    assert_eq!(notebook.missed(), 2);
}

#[test]
fn of_more_bodies_than_may_wait_the_value_is_not_known() {
    let (notebook, mut notes) = notebook("");
    let body = Bytes::from(vec![b' '; MAX_BODIES / 2]);
    let mut note = || {
        notebook.note(watched(Written::Body(body.clone())), SETTLES).unwrap().end(Ending::Rejected);
        match notes.try_recv().unwrap() {
            Note::Sent { watched, .. } => {
                notes.try_recv().unwrap();
                matches!(watched.value, Written::Body(_))
            }
            other => panic!("{other:?}"),
        }
    };

    assert_eq!([note(), note(), note()], [true, true, false]);
    notebook.took_body(body.len());
    assert!(note(), "there is room again");
}

#[test]
fn every_sidecar_verifies_the_same_entities() {
    let half: Percent = "50%".parse().unwrap();
    let (one, _) = notebook("sample = \"50%\"\n");
    let (other, _) = notebook("sample = \"50%\"\nmax_reads = 1\n");
    let entities: Vec<String> = (0..400).map(|number| format!("e{number}")).collect();
    let picks = |notebook: &Notebook| -> Vec<bool> {
        entities.iter().map(|entity| notebook.verifies(FLAG, "numbers", entity)).collect()
    };

    let picked = picks(&one);
    assert_eq!(picked, picks(&other));
    let count = picked.iter().filter(|picked| **picked).count();
    assert!((150..250).contains(&count), "{count} of 400 at {half}");
    assert!(!one.verifies(FlagIndex(7), "none", "e"), "a flag that there is not");
}

#[tokio::test(start_paused = true)]
async fn an_entity_is_looked_at_once_and_again_when_all_are_forgotten_as_reads_allow() {
    let (notebook, _notes) = notebook("max_reads = 2\n");

    assert!(notebook.wants_a_look(FLAG, "a"));
    assert!(!notebook.wants_a_look(FLAG, "a"));
    notebook.forget_sights();
    assert!(notebook.wants_a_look(FLAG, "a"));
    assert!(!notebook.wants_a_look(FLAG, "b"), "no more reads in this second");
    assert!(!notebook.may_read(FLAG));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(notebook.wants_a_look(FLAG, "c"));
    assert!(notebook.may_read(FLAG));
    assert!(!notebook.may_read(FLAG));
}
