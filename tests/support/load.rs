//! Callers that update journeys again and again while something happens to the fleet.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::journey::{Part, SEGMENTS};
use super::updates::{Caller, Sent};
use super::wait::take_time;

/// How many updates a caller sends at most, so that a test that hangs ends.
const MOST_UPDATES: usize = 5_000;

/// How often callers call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// At each sidecar.
    pub(crate) callers: usize,
    /// What a caller does between an answer and its next update: nothing, for that long.
    pub(crate) pause: Duration,
    /// How many of the fleet's journeys are updated.
    pub(crate) journeys: usize,
}

impl Load {
    /// Enough for updates to meet all the time, and little enough for a small machine.
    pub(crate) fn moderate() -> Self {
        Self { callers: 4, pause: Duration::from_millis(20), journeys: 4 }
    }

    /// Everybody updates one journey, and nobody pauses.
    pub(crate) fn hot(callers: usize) -> Self {
        Self { callers, pause: Duration::ZERO, journeys: 1 }
    }

    /// Loads these targets while `happens` runs; returns every update, each caller's in its order.
    pub(crate) fn during(self, targets: &Targets, happens: impl FnOnce()) -> Vec<Sent> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            // However `happens` ends, the callers have to.
            let _end = EndOfLoad(&over);
            let mut callers = Vec::new();
            for &(sidecar, address) in &targets.sidecars {
                for number in 0..self.callers {
                    let (caller, over) = (Caller::of(sidecar, address), &over);
                    let place = sidecar * self.callers + number;
                    callers.push(scope.spawn(move || self.call(targets, caller, place, over)));
                }
            }
            happens();
            over.store(true, Ordering::SeqCst);
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
        })
    }

    fn call(
        self,
        targets: &Targets,
        mut caller: Caller,
        place: usize,
        over: &AtomicBool,
    ) -> Vec<Sent> {
        let mut sent = Vec::new();
        while !over.load(Ordering::SeqCst) && sent.len() < MOST_UPDATES {
            let count = sent.len();
            let journey = &targets.journeys[(place + count) % self.journeys];
            let segment = 1 + (place + count) % SEGMENTS;
            sent.push(caller.update(journey, Part::Segment(segment), format!("{place}-{count}")));
            take_time(self.pause);
        }
        sent
    }
}

/// Whom a load calls, and for what. It borrows nothing of the fleet, to which anything may happen meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    /// Numbers and addresses.
    pub(crate) sidecars: Vec<(usize, SocketAddr)>,
    /// Ids.
    pub(crate) journeys: Vec<String>,
}

impl Targets {
    /// Those of the sidecars with these numbers.
    pub(crate) fn only(mut self, sidecars: &[usize]) -> Self {
        self.sidecars.retain(|(number, _)| sidecars.contains(number));
        self
    }
}

struct EndOfLoad<'o>(&'o AtomicBool);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
