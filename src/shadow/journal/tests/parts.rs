//! Exchanges as commands, and answers that are none.

use std::collections::BTreeSet;

use proptest::prelude::*;
use redis::Value;

use super::*;
use crate::shadow::journal::answer::Answer;
use crate::shadow::journal::command::{Command, Numbers};

/// A read whose text has about so many bytes.
fn large(bytes: usize) -> Entry {
    let pointer: EffectPointer = "/{id}".parse().unwrap();
    let members = (0..bytes / 43).map(|number| (number.to_string(), number.into()));
    let document = serde_json::Value::Object(members.collect());
    let fields = Fields::of(&document, &[pointer]);
    Entry::Read(Read { begun: Stamp::alone(1), ended: Stamp::alone(2), fields })
}

fn all_of(exchange: &Exchange) -> Vec<Command> {
    Command::all_of(exchange, &mut Numbers::from(6))
}

fn bytes(command: &Command) -> usize {
    command.words.iter().map(Vec::len).sum()
}

/// The texts in all commands that are entries.
fn entries(commands: &[Command]) -> Vec<Entry> {
    let words = commands.iter().flat_map(|command| &command.words);
    words.filter_map(|word| serde_json::from_slice(word).ok()).collect()
}

#[test]
fn what_is_written_reads_as_it_was() {
    for entry in [update(1), read("Boarding"), large(1000)] {
        let text = serde_json::to_vec(&entry).unwrap();

        assert_eq!(serde_json::from_slice::<Entry>(&text).unwrap(), entry);
    }
}

#[test]
fn nothing_to_tell_is_one_command() {
    let commands = all_of(&Exchange::default());

    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].store, None, "it is stamped for no store");
}

#[test]
fn only_the_last_command_sets_the_mark_and_claims() {
    let appends =
        (0..600).map(|number| (key(&format!("{number}")), vec![update(number)])).collect();
    let claims = (0..300).map(|number| key(&format!("{number}"))).collect();
    let exchange =
        Exchange { appends, claims, mark: 77, store: "s e".into(), ..Exchange::default() };

    let commands = all_of(&exchange);

    let texts = |at: usize| commands.iter().map(move |it| it.words[at].as_slice());
    assert_eq!(texts(0).collect::<Vec<_>>(), [b"7", b"8", b"9", &b"10"[..]], "their numbers");
    assert_eq!(texts(1).collect::<Vec<_>>(), [b"", b"", b"", &b"77"[..]]);
    assert!(commands.iter().all(|command| command.store.as_deref() == Some("s e")));
    // Of what they show, and how far others have come by then, nothing may be older than the other.
    let claimed: Vec<usize> = commands.iter().map(|command| command.claimed).collect();
    assert_eq!(claimed, [0, 0, 0, 256]);
}

#[test]
fn what_belongs_together_stays_together_up_to_a_bound() {
    let settles = |keep: Vec<Entry>| {
        let claimed =
            Claimed { ticket: Ticket::default(), entries: Vec::new(), count: 5, overflowed: false };
        let settled = vec![settled(&key("a"), &claimed, keep)];
        all_of(&Exchange { settled, ..Exchange::default() })
    };

    let many: Vec<Entry> = (0..5).map(|_| large(180_000)).collect();
    let [together] = settles(many.clone()).try_into().unwrap();
    assert_eq!(entries(&[together]), many);

    for keep in [(0..8).map(|_| large(180_000)).collect(), updates(0..1001)] {
        let [bounded] = settles(keep).try_into().unwrap();
        let last = &bounded.words[bounded.words.len() - 3];
        assert_eq!(last, b"overflow", "it is said that something is missing");
        assert!(bytes(&bounded) < 1000);
    }
}

#[test]
fn many_large_entries_go_in_several_commands() {
    let all: Vec<Entry> = (0..30).map(|_| large(100_000)).chain(updates(0..3000)).collect();
    let appends = vec![(key("a"), all.clone()), (key("b"), vec![update(1)])];

    let commands = all_of(&Exchange { appends, ..Exchange::default() });

    assert_eq!(entries(&commands), [all, vec![update(1)]].concat());
    for command in &commands {
        assert!(bytes(command) < 300_000, "{}", bytes(command));
        assert!(entries(std::slice::from_ref(command)).len() <= 1000);
    }
}

#[test]
fn an_entry_that_is_too_large_for_any_command_is_told_to_be_missing() {
    let Entry::Update(like) = update(3) else { panic!() };
    let large = Entry::Update(Update { shown: Some("x".repeat(2_000_000)), ..like });
    let appends = vec![(key("a"), vec![update(1), large, update(2)])];

    let commands = all_of(&Exchange { appends, ..Exchange::default() });

    assert_eq!(entries(&commands), [update(1), update(2)]);
    let has = |command: &Command| command.words.iter().any(|word| word == b"overflow");
    assert!(commands.iter().any(has));
}

/// An answer's value of any kind, with the words that scripts use.
fn value() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just(b"7".to_vec()),
        Just(b"overflow".to_vec()),
        Just(serde_json::to_vec(&update(1)).unwrap()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<i64>().prop_map(Value::Int),
        word.prop_map(Value::BulkString),
    ];
    leaf.prop_recursive(4, 64, 5, |inner| prop::collection::vec(inner, 0..6).prop_map(Value::Array))
}

proptest! {
    #[test]
    fn no_answer_panics(value in value(), settled in 0..3_usize, claimed in 0..3_usize) {
        if let Some(answer) = Answer::read(value, settled, claimed) {
            prop_assert_eq!((answer.settled.len(), answer.claimed.len()), (settled, claimed));
        }
    }

    #[test]
    fn every_entity_has_a_number_and_every_number_an_entity(
        appends in prop::collection::vec((0..400_u32, 1..4_u64), 0..500),
        claims in prop::collection::vec(0..400_u32, 0..400),
    ) {
        let named = |entity: u32| key(&entity.to_string());
        let exchange = Exchange {
            appends: appends.iter().map(|(entity, count)| (named(*entity), updates(0..*count))).collect(),
            claims: claims.iter().map(|entity| named(*entity)).collect(),
            ..Exchange::default()
        };
        let mut claimed = Vec::new();

        for command in all_of(&exchange) {
            let names: BTreeSet<&JournalKey> = command.entities.iter().collect();
            prop_assert_eq!(names.len(), command.entities.len(), "each once");
            let from = command.words.len() - command.claimed;
            for word in &command.words[from..] {
                let number: usize = std::str::from_utf8(word).unwrap().parse().unwrap();
                claimed.push(command.entities[number - 1].clone());
            }
        }

        let most = exchange.claims.len().min(256);
        prop_assert_eq!(&claimed, &exchange.claims[..most]);
    }
}
