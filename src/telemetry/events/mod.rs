//! What can happen, as types: an event carries facts, and knows the series it moves and the line it writes.
//!
//! State changes and faults write one line each; requests write none above `debug`. Lines about faults that can come
//! at the rate of the requests are limited.

mod admin;
mod divergence;
mod edits;
mod flags;
mod lifecycle;
mod requests;
mod shadows;
mod store;
mod updates;

pub use admin::{
    AdminCall, AdminChanged, AdminFileRefused, AdminFileTaken, AdminRefused, CertificateExpiry,
    ConnectionRefused, SidecarForgotten,
};
pub use divergence::{
    Compared, ConclusionLate, DetectorChanged, DivergenceKept, ShadowSkipped, SpansDropped,
    SpansExported, UnmanagedWrite, UpdatesLost, UpdatesVerified, VerifyInconclusive, VerifyRead,
};
pub use edits::{
    EditConflicted, EditInQueue, EditRefused, EditUnknown, OutcomeFound, Retried, RetryDenied,
};
pub use flags::{
    FlagChanged, FlagRead, FlagRefused, FlagsLoaded, FlagsRejected, FreshnessChanged,
    SnapshotRefused, TransitionStepped, TransitionWaits,
};
pub use lifecycle::{ConfigWarning, DrainFinished, DrainStarted, SidecarStarted, WorkerPanicked};
pub use requests::{ClientGone, ClientRefused, RequestAnswered, UpstreamAnswered, UpstreamFailed};
pub use shadows::{CandidateFailed, ComparerPanicked, NoiseCompared, NoiseFound};
pub use store::{
    BreakerChanged, BreakerMoved, FleetCounted, LeaseGateChanged, StoreAnswered, StoreConfigured,
    StoreFault, StorePushChanged, StoreUnreachable,
};
pub use updates::{
    Decided, KeySeen, LeaseGranted, LeaseRefused, LeaseReleased, UpdateExposed, UpdateFinished,
};

/// The value of a gauge that says whether something holds.
fn one_if(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}
