//! What is brought again after failures, to a store that plays its part.

use std::sync::Arc;

use proptest::prelude::*;
use redis::Value;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::shadow::journal::handle::{Reply, Request};

/// What becomes of a command.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is carried out and answered.
    Answered,
    /// It is carried out, and nobody hears of it.
    Unheard,
    /// It gets lost.
    Lost,
}

/// Carries out commands as the script does.
async fn play(mut requests: Receiver<Request>, fates: Vec<Fate>) -> Vec<Entry> {
    let mut fates = fates.into_iter();
    let (mut last, mut stands) = (0, Vec::new());
    while let Some(Request::Exchange { command, reply }) = requests.recv().await {
        let fate = fates.next().unwrap_or(Fate::Answered);
        let number: u64 = std::str::from_utf8(&command.words[0]).unwrap().parse().unwrap();
        if !matches!(fate, Fate::Lost) && number > last {
            last = number;
            let entries = command.words.iter().map(|word| serde_json::from_slice(word));
            stands.extend(entries.filter_map(Result::<Entry, _>::ok));
        }
        let now = clock::now();
        let word = |text: &str| Value::BulkString(text.into());
        let none = || Value::Array(Vec::new());
        let value = Value::Array(vec![word("1"), word(""), none(), none(), none()]);
        let said =
            Reply { value, asked: now, answered: now, servers: "s".into(), other_store: false };
        let heard = matches!(fate, Fate::Answered);
        drop(reply.send(if heard { Ok(said) } else { Err(JournalError::Nonsense) }));
    }
    stands
}

/// So many updates are new, and of all that are not known to be there, those stay behind whose number is that modulo 3.
type Turn = (u64, u64);

/// Brings updates until all are known to be there; gives what stands in the store, in the order of their numbers.
async fn bring(turns: &[Turn], fates: Vec<Fate>) -> Vec<u64> {
    let (journal, requests) = FleetJournal::new();
    let store = tokio::spawn(play(requests.requests, fates));
    let (mut pending, mut number) = (Vec::new(), 0);
    let mut turns = turns.iter();
    for tries in 0.. {
        assert!(tries < 1000, "it never comes through");
        let turn = turns.next();
        let (more, behind) = turn.copied().unwrap_or((0, 3));
        pending.extend(number..number + more);
        number += more;
        let brought: Vec<u64> = pending.iter().copied().filter(|it| it % 3 != behind).collect();
        let entries = brought.iter().copied().map(update).collect();
        let appends = vec![(key("a"), entries)];
        let exchange = Exchange { appends, store: "s e".into(), ..Exchange::default() };
        if journal.exchange(exchange).await.is_ok() {
            pending.retain(|number| !brought.contains(number));
            if turn.is_none() {
                break;
            }
        }
    }
    drop(journal);
    let mut stands = numbers_of(&store.await.unwrap());
    stands.sort_unstable();
    stands
}

#[tokio::test]
async fn what_is_known_to_be_there_is_not_brought_again_by_a_later_try() {
    // The second exchange finishes the first one, and then fails itself.
    let fates = vec![Fate::Unheard, Fate::Answered, Fate::Lost];

    assert_eq!(bring(&[(2, 3), (1, 3), (1, 3)], fates).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn what_stays_behind_is_not_forgotten_to_be_there() {
    // The first one is finished by the second, which does not bring 0 again; the third does.
    let fates = vec![Fate::Unheard];

    assert_eq!(bring(&[(2, 3), (1, 0), (1, 3)], fates).await, [0, 1, 2, 3]);
}

proptest! {
    #[test]
    fn every_update_is_there_once_whatever_gets_lost(
        turns in prop::collection::vec((0..4_u64, 0..5_u64), 1..12),
        fates in prop::collection::vec(
            prop_oneof![Just(Fate::Answered), Just(Fate::Unheard), Just(Fate::Lost)], 0..18),
    ) {
        let count: u64 = turns.iter().map(|(more, _)| more).sum();

        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let stands = runtime.block_on(bring(&turns, fates));

        prop_assert_eq!(stands, (0..count).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_command_that_is_sent_again_is_the_same() {
    let (journal, mut requests) = FleetJournal::new();
    let exchange =
        || Exchange { appends: vec![(key("a"), vec![update(1)])], ..Exchange::default() };
    let mut sent: Vec<Arc<_>> = Vec::new();

    for _ in 0..2 {
        let asked = journal.exchange(exchange());
        let answered = async {
            let Some(Request::Exchange { command, reply }) = requests.requests.recv().await else {
                panic!()
            };
            sent.push(command);
            drop(reply.send(Err(JournalError::Nonsense)));
        };
        let (outcome, ()) = tokio::join!(asked, answered);
        assert!(outcome.is_err());
    }

    assert!(Arc::ptr_eq(&sent[0], &sent[1]));
}
