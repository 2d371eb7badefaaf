//! The wall clock of a simulation: it goes with the runtime's paused time.

use std::cell::Cell;
use std::time::Duration;

use super::Instant;

thread_local! {
    /// When this thread's simulation began, and what the wall clock showed then.
    static BEGAN: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// Until it is dropped, this thread's wall clock is a simulation's.
pub(crate) struct SimulatedWall(());

/// Makes this thread's wall clock show `wall` now, and go on with the runtime's time.
pub(crate) fn simulate_wall(wall: Duration) -> SimulatedWall {
    BEGAN.set(Some((super::now(), wall)));
    SimulatedWall(())
}

impl Drop for SimulatedWall {
    fn drop(&mut self) {
        BEGAN.set(None);
    }
}

/// What it shows; `None` where time is real.
pub(super) fn wall() -> Option<Duration> {
    let (began, wall) = BEGAN.get()?;
    Some(wall + super::now().saturating_duration_since(began))
}
