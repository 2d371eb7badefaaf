//! Waiting for conditions, never for time.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that anything is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition that nobody announces is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Waits until `look` finds something. Fails the test at the deadline, naming `what` was waited for.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(DEADLINE, what, look)
}

/// The same with another deadline, for what is promised later than that.
#[track_caller]
pub(crate) fn eventually_within<T>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain for: {what}");
        thread::sleep(POLL);
    }
}

/// Waits until `holds` does.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}

/// Kept short: how long a test looks for something that must not happen.
pub(crate) const GLANCE: Duration = Duration::from_millis(300);

/// Checks that `holds` goes on to hold for a glance, which is long enough for the sidecar to have done wrong.
#[track_caller]
pub(crate) fn stays(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < GLANCE {
        assert!(holds(), "no more: {what}");
        thread::sleep(POLL);
    }
}

/// Waits until a count has begun to grow and then has stood still for a glance; returns it.
#[track_caller]
pub(crate) fn stopped(what: &str, mut count: impl FnMut() -> usize) -> usize {
    let (mut last, mut since) = (0, Instant::now());
    eventually(what, || {
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (now > 0 && since.elapsed() > GLANCE).then_some(now)
    })
}

/// Plays somebody slow: an app at work, a client that trickles or idles. Never a wait for something to happen.
pub(crate) fn take_time(time: Duration) {
    thread::sleep(time);
}

/// Runs the same thing in `count` threads at once and returns what each made of it, in the order of their numbers.
pub(crate) fn in_parallel<T: Send>(count: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || run(n))).collect();
        threads.into_iter().map(|t| t.join().expect("a thread of the test failed")).collect()
    })
}

/// Holds threads back until the test lets them on.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A gate that is shut.
    pub(crate) fn shut() -> Self {
        Self::default()
    }

    /// Lets everybody pass from now on.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits to be let through; `false` when that never happened, after longer than any other wait.
    pub(crate) fn pass(&self) -> bool {
        let open = self.0.0.lock().unwrap();
        let waited = self.0.1.wait_timeout_while(open, 2 * DEADLINE, |open| !*open).unwrap();
        !waited.1.timed_out()
    }
}
