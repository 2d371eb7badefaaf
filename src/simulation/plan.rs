//! What a run is about: all of it follows from its seed.

use super::dice::Dice;
use crate::domain::flag::OnStoreLoss;

/// How a run goes.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// How many sidecars there are.
    pub(super) sidecars: usize,
    pub(super) weather: Weather,
    /// Whether the store may come back without the flags' last changes, or with nothing in it. Then no sidecar ends: somebody has
    /// to remember.
    pub(super) forgets_flags: bool,
    /// What a store that takes over may not know, in milliseconds before.
    pub(super) lag_ms: u64,
    pub(super) on_store_loss: OnStoreLoss,
    /// Between two changes of flags, on average, in milliseconds.
    pub(super) change_every_ms: f64,
    /// Between two updates that come to one sidecar, on average, in milliseconds.
    pub(super) call_every_ms: f64,
    pub(super) tampering: Option<Tampering>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// Nothing: no update may be refused.
    Calm,
    /// The app alone: calls take too long, break off, and write late.
    SlowApp,
    /// Everything.
    Rough,
}

/// A rule of the fleet that is broken, to see that the simulation notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tampering {
    /// A flip goes from legacy to fixed at once.
    DirectFlip,
    /// A barrier waits for nobody but the sidecar that takes the step.
    AloneInRegister,
    /// A barrier does not wait for calls that were given up and may still write.
    NoDrain,
    /// A lease is given back when its call was given up.
    ReleaseOnTimeout,
    /// The app writes later than D allows.
    LateWrites,
    /// An edit is made whoever has the entity's lease, or had it since the document was read.
    EditsUnderLeases,
    /// An edit whose outcome is not known is sent again, and nobody looks whether it was made.
    NoReceipts,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let dice = Dice::of(seed);
        let sidecars = usize::try_from(dice.number(2..5)).unwrap();
        let weather = match dice.number(0..6) {
            0 => Weather::Calm,
            1 => Weather::SlowApp,
            _ => Weather::Rough,
        };
        let on_store_loss = match dice.one_in(3) {
            true => OnStoreLoss::Legacy,
            false => OnStoreLoss::Reject,
        };
        let forgets_flags = dice.one_in(2);
        let change_every_ms = *dice.choose(&[200.0, 1_000.0, 3_000.0]).unwrap();
        let lag_ms = *dice.choose(&[200, 2_000]).unwrap();
        let tampering = None;
        Self {
            seed,
            sidecars,
            weather,
            forgets_flags,
            lag_ms,
            on_store_loss,
            change_every_ms,
            call_every_ms: 55.0,
            tampering,
        }
    }

    /// A day with a broken rule, and with so many updates that they meet more often.
    pub(super) fn tampered(seed: u64, tampering: Tampering, weather: Weather) -> Self {
        Self { tampering: Some(tampering), weather, call_every_ms: 25.0, ..Self::of(seed) }
    }
}
