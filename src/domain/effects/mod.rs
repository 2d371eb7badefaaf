//! Effects: what updates do to an entity, and which values it may show afterwards.
//!
//! Read in this order: [`pointer`](EffectPointer) names the field that an update writes, [`Fields`] is what a document shows at such
//! places, [`Stamp`] a moment on one of several clocks, made by a [`CommonClock`]; [`register`] is the rule for one field,
//! [`history`] its use on an entity's journal.

mod clock;
mod fingerprint;
pub mod history;
mod pointer;
pub mod register;
mod snapshot;
mod stamp;

pub use clock::{CommonClock, MAX_DRIFT_PPM, Noted};
pub use fingerprint::{FieldId, Fingerprint};
pub use pointer::{EffectPointer, EffectPointerError, Place, Step};
pub use snapshot::{Fields, MAX_FIELDS, Seen};
pub use stamp::Stamp;
