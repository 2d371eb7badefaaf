//! The script of an edit against [`apply`], by which plans are proved: the same bytes or the same conflict, whatever the document
//! became since the plan.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::domain::edit::{self, NewValue, Planned, apply, plan};
use crate::domain::effects::EffectPointer;

/// On each server.
const CASES: usize = 400;

const LIMIT: usize = 1 << 16;

/// What texts are made of, as they stand in JSON: what a pattern of Lua takes for an instruction, escapes, more than one byte to a
/// character. They are few, so that texts recur.
const PIECES: [&str; 12] =
    ["%", "%1", "-", "[", "]", "^.*", "$", "(", "\\u0000", "\\\"", "\\\\", "é"];

/// The document of an app. Its texts are as they stand in JSON.
#[derive(Clone, Debug)]
struct Model {
    lists: [Vec<Element>; 2],
    status: String,
    /// Whether the root's own status stands ahead of the lists.
    status_first: bool,
}

#[derive(Clone, Debug)]
struct Element {
    id: String,
    status: String,
}

/// Which field.
#[derive(Clone, Debug)]
enum Field {
    OfRoot,
    /// Of an element that the list has, or of none.
    OfElement(usize, Index),
    /// The same without its id.
    ByIndex(usize, Index),
}

/// What became of the document since the plan.
#[derive(Clone, Debug)]
enum Since {
    Nothing,
    Set(Vec<(Field, String)>),
    Removed(usize, Index),
    /// An element stands in the other list as well, or twice in its own.
    Doubled(usize, Index, bool),
    /// Blanks ahead of it, and behind.
    Padded(usize, usize),
    Another(Model),
}

fn text() -> impl Strategy<Value = String> {
    vec(select(&PIECES[..]), 0..3).prop_map(|pieces| pieces.concat())
}

fn model() -> impl Strategy<Value = Model> {
    let list =
        || vec((text(), text()).prop_map(|(id, status)| Element { id, status }), 0..4).boxed();
    (list(), list(), text(), any::<bool>()).prop_map(|(one, two, status, status_first)| Model {
        lists: [one, two],
        status,
        status_first,
    })
}

fn fields() -> impl Strategy<Value = Vec<(Field, String)>> {
    let field = (0..8_usize, any::<Index>()).prop_map(|(kind, which)| match kind {
        0..4 => Field::OfRoot,
        4 => Field::ByIndex(0, which),
        kind => Field::OfElement(kind % 2, which),
    });
    vec((field, text()), 1..4)
}

fn since() -> impl Strategy<Value = Since> {
    let at = || (0..2_usize, any::<Index>());
    prop_oneof![
        2 => Just(Since::Nothing),
        4 => fields().prop_map(Since::Set),
        1 => at().prop_map(|(list, which)| Since::Removed(list, which)),
        2 => (at(), any::<bool>()).prop_map(|((list, which), other)| Since::Doubled(list, which, other)),
        1 => (0..2_usize, 0..2_usize).prop_map(|(ahead, behind)| Since::Padded(ahead, behind)),
        1 => model().prop_map(Since::Another),
    ]
}

impl Model {
    fn written(&self) -> String {
        let list = |elements: &Vec<Element>| {
            let element =
                |it: &Element| format!(r#"{{"Id":"{}","Status":"{}"}}"#, it.id, it.status);
            elements.iter().map(element).collect::<Vec<_>>().join(",")
        };
        let lists = format!(r#""0":[{}],"1":[{}]"#, list(&self.lists[0]), list(&self.lists[1]));
        let status = format!(r#""Status":"{}""#, self.status);
        match self.status_first {
            true => format!("{{{status},{lists}}}"),
            false => format!("{{{lists},{status}}}"),
        }
    }

    /// Where a list has its element, if it has any.
    fn at(&self, list: usize, which: Index) -> Option<usize> {
        (!self.lists[list].is_empty()).then(|| which.index(self.lists[list].len()))
    }

    fn became(mut self, since: &Since) -> String {
        match since {
            Since::Nothing => {}
            Since::Set(fields) => {
                for (field, text) in fields {
                    match *field {
                        Field::OfRoot => self.status.clone_from(text),
                        Field::OfElement(list, which) | Field::ByIndex(list, which) => {
                            if let Some(at) = self.at(list, which) {
                                self.lists[list][at].status.clone_from(text);
                            }
                        }
                    }
                }
            }
            Since::Removed(list, which) => {
                if let Some(at) = self.at(*list, *which) {
                    self.lists[*list].remove(at);
                }
            }
            Since::Doubled(list, which, other) => {
                if let Some(at) = self.at(*list, *which) {
                    let twin = self.lists[*list][at].clone();
                    self.lists[list ^ usize::from(*other)].push(twin);
                }
            }
            Since::Padded(ahead, behind) => {
                return format!("{}{}{}", " ".repeat(*ahead), self.written(), " ".repeat(*behind));
            }
            Since::Another(model) => return model.written(),
        }
        self.written()
    }

    /// The edits of one update, each with its value as JSON.
    fn edits(&self, fields: &[(Field, String)]) -> Vec<(crate::domain::effects::Place, String)> {
        let edit = |(field, text): &(Field, String)| {
            let (pointer, id) = match *field {
                Field::OfRoot => ("/Status".to_owned(), String::new()),
                Field::ByIndex(list, which) => {
                    (format!("/{list}/{}/Status", self.at(list, which).unwrap_or(0)), String::new())
                }
                Field::OfElement(list, which) => {
                    let id = self.at(list, which).map(|at| self.lists[list][at].id.as_str());
                    let id = format!("\"{}\"", id.unwrap_or("none"));
                    (format!("/{list}/[Id={{id}}]/Status"), serde_json::from_str(&id).unwrap())
                }
            };
            let pointer: EffectPointer = pointer.parse().unwrap();
            let place = pointer.resolve(|_| Some(Cow::Borrowed(id.as_str()))).unwrap();
            (place, format!("\"{text}\""))
        };
        fields.iter().map(edit).collect()
    }
}

/// How many splices were made and how many were not, by their anchor.
#[derive(Debug, Default)]
struct Counts([[usize; 2]; 3]);

impl Counts {
    /// Makes an edit of a document and compares what became of it.
    async fn compare(
        &mut self,
        trial: &Trial,
        (number, case): (usize, &dyn std::fmt::Debug),
        present: &[u8],
        splices: &[edit::Splice<'_>],
    ) {
        let expected = apply(present, splices);
        trial.set(JOURNEY, present).await;
        let id = format!("u{number}");
        let made = trial
            .edit(&Edit {
                ask: Ask { limit: LIMIT, ..ask(&id) },
                owner: None,
                fence: unleased(),
                splices: splices.iter().map(|it| own(it)).collect(),
                text: "made".into(),
                keep: PATIENCE,
            })
            .await;
        let after = trial.get(JOURNEY).await.unwrap();

        match &expected {
            Ok(edited) => {
                assert_eq!(made, Edited::Applied, "{case:?}");
                assert_eq!(&after, edited, "{case:?}");
            }
            Err(edit::Conflict) => {
                let Edited::Changed(Read::Document { bytes, .. }) = &made else {
                    panic!("{made:?}: {case:?}")
                };
                assert_eq!(bytes, present, "{case:?}");
                assert_eq!(after, present, "{case:?}");
            }
        }
        for splice in splices {
            self.0[splice.anchor as usize][usize::from(expected.is_err())] += 1;
        }
    }

    /// That the cases were of all kinds.
    fn assert_each(&self, least: usize) {
        assert!(self.0.iter().flatten().all(|count| *count >= least), "{self:?}");
    }
}

fn own(splice: &edit::Splice<'_>) -> Splice {
    Splice {
        anchor: splice.anchor,
        old: splice.old.map(Bytes::copy_from_slice),
        new: Bytes::copy_from_slice(&splice.new),
    }
}

#[test]
fn the_script_does_what_plans_are_proved_with() {
    let cases = (model(), fields(), since());
    on_each_server(async |trial| {
        let (mut runner, mut counts) = (TestRunner::default(), Counts::default());
        let mut number = 0;
        while number < CASES {
            let case = cases.new_tree(&mut runner).unwrap().current();
            let (model, fields, since) = &case;
            let base = model.written();
            let edits = model.edits(fields);
            let edits: Vec<_> = edits
                .iter()
                .map(|(place, json)| (place, NewValue::json(json.as_bytes()).unwrap()))
                .collect();
            // Ids that recur are in doubt, and refused.
            let Ok(Planned::Splices { splices, .. }) = plan(base.as_bytes(), &edits, LIMIT) else {
                continue;
            };
            let present = model.clone().became(since);

            counts.compare(trial, (number, &case), present.as_bytes(), &splices).await;
            number += 1;
        }
        counts.assert_each(10);
    });
}

#[test]
fn the_script_does_the_same_with_any_bytes_at_any_places() {
    // Of few letters also, so that what recurs overlaps.
    let mixed = || vec(select(&b"%-[a\0\xff"[..]), 0..12);
    let bytes = move || prop_oneof![mixed(), vec(select(&b"a%"[..]), 0..12)];
    let anchor = || select(&[Anchor::Element, Anchor::Prefix, Anchor::Suffix][..]);
    // Two places that may be the same, beside each other, or one in the other; and bytes that may be anywhere.
    let cut =
        (anchor(), any::<Index>(), any::<Index>(), prop::option::weighted(0.1, bytes()), bytes());
    let cases = (bytes(), vec(cut, 0..4));
    on_each_server(async |trial| {
        let (mut runner, mut counts) = (TestRunner::default(), Counts::default());
        for number in 0..CASES {
            let case = cases.new_tree(&mut runner).unwrap().current();
            let (present, cuts) = &case;
            let splices: Vec<_> = cuts
                .iter()
                .map(|(anchor, from, to, other, new)| {
                    let (from, to) = (from.index(present.len() + 1), to.index(present.len() + 1));
                    let old = match (anchor, other) {
                        (_, Some(other)) => &other[..],
                        (Anchor::Element, None) => &present[from.min(to)..from.max(to)],
                        (Anchor::Prefix, None) => &present[..to],
                        (Anchor::Suffix, None) => &present[from..],
                    };
                    edit::Splice { anchor: *anchor, old: Old::Bytes(old), new: new.clone() }
                })
                .collect();

            counts.compare(trial, (number, &case), present, &splices).await;
        }
        counts.assert_each(10);
    });
}

#[test]
fn the_script_does_the_same_with_values_that_are_left_open() {
    const WORDS: [&str; 16] = [
        "\"\"", "\"%\"", "\"\\\"\"", "\"\\\\\"", "12", "-1.5e+3", "true", "[", ",", "a", "\"",
        "\\", "\\\"", "-", "%a", "\0",
    ];
    let anchor = || select(&[Anchor::Element, Anchor::Prefix, Anchor::Suffix][..]);
    let kind = || select(&[Scalar::Text, Scalar::Number, Scalar::Bool][..]);
    // A word, and how many of those ahead of it and behind it belong to its place.
    let cut = (anchor(), kind(), any::<Index>(), 0..4_usize, 0..3_usize, any::<bool>());
    let cases = (vec(select(&WORDS[..]), 1..9), vec(cut, 1..3));
    on_each_server(async |trial| {
        let (mut runner, mut counts) = (TestRunner::default(), Counts::default());
        for number in 0..3 * CASES {
            let case = cases.new_tree(&mut runner).unwrap().current();
            let (words, cuts) = &case;
            let present = words.concat();
            let texts: Vec<_> = cuts
                .iter()
                .map(|(anchor, kind, at, ahead, behind, fits)| {
                    let at = at.index(words.len());
                    let kind = match words[at].as_bytes()[0] {
                        b'"' if *fits => Scalar::Text,
                        b'1' | b'-' if *fits => Scalar::Number,
                        b't' if *fits => Scalar::Bool,
                        _ => *kind,
                    };
                    let (from, to) = match (fits, anchor) {
                        (true, Anchor::Prefix) => (0, at + 1 + behind),
                        (true, Anchor::Suffix) => (at.saturating_sub(*ahead), words.len()),
                        _ => (at.saturating_sub(*ahead), at + 1 + behind),
                    };
                    let tail = words[at + 1..to.min(words.len())].concat();
                    (*anchor, kind, words[from..at].concat(), tail)
                })
                .collect();
            let splices: Vec<_> = texts
                .iter()
                .map(|(anchor, kind, head, tail)| {
                    let (head, tail) = (head.as_bytes(), tail.as_bytes());
                    let old = Old::Value { head, was: b"", kind: *kind, tail };
                    edit::Splice { anchor: *anchor, old, new: b"new".to_vec() }
                })
                .collect();

            counts.compare(trial, (number, &case), present.as_bytes(), &splices).await;
        }
        counts.assert_each(10);
    });
}
