//! A sidecar's way to the store of a fleet in virtual time: it delays, fails, and brings what was given up after all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use redis::Value;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::{Dice, ms};
use crate::remote::{CallError, Cause};
use crate::shadow::journal::simulated::{Errand, Network, SimulatedStore};

/// After so many failures, one after the other, the store counts as gone until it is heard of again.
const GONE_AFTER: u32 = 3;

/// The way. Clones share everything.
#[derive(Clone)]
pub(super) struct Link {
    sidecar: String,
    store: SimulatedStore,
    dice: Dice,
    knobs: Rc<LinkKnobs>,
    connected: Rc<RefCell<String>>,
    failures: Rc<Cell<u32>>,
}

/// How the way is.
pub(super) struct LinkKnobs {
    /// The longest that a question takes to the store, and its answer back, in milliseconds. At least half of either.
    pub(super) takes: Cell<(u64, u64)>,
    /// After so many milliseconds a question is given up.
    pub(super) patience: Cell<u64>,
    /// Of so many exchanges one fails, carried out or not; 0 for none.
    pub(super) failing: Cell<u64>,
    /// Of so many exchanges one arrives late, given up or not, and whatever came after it; 0 for none.
    pub(super) late: Cell<u64>,
    /// How late at most, in milliseconds.
    pub(super) late_by: Cell<u64>,
    /// Nothing comes through.
    pub(super) cut: Cell<bool>,
}

impl Link {
    pub(super) fn new(sidecar: String, store: SimulatedStore, dice: Dice) -> Self {
        let knobs = LinkKnobs {
            takes: Cell::new((2, 2)),
            patience: Cell::new(1_000),
            failing: Cell::new(0),
            late: Cell::new(0),
            late_by: Cell::new(0),
            cut: Cell::new(false),
        };
        let (connected, failures) = (Rc::default(), Rc::default());
        let link = Self { sidecar, store, dice, knobs: Rc::new(knobs), connected, failures };
        link.join();
        link
    }

    pub(super) fn knobs(&self) -> &LinkKnobs {
        &self.knobs
    }

    /// It connects to the store as it is now, and joins its fleet.
    pub(super) fn join(&self) {
        *self.connected.borrow_mut() = self.store.servers();
        self.store.join(&self.sidecar);
    }

    async fn try_to_carry(&self, errand: Errand) -> Result<Value, CallError> {
        let knobs = &self.knobs;
        let one_in = |many: u64| many > 0 && self.dice.one_in(many);
        let (there, back) = knobs.takes.get();
        let fails = one_in(knobs.failing.get());
        if knobs.cut.get() || (fails && self.dice.one_in(2)) {
            sleep(ms(50)).await;
            return Err(CallError::Unknown(Cause::Timeout));
        }
        let takes = there / 2 + self.dice.below(there / 2 + 1);
        let late_by =
            if one_in(knobs.late.get()) { self.dice.below(knobs.late_by.get()) } else { 0 };
        let back = back / 2 + self.dice.below(back / 2 + 1);
        let (reply, replied) = oneshot::channel();
        let link = self.clone();
        // It goes on its way whoever waits.
        spawn_local(async move {
            sleep(ms(takes + late_by)).await;
            let Some(answer) = errand.run() else { return };
            sleep(ms(back)).await;
            if !fails && !link.knobs.cut.get() {
                reply.send(answer).ok();
            }
        });
        let answer = timeout(ms(knobs.patience.get()), replied).await;
        answer.ok().and_then(Result::ok).ok_or(CallError::Unknown(Cause::Timeout))
    }
}

impl Network for Link {
    fn servers(&self) -> Option<String> {
        let is_gone = self.failures.get() >= GONE_AFTER && self.knobs.cut.get();
        let connected = self.connected.borrow().clone();
        (!is_gone && connected == self.store.servers()).then_some(connected)
    }

    async fn carry(&self, errand: Errand) -> Result<Value, CallError> {
        let answer = self.try_to_carry(errand).await;
        let failures = if answer.is_ok() { 0 } else { self.failures.get().saturating_add(1) };
        self.failures.set(failures);
        answer
    }
}
