//! Whatever people do, entities move by legal steps alone, and arrive.

use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use super::*;
use crate::domain::flag::{Author, Strategy};

const FLAG: &str = "flag";
const STRATEGIES: [Strategy; 3] = [Strategy::Serialize, Strategy::Atomic, Strategy::Upstream];

fn percent(whole: u16) -> Percent {
    Percent::from_hundredths(whole * 100).unwrap()
}

fn changed(state: &FlagState, strategy: Strategy, change: &Change) -> FlagState {
    let author = Author { by: "ann".into(), reason: "try it".into(), at_ms: 7 };
    state.changed(FLAG, strategy, change, author).unwrap()
}

fn stepped(state: &FlagState, strategy: Strategy) -> FlagState {
    state.stepped(FLAG, strategy, Default::default()).unwrap()
}

/// The stages that an entity goes through until the flag is settled, the present one first.
fn way(state: &FlagState, strategy: Strategy, entity: &str) -> Vec<Stage> {
    let mut state = state.clone();
    let mut way = vec![state.stage_of(FLAG, entity)];
    while state.transit.is_some() {
        state = stepped(&state, strategy);
        way.push(state.stage_of(FLAG, entity));
        assert!(way.len() < 10, "{state:?}");
    }
    way
}

fn set(state: &FlagState, strategy: Strategy, whole: u16) -> FlagState {
    changed(state, strategy, &Change::Percent(percent(whole)))
}

fn start(whole: u16) -> FlagState {
    FlagState::initial(percent(whole), 1)
}

#[test]
fn up_and_down_each_strategy_goes_through_its_stages() {
    use Stage::{Fixed, Guarded, GuardedFixed, Legacy};
    let check = |strategy, up: &[Stage], down: &[Stage]| {
        assert_eq!(way(&set(&start(0), strategy, 100), strategy, "e"), up, "{strategy:?}");
        assert_eq!(way(&set(&start(100), strategy, 0), strategy, "e"), down, "{strategy:?}");
    };

    check(Strategy::Serialize, &[Guarded, Fixed], &[Guarded, Legacy]);
    check(Strategy::Atomic, &[Guarded, Fixed], &[Guarded, Legacy]);
    check(Strategy::Upstream, &[Guarded, GuardedFixed, Fixed], &[GuardedFixed, Guarded, Legacy]);
}

#[test]
fn a_kill_leaves_the_fixed_path_at_once_and_says_what_it_left_out() {
    let killed = |strategy| changed(&start(50), strategy, &Change::Kill);
    let low = (0..).map(|n| format!("e{n}")).find(|e| percent(50).admits(Bucket::of(FLAG, e)));

    for strategy in STRATEGIES {
        let state = killed(strategy);
        let way = way(&state, strategy, low.as_ref().unwrap());
        assert_eq!(way, [Stage::Guarded, Stage::Legacy]);
        let skipped = state.transit.as_ref().unwrap().skipped;
        assert_eq!(skipped, strategy == Strategy::Upstream, "{strategy:?}");
    }
    assert_eq!(changed(&start(0), Strategy::Upstream, &Change::Kill).transit, None);
}

#[test]
fn a_flip_in_the_middle_of_one_turns_round_without_waiting() {
    let up = set(&start(0), Strategy::Serialize, 100);

    let back = set(&up, Strategy::Serialize, 0);

    assert_eq!(way(&back, Strategy::Serialize, "e"), [Stage::Guarded, Stage::Legacy]);
}

#[test]
fn what_would_begin_in_another_stage_waits_where_it_is() {
    // 50 to 60 % is at F', and 70 % is asked for: 60 to 70 % must not be in G at the same time.
    let at = |whole| stepped(&set(&start(50), Strategy::Upstream, whole), Strategy::Upstream);
    let state = at(60);
    assert_eq!(state.transit.as_ref().unwrap().stage, Stage::GuardedFixed);

    let further = set(&state, Strategy::Upstream, 70);

    let transit = further.transit.as_ref().unwrap();
    assert_eq!(
        (transit.low, transit.high, transit.stage),
        (percent(50), percent(60), Stage::GuardedFixed)
    );
    let next = stepped(&further, Strategy::Upstream);
    let transit = next.transit.as_ref().unwrap();
    assert_eq!(
        (transit.low, transit.high, transit.stage),
        (percent(60), percent(70), Stage::Guarded)
    );
}

#[test]
fn a_pin_moves_its_entity_by_the_same_stages() {
    let pin = |state: &FlagState, path| {
        changed(state, Strategy::Upstream, &Change::Pin { entity: "e".into(), path })
    };

    let pinned = pin(&start(0), Some(Path::Fixed));
    let taken_back = pin(&pinned, None);
    let nothing = pin(&start(0), Some(Path::Legacy));

    let fixed = [Stage::Guarded, Stage::GuardedFixed, Stage::Fixed];
    assert_eq!(way(&pinned, Strategy::Upstream, "e"), fixed);
    assert_eq!(pinned.stage_of(FLAG, "other"), Stage::Legacy);
    assert_eq!(way(&taken_back, Strategy::Upstream, "e"), [Stage::Guarded, Stage::Legacy]);
    assert_eq!(nothing.transit, None);
}

#[test]
fn a_settled_flag_has_nothing_to_step() {
    assert_eq!(start(50).stepped(FLAG, Strategy::Serialize, Default::default()), None);
    let force = changed(&start(50), Strategy::Serialize, &Change::Force);
    assert_eq!(force.transit, None);
}

#[derive(Clone, Debug)]
enum Do {
    Change(Change),
    Step,
}

fn any_change() -> impl proptest::strategy::Strategy<Value = Do> {
    let pin = (0u8..4, prop_oneof![Just(None), Just(Some(Path::Legacy)), Just(Some(Path::Fixed))]);
    prop_oneof![
        4 => (0u16..=10).prop_map(|tenth| Do::Change(Change::Percent(percent(tenth * 10)))),
        1 => Just(Do::Change(Change::Kill)),
        1 => Just(Do::Change(Change::Resume)),
        1 => Just(Do::Change(Change::Force)),
        3 => pin.prop_map(|(n, path)| Do::Change(Change::Pin { entity: format!("e{n}"), path })),
        6 => Just(Do::Step),
    ]
}

/// Whether an entity may go from one stage to the other: without the barrier, or with it.
fn is_legal(from: Stage, to: Stage, did: &Do, strategy: Strategy) -> bool {
    use Stage::{Fixed, Guarded, GuardedFixed, Legacy};
    let is_upstream = strategy == Strategy::Upstream;
    let guards = match (from, to) {
        (Legacy, Guarded) => true,
        (Fixed, GuardedFixed) => is_upstream,
        (Fixed, Guarded) => !is_upstream,
        _ => from == to,
    };
    let leaves = match (from, to) {
        (Guarded, Legacy) => true,
        (Guarded, Fixed) => !is_upstream,
        (Guarded, GuardedFixed) | (GuardedFixed, Guarded | Fixed) => is_upstream,
        _ => false,
    };
    match did {
        Do::Step => guards || leaves,
        Do::Change(Change::Kill) => guards || (to == Guarded && from.path() == Path::Fixed),
        Do::Change(_) => guards,
    }
}

proptest! {
    #[test]
    fn entities_move_by_legal_steps_alone_and_arrive(
        first in 0u16..=10, strategy in proptest::sample::select(&STRATEGIES[..]),
        what in prop::collection::vec(any_change(), 1..24),
    ) {
        // Pinned ones among them, and one a bucket of every tenth.
        let entities: Vec<String> = (0..60).map(|n| format!("e{n}")).collect();
        let mut state = start(first * 10);
        for did in what {
            let next = match &did {
                Do::Change(change) => changed(&state, strategy, change),
                Do::Step => match state.stepped(FLAG, strategy, Default::default()) {
                    Some(next) => next,
                    None => continue,
                },
            };
            prop_assert!(next.turn() > state.turn());
            for entity in &entities {
                let (from, to) = (state.stage_of(FLAG, entity), next.stage_of(FLAG, entity));
                prop_assert!(is_legal(from, to, &did, strategy), "{entity}: {from:?} -> {to:?} by {did:?}, {state:?}");
            }
            state = next;
        }

        for _ in 0..8 {
            state = state.stepped(FLAG, strategy, Default::default()).unwrap_or(state);
        }

        prop_assert_eq!(&state.transit, &None);
        for entity in &entities {
            let at_rest = Stage::at_rest(state.path_at_rest(FLAG, entity));
            prop_assert_eq!(state.stage_of(FLAG, entity), at_rest);
        }
    }

    #[test]
    fn raising_never_takes_an_entity_back(
        from in 0u16..=10, to in 0u16..=10, strategy in proptest::sample::select(&STRATEGIES[..]),
    ) {
        let state = set(&start(from.min(to) * 10), strategy, from.max(to) * 10);
        for n in 0..40 {
            let way = way(&state, strategy, &format!("e{n}"));
            prop_assert!(way.is_sorted(), "{way:?}");
        }
    }
}
