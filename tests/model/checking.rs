//! Runs the checker, and reads what it has found.

use std::time::Instant;

use interlock::domain::flag::Strategy;
use stateright::{Checker, CheckerBuilder, Expectation, HasDiscoveries, Model, Path};

use super::bounds::{Bounds, Flaw, Protocol};
use super::protocol::{Event, NEIGHBOURS, NOTHING_DENIED, NOTHING_LOST};
use super::world::World;

/// The strategies of the fixed path.
pub const STRATEGIES: [Strategy; 3] = [Strategy::Serialize, Strategy::Atomic, Strategy::Upstream];

/// What holds while nothing is forced or killed.
pub const ALL: &[&str] = &[NOTHING_LOST, NOTHING_DENIED, NEIGHBOURS];

/// Asks for runs that take minutes.
const SIZE: &str = "INTERLOCK_MODEL";

/// Whether the large runs are asked for: `INTERLOCK_MODEL=large`.
pub fn is_large() -> bool {
    match std::env::var(SIZE).as_deref() {
        Err(_) | Ok("" | "small") => false,
        Ok("large") => true,
        Ok(other) => panic!("{SIZE} is {other:?}: it may be `small`, the default, or `large`"),
    }
}

/// The protocol as it is keeps these promises, in every state; and what a promise is worthless without does happen.
pub fn holds(strategy: Strategy, bounds: Bounds, promises: &[&'static str]) {
    keeps(Protocol { strategy, bounds, flaw: None }, promises);
}

/// The same, with one of its rules broken.
pub fn keeps(protocol: Protocol, promises: &[&'static str]) {
    let began = Instant::now();
    let threads = if is_large() { 2 } else { 1 };
    let checker = checker(protocol, promises).threads(threads);
    // Who was gone past is in the document by name: then sidecars differ in more than their places.
    let checker = match protocol.bounds.force {
        true => checker,
        false => checker.symmetry_fn(World::in_order),
    };
    let checker = checker.spawn_dfs().join();
    let found = checker.discoveries();

    for promise in promises {
        if let Some(path) = found.get(promise) {
            panic!("{promise} fails in {protocol}:\n{}", told(path));
        }
    }
    for property in protocol.properties() {
        let happens = property.expectation == Expectation::Sometimes;
        assert!(!happens || found.contains_key(property.name), "{} in {protocol}", property.name);
    }
    let states = checker.unique_state_count();
    println!("{protocol}: {states} states, {:.1?}", began.elapsed());
}

/// With a rule broken these promises are not kept, for each of the strategies; with the rule they are. `--no-capture` shows
/// how.
pub fn loses(flaw: Flaw, strategies: &[Strategy], bounds: Bounds, promises: &[&'static str]) {
    for strategy in strategies {
        for promise in promises {
            breaks(Protocol { strategy: *strategy, bounds, flaw: Some(flaw) }, promise);
        }
        holds(*strategy, bounds, promises);
    }
}

/// A promise is not kept: there is a shortest way to a state in which something is gone.
pub fn breaks(protocol: Protocol, promise: &'static str) {
    let path = shortest(protocol, promise);
    let path = path.unwrap_or_else(|| panic!("{promise} holds in {protocol}"));
    let told = told(&path);

    let property = protocol.properties().into_iter().find(|it| it.name == promise);
    let property = property.expect("the promise is one of the model's");
    let mut states = path.into_states();
    let last = states.pop().expect("a path has a state");
    assert!(!(property.condition)(&protocol, &last), "{told}");
    assert!(states.iter().all(|state| (property.condition)(&protocol, state)), "{told}");
    assert!(!states.is_empty(), "the first state is sound: {told}");
    println!("{protocol}: {promise} fails after {} events:\n{told}", states.len());
}

/// The checker goes on for a while after it has found something, and keeps the last that it finds.
fn shortest(protocol: Protocol, promise: &'static str) -> Option<Path<World, Event>> {
    let found = |checker: CheckerBuilder<Protocol>| checker.spawn_bfs().join().discovery(promise);
    let mut shortest = found(checker(protocol, &[promise]))?;
    loop {
        let states = shortest.clone().into_states().len();
        // States at this depth are not looked at any more.
        match found(checker(protocol, &[promise]).target_max_depth(states)) {
            Some(shorter) => shortest = shorter,
            None => return Some(shortest),
        }
    }
}

fn checker(protocol: Protocol, promises: &[&'static str]) -> CheckerBuilder<Protocol> {
    let any = HasDiscoveries::AnyOf(promises.iter().copied().collect());
    protocol.checker().finish_when(any)
}

/// What happened, a line each, and what the entity was then.
fn told(path: &Path<World, Event>) -> String {
    let mut text = String::new();
    let events = path.clone().into_actions();
    let after = path.clone().into_states().into_iter().skip(1);
    for (event, world) in events.iter().zip(after) {
        let stage = world.document.rule.stage;
        text += &format!("  {event:?}: the document in {stage:?}, {:?}\n", world.entity);
    }
    text
}
