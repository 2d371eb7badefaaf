//! The clock of the journals: this process's own, or the one that a fleet shares.

use std::time::Duration;

use crate::clock::{self, Instant};
use crate::domain::effects::{CommonClock, Noted, Stamp};
use crate::shadow::journal::Exchanged;

/// Stamps the moments of this process.
#[derive(Debug)]
pub(super) struct Clock {
    origin: Instant,
    common: Option<CommonClock>,
}

impl Clock {
    /// With an id, the clock that a fleet shares, of which this process's is one view.
    pub(super) fn new(id: Option<u64>) -> Self {
        Self { origin: clock::now(), common: id.map(CommonClock::new) }
    }

    /// This process's clock, among all of a fleet.
    pub(super) fn id(&self) -> u64 {
        self.common.as_ref().map_or(0, CommonClock::id)
    }

    /// A moment, for others; `None` before the shared clock is known.
    pub(super) fn stamp(&self, moment: Instant) -> Option<Stamp> {
        match &self.common {
            None => Some(Stamp::alone(self.ticks(moment))),
            Some(common) => common.stamp(self.ticks(moment)),
        }
    }

    /// A stamp as a moment of this process, as well as it can be told.
    pub(super) fn moment(&self, stamp: &Stamp) -> Instant {
        if stamp.clock == self.id() {
            return self.origin + Duration::from_micros(stamp.ticks);
        }
        let now = clock::now();
        let Some(present) = self.stamp(now) else { return now };
        let ago = Duration::from_micros(present.earliest.saturating_sub(stamp.earliest));
        now.checked_sub(ago).unwrap_or(now)
    }

    /// Learns from an answer what the shared clock says. `false` where it was set: nothing from before can be compared.
    pub(super) fn learn(&mut self, answer: &Exchanged) -> bool {
        let (asked, answered) = (self.ticks(answer.asked), self.ticks(answer.answered));
        let Some(common) = &mut self.common else { return true };
        common.note(asked, answer.store_now, answered) == Noted::Fine
    }

    /// It is another one from now on.
    pub(super) fn forget(&mut self) {
        self.common = self.common.as_ref().map(|common| CommonClock::new(common.id()));
    }

    fn ticks(&self, moment: Instant) -> u64 {
        // What began before this was made counts as just then.
        let micros = moment.saturating_duration_since(self.origin).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}
