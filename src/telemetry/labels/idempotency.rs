//! What calls with an idempotency key count by.

use super::LabelValue;

label_enum! {
    /// What a call with an idempotency key came to.
    KeyResult {
        /// It was the first with its key, and ran.
        First => "first",
        /// It was given the answer to the first one.
        Replayed => "replayed",
        /// The first one runs: 409.
        Running => "running",
        /// The first one had another payload: 422.
        OtherPayload => "other_payload",
        /// Nobody knows what became of the first one: 504.
        Unknown => "unknown",
        /// The store could not be asked: it ran without a record, or was refused, as `on_store_loss` has it.
        Unrecorded => "unrecorded",
    }
}
