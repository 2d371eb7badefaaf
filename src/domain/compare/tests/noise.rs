//! Noise: what is excused as it differs by itself, and what is not.

use super::*;
use crate::domain::compare::noise::WINDOW;

/// An answer in which `at` is what `differs` says.
fn answer(at: &str) -> String {
    format!(r#"{{"at": {at}, "status": "Departed"}}"#)
}

/// What the app's own answers teach: `trials` comparisons, of which so many differ at `/at`.
fn learnt(trials: u32, differed: u32) -> Noise {
    let mut noise = Noise::default();
    learn(&mut noise, trials, differed);
    noise
}

fn learn(noise: &mut Noise, trials: u32, differed: u32) {
    for trial in 0..trials {
        let second = if is_one_of(trial, trials, differed) { "2" } else { "1" };
        let same = compare_with(
            &Rules::default(),
            noise,
            &[],
            answer("1").as_bytes(),
            answer(second).as_bytes(),
        );
        noise.learn(&same);
    }
}

fn observe(noise: &mut Noise, trials: u32, differed: u32) {
    for trial in 0..trials {
        let second = if is_one_of(trial, trials, differed) { "2" } else { "1" };
        let other = compare_with(
            &Rules::default(),
            noise,
            &[],
            answer("1").as_bytes(),
            answer(second).as_bytes(),
        );
        noise.observe(&other);
    }
}

/// Spreads `chosen` of `all` evenly.
fn is_one_of(index: u32, all: u32, chosen: u32) -> bool {
    (index + 1) * chosen / all > index * chosen / all
}

fn excuses(noise: &Noise) -> bool {
    noise.is_noise("/at", DifferenceKind::Changed)
}

#[test]
fn what_differs_by_itself_is_excused_and_nothing_else() {
    let noise = learnt(10, 10);
    let compare = |candidate: &str| {
        compare_with(&Rules::default(), &noise, &[], answer("1").as_bytes(), candidate.as_bytes())
    };

    let only_noise = compare(&answer("7"));
    assert_eq!((only_noise.verdict, only_noise.cause), (Verdict::Ignored, None));
    assert_eq!(all_in_short(&only_noise), ["changed /at (noise)"]);
    let more = compare(r#"{"at": 7, "status": "Late"}"#);
    assert_eq!(all_in_short(&more), ["changed /at (noise)", "changed /status"]);
    assert_eq!(more.verdict, Verdict::Mismatched);
}

#[test]
fn nothing_is_noise_before_anything_is_learnt() {
    assert!(!excuses(&Noise::default()));
    assert_eq!(Noise::default().report(), []);
}

#[test]
fn a_fluke_excuses_nothing() {
    assert!(!excuses(&learnt(1, 1)));
    assert!(!excuses(&learnt(2, 2)));
    assert!(excuses(&learnt(3, 3)));
    assert!(excuses(&learnt(300, 3)));
    assert!(!excuses(&learnt(301, 3)));
}

#[test]
fn a_place_that_differs_rarely_by_itself_and_always_with_the_candidate_is_not_excused() {
    let mut noise = learnt(100, 5);
    assert!(excuses(&noise));

    observe(&mut noise, 2, 2);
    assert!(excuses(&noise), "two may be chance");
    observe(&mut noise, 1, 1);
    assert!(!excuses(&noise));
}

#[test]
fn a_place_is_excused_while_the_candidate_differs_about_as_often_as_the_app_itself() {
    let check = |(trials, alone): (u32, u32), (observed, there): (u32, u32), expected: bool| {
        let mut noise = learnt(trials, alone);
        observe(&mut noise, observed, there);
        assert_eq!(
            excuses(&noise),
            expected,
            "{alone}/{trials} by itself, {there}/{observed} with the candidate"
        );
    };

    check((100, 100), (100, 100), true);
    check((100, 90), (100, 100), true);
    check((100, 50), (100, 60), true);
    check((100, 50), (100, 100), false);
    check((100, 10), (100, 12), true);
    check((100, 10), (100, 50), false);
    // More often, but it may be chance.
    check((20, 3), (10, 4), true);
    // By more than chance, but not by much.
    check((1000, 500), (1000, 700), true);
    check((1000, 500), (1000, 800), false);
}

#[test]
fn a_candidate_that_settles_down_is_excused_again() {
    let mut noise = learnt(100, 20);
    observe(&mut noise, WINDOW, WINDOW);
    assert!(!excuses(&noise));

    // 40 % of all that was ever seen, and 21 % of what still counts.
    observe(&mut noise, 3 * WINDOW, 3 * WINDOW / 5);
    assert!(excuses(&noise));
}

#[test]
fn what_an_app_no_longer_does_is_forgotten() {
    let mut noise = learnt(100, 100);
    learn(&mut noise, 10 * WINDOW, 0);

    assert!(!excuses(&noise));
    assert_eq!(noise.report(), []);
}

#[test]
fn how_a_place_differs_counts() {
    let noise = learnt(10, 10);

    assert!(!noise.is_noise("/at", DifferenceKind::Missing));
    assert!(!noise.is_noise("/at", DifferenceKind::Type));
    assert!(!noise.is_noise("/at/0", DifferenceKind::Changed));
    assert!(!noise.is_noise("", DifferenceKind::Changed));
}

/// What ten comparisons of one answer with another teach.
fn learnt_from(rules: &Rules, control: &str, candidate: &str) -> Noise {
    let mut noise = Noise::default();
    for _ in 0..10 {
        noise.learn(&compare_json(rules, control, candidate));
    }
    noise
}

#[test]
fn what_is_learnt_of_one_element_is_true_of_all() {
    let noise =
        learnt_from(&Rules::default(), r#"{"s": [0, {"at": 1}]}"#, r#"{"s": [0, {"at": 2}]}"#);

    assert!(noise.is_noise("/s/0/at", DifferenceKind::Changed));
    assert!(noise.is_noise("/s/17/at", DifferenceKind::Changed));
    assert!(!noise.is_noise("/s/x/at", DifferenceKind::Changed));
}

#[test]
fn a_member_that_comes_and_goes_is_noise_from_either_side() {
    let noise = learnt_from(&Rules::default(), r#"{"a": 1}"#, "{}");

    assert!(noise.is_noise("/a", DifferenceKind::Missing));
    assert!(noise.is_noise("/a", DifferenceKind::Extra));
}

#[test]
fn an_element_without_a_partner_is_reported_and_never_excused() {
    let rules = rules(|rules| rules.unordered = patterns(&["/s"]));
    let noise =
        learnt_from(&rules, r#"{"s": [{"id": 1, "at": 1}]}"#, r#"{"s": [{"id": 1, "at": 2}]}"#);

    assert!(!noise.is_noise("/s/0", DifferenceKind::Missing));
    let [place] = noise.report().try_into().unwrap();
    assert_eq!((place.pointer.as_str(), place.differed, place.excused), ("/s/*", 10, false));
}

#[test]
fn a_body_as_a_whole_is_reported_and_never_excused() {
    let noise = learnt_from(&Rules::default(), "<a>", "<b>");

    assert!(!noise.is_noise("", DifferenceKind::Changed));
    let [place] = noise.report().try_into().unwrap();
    assert_eq!((place.pointer.as_str(), place.excused), ("", false));
}

#[test]
fn a_status_is_never_excused_and_bodies_under_two_statuses_teach_nothing() {
    let none = HeaderMap::new();
    let given = |status, body| Answer { status, headers: &none, body };
    let (control, candidate) = (given(200, br#"{"a": 1}"#), given(409, br#"{"error": 1}"#));
    let mut noise = Noise::default();
    for _ in 0..10 {
        noise.learn(&compare(&Rules::default(), &noise, &[], &control, &candidate));
    }

    let [place] = noise.report().try_into().unwrap();
    assert_eq!(
        (place.pointer.as_str(), place.trials, place.differed, place.excused),
        ("status", 10, 10, false)
    );
    assert_eq!(
        compare(&Rules::default(), &noise, &[], &control, &candidate).cause,
        Some(Cause::Status)
    );
}

#[test]
fn bodies_under_two_statuses_do_not_make_a_candidate_look_the_same() {
    let none = HeaderMap::new();
    let mut noise = learnt(100, 50);
    for _ in 0..100 {
        let control = Answer { status: 200, headers: &none, body: b"{}" };
        let candidate = Answer { status: 500, headers: &none, body: b"" };
        noise.observe(&compare(&Rules::default(), &noise, &[], &control, &candidate));
    }
    observe(&mut noise, 100, 100);

    assert!(!excuses(&noise));
}

#[test]
fn a_header_may_be_noise() {
    let rules = rules(|rules| rules.headers = vec!["date".parse().unwrap()]);
    let (early, late) = (headers(&[("date", "1")]), headers(&[("date", "2")]));
    let (control, candidate) = (
        Answer { status: 200, headers: &early, body: b"" },
        Answer { status: 200, headers: &late, body: b"" },
    );
    let mut noise = Noise::default();
    for _ in 0..3 {
        noise.learn(&compare(&rules, &noise, &[], &control, &candidate));
    }

    let comparison = compare(&rules, &noise, &[], &control, &candidate);
    assert_eq!(all_in_short(&comparison), ["changed header:date (noise)"]);
    assert_eq!(comparison.verdict, Verdict::Ignored);
}

#[test]
fn what_a_rule_ignores_is_not_learnt() {
    let rules = rules(|rules| rules.ignore = patterns(&["/at"]));

    assert_eq!(learnt_from(&rules, &answer("1"), &answer("2")).report(), []);
}

#[test]
fn the_most_frequent_place_is_reported_first() {
    let mut noise = learnt_from(&Rules::default(), r#"{"z": 1}"#, r#"{"z": 2}"#);
    noise.learn(&compare_json(&Rules::default(), r#"{"a": 1, "z": 1}"#, r#"{"a": "", "z": 2}"#));

    let report = noise.report();
    let lines: Vec<_> = report
        .iter()
        .map(|p| (p.pointer.as_str(), p.kind, p.trials, p.differed, p.excused))
        .collect();
    assert_eq!(
        lines,
        [("/z", DifferenceKind::Changed, 11, 11, true), ("/a", DifferenceKind::Type, 11, 1, false)]
    );
}

#[test]
fn places_are_bounded_and_one_offs_give_way_first() {
    let mut noise = learnt(10, 10);
    let mut learn_one_offs = |ids: std::ops::Range<usize>| {
        for id in ids {
            let one_off = format!("{{\"id-{id}\": 1}}");
            noise.learn(&compare_json(&Rules::default(), one_off, "{}"));
        }
        noise.clone()
    };
    let pointers =
        |noise: &Noise| noise.report().into_iter().map(|place| place.pointer).collect::<Vec<_>>();

    let full = learn_one_offs(1..MAX_PLACES);
    assert_eq!((full.report().len(), full.crowded_out()), (MAX_PLACES, 0));
    let crowded = learn_one_offs(MAX_PLACES..MAX_PLACES + 100);
    assert_eq!((crowded.report().len(), crowded.crowded_out()), (MAX_PLACES, 100));
    // The ones that were seen the longest ago are gone; the one that was seen more often is not.
    let kept: Vec<_> = (101..MAX_PLACES + 100).map(|id| format!("/id-{id}")).collect();
    assert_eq!(pointers(&crowded)[0], "/at");
    assert!(kept.iter().all(|pointer| pointers(&crowded).contains(pointer)));
}

#[test]
fn a_place_that_comes_when_all_others_came_again_is_not_taken_in() {
    let mut noise = Noise::default();
    for id in (0..MAX_PLACES).chain(0..MAX_PLACES) {
        noise.learn(&compare_json(&Rules::default(), format!("{{\"id-{id}\": 1}}"), "{}"));
    }
    noise.learn(&compare_json(&Rules::default(), r#"{"late": 1}"#, "{}"));

    assert!(noise.report().iter().all(|place| place.pointer != "/late"));
    assert_eq!(noise.crowded_out(), 1);
}
