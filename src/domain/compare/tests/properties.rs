//! What is true of every pair of documents.

use super::documents::{Doc, PLANTED, Way, any_doc};
use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

fn written(doc: &Doc, seed: u64) -> String {
    doc.written(&mut fastrand::Rng::with_seed(seed))
}

/// Compares documents, each written as it falls.
fn compare_docs(rules: &Rules, control: &Doc, candidate: &Doc, seed: u64) -> Comparison {
    compare_json(rules, written(control, seed), written(candidate, !seed))
}

/// Rules of every kind, over the names that documents are made of.
fn any_rules() -> impl Strategy<Value = Rules> {
    let places = || {
        let place = prop::sample::select(
            ["/a", "/at", "/*/at", "/**/id", "/**/b/*", "/0", "/**/0"].as_slice(),
        );
        prop::collection::vec(place.prop_map(|text| text.parse().unwrap()), 0..3)
    };
    let unordered =
        prop_oneof![Just(vec![]), Just(patterns(&["/**"])), Just(patterns(&["/a", "/*", "/*/*"]))];
    let tolerance = prop::sample::select([0.0, 0.0, 0.1, 0.6].as_slice());
    let decimal_text = prop_oneof![Just(DecimalText::Exact), Just(DecimalText::ByValue)];
    (places(), unordered, tolerance, decimal_text).prop_map(
        |(ignore, unordered, tolerance, decimal_text)| Rules {
            ignore,
            unordered,
            tolerance,
            decimal_text,
            ..Rules::default()
        },
    )
}

/// A document and another one that comes from it by a few changes.
fn any_kin() -> impl Strategy<Value = (Doc, Doc)> {
    let change = (any::<Index>(), any_doc());
    (any_doc(), prop::collection::vec(change, 0..4)).prop_map(|(doc, changes)| {
        let mut other = doc.clone();
        for (at, value) in changes {
            let ways = other.ways();
            let way: &Way = at.get(&ways);
            *other.at_mut(way) = value;
        }
        (doc, other)
    })
}

/// A change of a document.
#[derive(Clone, Copy, Debug)]
enum Change {
    Replace,
    Remove,
    Add,
}

/// Makes a change at some place where it can be made; gives its way in whichever document has what was changed.
fn plant(doc: &Doc, change: Change, at: &Index) -> Option<(Doc, Way)> {
    let mut changed = doc.clone();
    let is_container = |doc: &Doc| matches!(doc, Doc::Array(_) | Doc::Object(_));
    let fits = |way: &Way| match change {
        Change::Replace => true,
        Change::Remove => !way.is_empty(),
        Change::Add => is_container(doc.at(way)),
    };
    let ways: Vec<_> = doc.ways().into_iter().filter(fits).collect();
    let way = (!ways.is_empty()).then(|| at.get(&ways).clone())?;
    let planted = Doc::Text(PLANTED.to_owned());
    match change {
        Change::Replace => *changed.at_mut(&way) = planted,
        Change::Remove => {
            let (last, parent) = way.split_last()?;
            match changed.at_mut(parent) {
                Doc::Array(elements) => drop(elements.remove(*last)),
                Doc::Object(members) => drop(members.remove(*last)),
                _ => return None,
            }
        }
        Change::Add => {
            let container = changed.at_mut(&way);
            let count = match container {
                Doc::Array(elements) => {
                    elements.push(planted);
                    elements.len()
                }
                Doc::Object(members) => {
                    members.push((PLANTED.to_owned(), planted));
                    members.len()
                }
                _ => return None,
            };
            return Some((changed, [way, vec![count - 1]].concat()));
        }
    }
    Some((changed, way))
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![Just(Change::Replace), Just(Change::Remove), Just(Change::Add)]
}

proptest! {
    #[test]
    fn a_document_is_the_same_however_it_is_written(doc in any_doc(), rules in any_rules(), seed: u64) {
        let other = doc.shuffled(&mut fastrand::Rng::with_seed(seed), false);
        let comparison = compare_docs(&rules, &doc, &other, seed);

        prop_assert_eq!(comparison.verdict, Verdict::Matched);
        prop_assert_eq!(comparison.differences, []);
    }

    #[test]
    fn the_verdict_is_the_same_from_either_side((doc, other) in any_kin(), rules in any_rules(), seed: u64) {
        let there = compare_docs(&rules, &doc, &other, seed);
        let back = compare_docs(&rules, &other, &doc, seed);

        prop_assert_eq!((there.verdict, there.cause), (back.verdict, back.cause));
        prop_assert_eq!(there.differences.len(), back.differences.len());
    }

    #[test]
    fn every_pointer_leads_somewhere((doc, other) in any_kin(), rules in any_rules(), seed: u64) {
        for difference in compare_docs(&rules, &doc, &other, seed).differences {
            let place = &difference.pointer;
            let (expected, found) = (doc.resolve(place), other.resolve(place));
            let resolves = match difference.kind {
                DifferenceKind::Missing => expected.is_some(),
                DifferenceKind::Extra => found.is_some(),
                // An element of an unordered array is named as it stands in the control's.
                _ if !rules.unordered.is_empty() => expected.is_some(),
                _ => expected.is_some() && found.is_some() && expected != found,
            };
            prop_assert!(resolves, "{:?}", difference);
        }
    }

    #[test]
    fn a_planted_change_is_found_where_it_is(doc in any_doc(), change in any_change(), at: Index, seed: u64) {
        let Some((changed, way)) = plant(&doc, change, &at) else { return Ok(()) };
        let shuffled = changed.shuffled(&mut fastrand::Rng::with_seed(seed), false);
        let comparison = compare_docs(&Rules::default(), &doc, &shuffled, seed);

        prop_assert_eq!(comparison.verdict, Verdict::Mismatched);
        let parent = way.split_last().map_or(&[][..], |(_, parent)| parent);
        let in_array = matches!(doc.at(parent), Doc::Array(_));
        let first = &comparison.differences[0];
        match (change, in_array) {
            (Change::Remove | Change::Add, true) => {
                prop_assert_eq!((first.kind, &first.pointer), (DifferenceKind::Length, &doc.pointer(parent)));
            }
            _ => {
                let place = if matches!(change, Change::Add) { changed.pointer(&way) } else { doc.pointer(&way) };
                prop_assert_eq!(comparison.differences.len(), 1);
                prop_assert_eq!(&first.pointer, &place);
                let is_kind = match change {
                    Change::Add => first.kind == DifferenceKind::Extra,
                    Change::Remove => first.kind == DifferenceKind::Missing,
                    Change::Replace => matches!(first.kind, DifferenceKind::Changed | DifferenceKind::Type),
                };
                prop_assert!(is_kind, "{:?}", first);
            }
        }
    }

    #[test]
    fn ignoring_a_place_hides_no_other(doc in any_doc(), at: Index, ignored: Index, seed: u64) {
        let Some((changed, way)) = plant(&doc, Change::Replace, &at) else { return Ok(()) };
        let ways = doc.ways();
        let ignored = ignored.get(&ways);
        let pattern = if ignored.is_empty() { "/**".to_owned() } else { doc.pointer(ignored) };
        let rules = rules(|rules| rules.ignore = patterns(&[&pattern]));
        let comparison = compare_docs(&rules, &doc, &changed, seed);

        let expected = if way.starts_with(ignored) { Verdict::Ignored } else { Verdict::Mismatched };
        prop_assert_eq!(comparison.verdict, expected);
    }

    #[test]
    fn only_ignored_changes_are_ignored_in_unordered_arrays_too(
        (doc, other) in any_kin(), ats in prop::collection::vec((any::<Index>(), any_doc()), 0..4), seed: u64,
    ) {
        // The same document but for members that are ignored, its arrays in another order.
        let mut noisy = doc.clone();
        for (at, value) in ats {
            let ways = noisy.ways();
            let objects: Vec<_> = ways.iter().filter(|way| matches!(noisy.at(way), Doc::Object(_))).collect();
            if objects.is_empty() {
                continue;
            }
            let way = (*at.get(&objects)).clone();
            let Doc::Object(members) = noisy.at_mut(&way) else { return Ok(()) };
            members.retain(|(name, _)| name != "ignored");
            members.push(("ignored".to_owned(), value));
        }
        let rules = rules(|rules| {
            rules.unordered = patterns(&["/**"]);
            rules.ignore = patterns(&["/**/ignored"]);
        });
        let mut random = fastrand::Rng::with_seed(seed);
        let shuffled = noisy.shuffled(&mut random, true);

        let expected = if noisy == doc { Verdict::Matched } else { Verdict::Ignored };
        prop_assert_eq!(compare_docs(&rules, &doc, &shuffled, seed).verdict, expected);
        let (plain, with_noise) =
            (compare_docs(&rules, &doc, &other, seed), compare_docs(&rules, &shuffled, &other, seed));
        prop_assert_eq!(plain.verdict == Verdict::Mismatched, with_noise.verdict == Verdict::Mismatched);
    }

    #[test]
    fn the_order_of_unordered_arrays_says_nothing((doc, other) in any_kin(), rules in any_rules(), seed: u64) {
        let rules = Rules { unordered: patterns(&["/**"]), ..rules };
        let mut random = fastrand::Rng::with_seed(seed);
        let (shuffled, others) = (doc.shuffled(&mut random, true), other.shuffled(&mut random, true));

        prop_assert_eq!(compare_docs(&rules, &doc, &shuffled, seed).verdict, Verdict::Matched);
        let verdict = compare_docs(&rules, &doc, &other, seed).verdict;
        prop_assert_eq!(compare_docs(&rules, &shuffled, &others, seed).verdict, verdict);
    }

    #[test]
    fn a_change_planted_in_unordered_arrays_is_found(
        doc in any_doc(), change in any_change(), at: Index, rules in any_rules(), seed: u64,
    ) {
        let Some((changed, _)) = plant(&doc, change, &at) else { return Ok(()) };
        let rules = Rules { unordered: patterns(&["/**"]), ignore: vec![], ..rules };
        let shuffled = changed.shuffled(&mut fastrand::Rng::with_seed(seed), true);
        let comparison = compare_docs(&rules, &doc, &shuffled, seed);

        prop_assert_eq!(comparison.verdict, Verdict::Mismatched);
        prop_assert!(!comparison.differences.is_empty());
    }

    #[test]
    fn more_rules_never_find_more((doc, other) in any_kin(), rules in any_rules(), seed: u64) {
        let strict = compare_docs(&Rules::default(), &doc, &other, seed);
        let lenient = compare_docs(&rules, &doc, &other, seed);

        prop_assert!(strict.verdict == Verdict::Mismatched || lenient.verdict == Verdict::Matched);
    }
}
