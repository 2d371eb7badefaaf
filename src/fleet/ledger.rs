//! Which updates are under way, by the turn of their flag that decided them: what a flip has to wait for.
//!
//! It is RCU by counting. A worker counts an update under the turn that decided it, and then looks whether the flag has moved
//! on; if so it takes its count back and decides anew. Whoever moves a flag on says so first, and then reads the counts. All of
//! that is sequentially consistent, so one of the two sees the other: once a turn was passed and its counts are zero, nothing is
//! decided by it any more. Each worker has counts of its own, so that on a request's way no two threads write to one place.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{self, Instant};
use crate::domain::flag::FlagState;
use crate::domain::transition::{Report, Turn};
use crate::telemetry::labels::Exposure;

/// How many steps one version can have, in an atomic's number.
const STEPS: u64 = 1 << 10;

const _: () = assert!((Turn::MAX_STEP as u64) < STEPS);

/// The updates of all flags.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// By the flag's place in the configuration.
    flags: Box<[Page]>,
    /// See [`Self::set_apart`].
    apart: AtomicBool,
}

/// The updates of a flag.
#[derive(Debug)]
struct Page {
    /// The turn that decides, as [`code`] has it.
    present: AtomicU64,
    /// The fingerprint of the state of that turn; changed with it while the stretches are locked.
    state: AtomicU32,
    /// Those with updates that may not be over, and those of the present turn.
    stretches: Mutex<Vec<Arc<Stretch>>>,
    weakness: Arc<Weakness>,
}

/// What makes the flag's promises weaker at present.
#[derive(Debug, Default)]
struct Weakness {
    /// A step went on without a sidecar that was silent and has not come back.
    forced: AtomicBool,
    /// A kill left out F'.
    skipped: AtomicBool,
}

/// The updates of a worker that one turn decided.
#[derive(Debug)]
struct Stretch {
    turn: Turn,
    weakness: Arc<Weakness>,
    /// Whether that turn was one without a silent sidecar: what it decides is exposed, even if that one comes back meanwhile.
    forced: bool,
    began: Instant,
    calls: AtomicU64,
    /// Milliseconds since `began` until which an update that was given up may write.
    open_until: AtomicU64,
    /// Milliseconds since `began` at which the flag had moved on, and one more; 0 before that.
    passed: AtomicU64,
}

/// How far a flag's updates are, in one sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Progress {
    /// The turn that decides.
    pub(crate) applied: Turn,
    /// The fingerprint of its state.
    #[serde(default)]
    pub(crate) state: u32,
    /// No update that was decided by an earlier turn may still write.
    pub(crate) clear: Turn,
    /// Updates that were decided by an earlier turn and have not ended.
    pub(crate) calls: u64,
    /// For how long the oldest of what is not clear has been waited for, in milliseconds.
    pub(crate) oldest_ms: u64,
}

impl Progress {
    /// As the barrier wants it, of a sidecar that was heard of so long ago.
    pub(crate) fn report(self, sidecar: &str, silent_ms: u64) -> Report {
        let Self { applied, state, clear, calls, oldest_ms } = self;
        let (applied, clear) = (Some(applied), Some(clear));
        Report { sidecar: sidecar.to_owned(), silent_ms, applied, state, clear, calls, oldest_ms }
    }
}

impl Ledger {
    pub(crate) fn new(states: &[Arc<FlagState>]) -> Self {
        let page = |state: &Arc<FlagState>| Page {
            present: AtomicU64::new(code(state.turn())),
            state: AtomicU32::new(state.fingerprint()),
            stretches: Mutex::default(),
            weakness: Arc::default(),
        };
        Self { flags: states.iter().map(page).collect(), apart: AtomicBool::new(false) }
    }

    /// Says whether this sidecar is apart from its fleet: it has not joined since it started, so no flip waits for it, and it may
    /// decide by a state that nobody else has any more.
    pub(crate) fn set_apart(&self, apart: bool) {
        self.apart.store(apart, SeqCst);
    }

    /// Whether it is, as it was said last.
    pub(crate) fn is_apart(&self) -> bool {
        self.apart.load(SeqCst)
    }

    /// Says that a flag is about to move on to a state with weaker promises, before any thread can see it: nothing that meets it
    /// may be called protected.
    pub(crate) fn warn(&self, flag: usize, state: &FlagState) {
        let Some(page) = self.flags.get(flag) else { return };
        page.weakness.forced.fetch_or(!state.forced.is_empty(), SeqCst);
        if is_skipped(state) {
            page.weakness.skipped.store(true, SeqCst);
            pass(&page.stretches(), state.turn());
        }
    }

    /// Says that a flag has moved on, once every thread can see to which state.
    pub(crate) fn publish(&self, flag: usize, state: &FlagState) {
        let Some(page) = self.flags.get(flag) else { return };
        page.weakness.forced.store(!state.forced.is_empty(), SeqCst);
        page.weakness.skipped.store(is_skipped(state), SeqCst);
        let (turn, fingerprint) = (state.turn(), state.fingerprint());
        let stretches = page.stretches();
        page.state.store(fingerprint, SeqCst);
        if page.present.swap(code(turn), SeqCst) == code(turn) {
            return;
        }
        pass(&stretches, turn);
    }

    /// How far a flag's updates are; `None` for a place where there is no flag.
    pub(crate) fn progress(&self, flag: usize) -> Option<Progress> {
        let page = self.flags.get(flag)?;
        let mut stretches = page.stretches();
        let (applied, state) = (turn(page.present.load(SeqCst)), page.state.load(SeqCst));
        stretches.retain(|stretch| stretch.turn >= applied || !stretch.is_over());
        let open = || stretches.iter().filter(|stretch| stretch.turn < applied);
        let waited = |stretch: &Arc<Stretch>| {
            (stretch.age_ms() + 1).saturating_sub(stretch.passed.load(SeqCst))
        };
        Some(Progress {
            applied,
            state,
            clear: open().map(|stretch| stretch.turn).min().unwrap_or(applied),
            calls: open().map(|stretch| stretch.calls.load(SeqCst)).sum(),
            oldest_ms: open().map(waited).max().unwrap_or(0),
        })
    }

    /// How long, in milliseconds, what is under way may still write, if no call takes longer than `longest` and then writes.
    pub(crate) fn open_for(&self, longest: Duration) -> u64 {
        let open = |stretch: &Arc<Stretch>| match stretch.calls.load(SeqCst) {
            0 => stretch.open_until.load(SeqCst).saturating_sub(stretch.age_ms()),
            _ => whole_ms(longest),
        };
        let of_page = |page: &Page| page.stretches().iter().map(open).max();
        self.flags.iter().filter_map(of_page).max().unwrap_or(0)
    }

    /// Updates of a process before this one may still write for so long: as if one of each flag had been given up just now.
    pub(crate) fn succeed(&self, longest: Duration) {
        for page in &self.flags {
            let before = Stretch::new(Turn::default(), Arc::clone(&page.weakness));
            before.open_until.store(whole_ms(longest), SeqCst);
            page.stretches().push(Arc::new(before));
        }
    }
}

impl Page {
    fn stretches(&self) -> MutexGuard<'_, Vec<Arc<Stretch>>> {
        self.stretches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stretch {
    fn new(turn: Turn, weakness: Arc<Weakness>) -> Self {
        let zero = || AtomicU64::new(0);
        let (began, forced) = (clock::now(), weakness.forced.load(SeqCst));
        Self { turn, weakness, forced, began, calls: zero(), open_until: zero(), passed: zero() }
    }

    fn age_ms(&self) -> u64 {
        whole_ms(clock::now() - self.began)
    }

    /// Whether nothing that it decided can write any more, given that it decides nothing now.
    fn is_over(&self) -> bool {
        self.calls.load(SeqCst) == 0 && self.age_ms() >= self.open_until.load(SeqCst)
    }
}

/// A worker's own part of the ledger.
pub(crate) struct Desk {
    ledger: Arc<Ledger>,
    /// By flag: what it counted under last.
    stretches: RefCell<Vec<Option<Arc<Stretch>>>>,
}

impl Desk {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        let stretches = RefCell::new(vec![None; ledger.flags.len()]);
        Self { ledger, stretches }
    }

    /// Counts an update that `turn` decided; `None` where the flag has moved on since, and the update is to be decided anew.
    pub(crate) fn enter(&self, flag: usize, turn: Turn) -> Option<Underway> {
        let page = self.ledger.flags.get(flag)?;
        let mut stretches = self.stretches.borrow_mut();
        let kept = stretches.get_mut(flag)?;
        let stretch = match kept {
            Some(stretch) if stretch.turn == turn => stretch,
            // Once a turn: the lock is not on every request's way.
            _ => {
                let stretch = Arc::new(Stretch::new(turn, Arc::clone(&page.weakness)));
                page.stretches().push(Arc::clone(&stretch));
                kept.insert(stretch)
            }
        };
        stretch.calls.fetch_add(1, SeqCst);
        let call = Underway { stretch: Arc::clone(stretch), apart: self.ledger.is_apart() };
        (page.present.load(SeqCst) <= code(turn)).then_some(call)
    }
}

/// An update under way, from the decision to its end.
#[derive(Debug)]
pub(crate) struct Underway {
    stretch: Arc<Stretch>,
    /// Whether this sidecar was apart from its fleet when it was decided.
    apart: bool,
}

impl Underway {
    /// The update was given up, and may still write within `settle`.
    pub(crate) fn leave_open(&self, settle: Duration) {
        let until = (clock::now() - self.stretch.began).saturating_add(settle);
        // Rounded up: the part of a millisecond that was cut off.
        self.stretch.open_until.fetch_max(whole_ms(until).saturating_add(1), SeqCst);
    }

    /// Why its guarantee may not hold, for all that is known here by now. `fixed` is whether it ran without a lease.
    pub(crate) fn exposure(&self, fixed: bool) -> Option<Exposure> {
        let Stretch { weakness, forced, passed, .. } = &*self.stretch;
        if self.apart {
            Some(Exposure::StoreUnreachable)
        } else if *forced || weakness.forced.load(SeqCst) {
            Some(Exposure::SilentSidecar)
        } else if fixed && passed.load(SeqCst) > 0 && weakness.skipped.load(SeqCst) {
            Some(Exposure::FlipForced)
        } else {
            None
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.stretch.calls.fetch_sub(1, SeqCst);
    }
}

fn is_skipped(state: &FlagState) -> bool {
    state.transit.as_ref().is_some_and(|transit| transit.skipped)
}

/// Notes of those that an earlier turn decided since when they are waited for.
fn pass(stretches: &[Arc<Stretch>], turn: Turn) {
    for stretch in stretches.iter().filter(|stretch| stretch.turn < turn) {
        let passed = stretch.age_ms().saturating_add(1);
        stretch.passed.compare_exchange(0, passed, SeqCst, SeqCst).ok();
    }
}

/// A turn as one number, in the same order.
fn code(turn: Turn) -> u64 {
    let step = u64::from(turn.step).min(STEPS - 1);
    turn.version.min(u64::MAX / STEPS - 1) * STEPS + step
}

fn turn(code: u64) -> Turn {
    // The rest is below `STEPS`.
    Turn { version: code / STEPS, step: u32::try_from(code % STEPS).unwrap_or(0) }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
