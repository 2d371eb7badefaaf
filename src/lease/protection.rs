//! What an update was protected by, now that it has ended.

use super::Reach;
use crate::domain::flag::Protection;
use crate::domain::transition::Stage;
use crate::fleet::ledger::Underway;
use crate::telemetry::labels::Exposure;

/// The protection that an update really had: by the stage that decided it, how far its lease reaches by now, or what it has
/// `without` one, and what has become of its flag meanwhile. Why it was exposed, where it was.
pub(crate) fn protection(
    stage: Stage,
    reach: Option<Reach>,
    without: Protection,
    underway: Option<&Underway>,
) -> (Protection, Option<Exposure>) {
    let promised = match (reach, stage) {
        (None, _) => without,
        (Some(Reach::Exposed(reason)), _) => return (Protection::Exposed, Some(reason)),
        // On its way from one path to the other: legacy calls from before may not have ended.
        (Some(_), Stage::Guarded | Stage::GuardedFixed) => Protection::Guarded,
        (Some(Reach::Process), _) => Protection::Local,
        (Some(Reach::Fleet), _) => Protection::Protected,
    };
    let broken = match promised {
        Protection::None | Protection::Exposed => None,
        _ => underway.and_then(|underway| underway.exposure(reach.is_none())),
    };
    broken.map_or((promised, None), |reason| (Protection::Exposed, Some(reason)))
}
