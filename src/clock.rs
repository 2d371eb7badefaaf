//! The one place that reads time, so that a simulation can replace it.

#[cfg(test)]
mod simulated;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(test)]
pub(crate) use simulated::simulate_wall;
pub use tokio::time::Instant;

/// Monotonic time: for waits, deadlines and durations.
pub fn now() -> Instant {
    Instant::now()
}

/// Wall time, for people: since the Unix epoch.
pub fn wall() -> Duration {
    #[cfg(test)]
    if let Some(wall) = simulated::wall() {
        return wall;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// As [`wall`], in milliseconds.
pub fn wall_ms() -> u64 {
    u64::try_from(wall().as_millis()).unwrap_or(u64::MAX)
}
