//! The decision: which path a call takes, and why.

use super::flag::{FlagState, Path};
use super::percent::Percent;
use super::transition::Stage;

/// How well the flags are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// As the store has them.
    Live,
    /// As last known; the store could not be asked since. Arms don't move.
    Stale,
    /// Never read: the configured start values count.
    NeverLoaded,
}

impl Freshness {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 3] = [Self::Live, Self::Stale, Self::NeverLoaded];

    /// The word for it in labels and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::NeverLoaded => "never_loaded",
        }
    }
}

/// Why a call takes its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its bucket is on that side of the percentage.
    Split,
    /// Its entity is pinned.
    Pinned,
    /// The flag is killed.
    Killed,
    /// The percentage is 0 or 100: every entity takes that path.
    Static,
    /// Decided from flags that may be old.
    Stale,
    /// Decided from the configured start values, as the store was never read.
    Default,
    /// The entity could not be made out of the call.
    NoEntity,
}

impl Reason {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 7] = [
        Self::Split,
        Self::Pinned,
        Self::Killed,
        Self::Static,
        Self::Stale,
        Self::Default,
        Self::NoEntity,
    ];

    /// The word for it in labels and traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Pinned => "pinned",
            Self::Killed => "killed",
            Self::Static => "static",
            Self::Stale => "stale",
            Self::Default => "default",
            Self::NoEntity => "no_entity",
        }
    }
}

/// The path of one call, and why it takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which path serves.
    pub path: Path,
    /// Whether it holds the entity's lease meanwhile.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    /// The decision for a call whose entity could not be made out: it goes to legacy untouched.
    pub const NO_ENTITY: Self =
        Self { path: Path::Legacy, stage: Stage::Legacy, reason: Reason::NoEntity };
}

/// Decides for an entity. The same flag state and entity give the same path on every sidecar; freshness changes only
/// the reason, never the path.
pub fn decide(flag: &str, state: &FlagState, freshness: Freshness, entity: &str) -> Decision {
    let stage = state.stage_of(flag, entity);
    let reason = match (state.killed, state.pins.path_of(entity)) {
        (true, _) => Some(Reason::Killed),
        (false, Some(_)) => Some(Reason::Pinned),
        (false, None) => None,
    };
    if let Some(reason) = reason {
        return Decision { path: stage.path(), stage, reason };
    }
    let reason = match state.percent {
        Percent::ZERO | Percent::FULL if state.transit.is_none() => Reason::Static,
        _ => Reason::Split,
    };
    let reason = match freshness {
        Freshness::Live => reason,
        Freshness::Stale => Reason::Stale,
        Freshness::NeverLoaded => Reason::Default,
    };
    Decision { path: stage.path(), stage, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state(percent: &str) -> FlagState {
        FlagState::initial(percent.parse().unwrap(), 0)
    }

    fn pinned(percent: &str, entity: &str, path: Path) -> FlagState {
        let mut state = state(percent);
        match path {
            Path::Legacy => state.pins.legacy.insert(entity.to_owned()),
            Path::Fixed => state.pins.fixed.insert(entity.to_owned()),
        };
        state
    }

    fn decided(state: &FlagState) -> (Path, Reason) {
        let decision = decide("flag", state, Freshness::Live, "journey:7");
        (decision.path, decision.reason)
    }

    #[test]
    fn the_ends_of_the_scale_are_static() {
        assert_eq!(decided(&state("0")), (Path::Legacy, Reason::Static));
        assert_eq!(decided(&state("100")), (Path::Fixed, Reason::Static));
        assert_eq!(decided(&state("50")).1, Reason::Split);
    }

    #[test]
    fn a_pin_beats_the_percentage_and_a_kill_beats_both() {
        assert_eq!(decided(&pinned("0", "journey:7", Path::Fixed)), (Path::Fixed, Reason::Pinned));
        assert_eq!(
            decided(&pinned("100", "journey:7", Path::Legacy)),
            (Path::Legacy, Reason::Pinned)
        );

        let killed = FlagState { killed: true, ..pinned("100", "journey:7", Path::Fixed) };
        assert_eq!(decided(&killed), (Path::Legacy, Reason::Killed));
    }

    proptest! {
        #[test]
        fn losing_the_store_moves_no_entity(entity in ".{1,40}", hundredths in 0u16..=10_000) {
            let state = FlagState::initial(Percent::from_hundredths(hundredths).unwrap(), 0);
            let path = |freshness| decide("flag", &state, freshness, &entity).path;

            prop_assert_eq!(path(Freshness::Live), path(Freshness::Stale));
            prop_assert_eq!(path(Freshness::Live), path(Freshness::NeverLoaded));
        }

        #[test]
        fn a_killed_flag_takes_nothing_to_the_fixed_path(
            entity in ".{1,40}", hundredths in 0u16..=10_000, pinned in any::<bool>(),
            freshness in proptest::sample::select(&Freshness::ALL[..])
        ) {
            let percent = Percent::from_hundredths(hundredths).unwrap();
            let mut state = FlagState { killed: true, ..FlagState::initial(percent, 0) };
            if pinned {
                state.pins.fixed.insert(entity.clone());
            }

            let decision = decide("flag", &state, freshness, &entity);

            let stage = Stage::Legacy;
            prop_assert_eq!(decision, Decision { path: Path::Legacy, stage, reason: Reason::Killed });
        }

        #[test]
        fn a_pin_moves_its_entity_alone(entity in "[a-m]{1,20}", other in "[n-z]{1,20}", hundredths in 0u16..=10_000) {
            let state = FlagState::initial(Percent::from_hundredths(hundredths).unwrap(), 0);
            let mut pinned = state.clone();
            pinned.pins.fixed.insert(entity.clone());
            let decided = |state, entity: &str| decide("flag", state, Freshness::Live, entity);

            prop_assert_eq!(decided(&pinned, &entity).path, Path::Fixed);
            prop_assert_eq!(decided(&pinned, &other), decided(&state, &other));
        }

        #[test]
        fn raising_moves_no_entity_back(entity in ".{1,40}", a in 0u16..=10_000, b in 0u16..=10_000) {
            let path = |hundredths| {
                let state = FlagState::initial(Percent::from_hundredths(hundredths).unwrap(), 0);
                decide("flag", &state, Freshness::Live, &entity).path
            };

            prop_assert!(path(a.min(b)) <= path(a.max(b)));
        }
    }
}
