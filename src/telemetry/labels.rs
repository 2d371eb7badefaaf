//! The closed sets that label values come from: nothing that a client sends ever becomes a label.
//!
//! Those of divergence and traces stand in `labels/divergence.rs`, those of edits in `labels/edits.rs`, those of the store
//! in `labels/store.rs`, those of the admin plane in `labels/admin.rs`.

use http::StatusCode;

use crate::domain::decision::{Freshness, Reason};
use crate::domain::divergence::{Cause, Verdict};
use crate::domain::flag::{Path, Protection};

/// A closed set of label values, each with an index into the tables of handles.
pub trait LabelValue: Copy + PartialEq + 'static {
    /// All of them, in the order of their indices.
    const VALUES: &'static [Self];

    /// The word that stands in the series.
    fn word(self) -> &'static str;

    /// The place in [`Self::VALUES`].
    fn index(self) -> usize;
}

/// The words of a set, in the order of their indices.
pub fn words<L: LabelValue>() -> Vec<&'static str> {
    L::VALUES.iter().map(|value| value.word()).collect()
}

macro_rules! label_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl LabelValue for $name {
            const VALUES: &'static [Self] = &[$(Self::$variant,)+];

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

mod admin;
mod divergence;
mod edits;
mod idempotency;
mod store;
mod transition;

pub use admin::{AdminFile, AdminRefusal};
pub use divergence::{DetectorState, Inconclusive, ReadResult, ShadowSkip, SpanDrop};
pub use edits::{EditQueued, EditRefusal, ReceiptFound, RetryReason};
pub use idempotency::KeyResult;
pub use store::{Breaker, LeaseGate, StoreOperation, StoreResult};
pub use transition::{TransitionStep, WaitingFor};

macro_rules! label_of_domain {
    ($($name:ident),+) => {
        $(impl LabelValue for $name {
            const VALUES: &'static [Self] = &Self::ALL;

            fn word(self) -> &'static str {
                self.as_str()
            }

            fn index(self) -> usize {
                self as usize
            }
        })+
    };
}

label_of_domain!(Path, Reason, Freshness, Protection, Verdict, Cause);

label_enum! {
    /// The class of an answer's status code.
    CodeClass {
        /// 100 to 199: an upgrade, once switched.
        Informational => "1xx",
        /// 200 to 299.
        Success => "2xx",
        /// 300 to 399.
        Redirection => "3xx",
        /// 400 to 499.
        ClientError => "4xx",
        /// 500 to 599, and whatever lies beyond.
        ServerError => "5xx",
        /// No answer could be given: the client had gone, or its connection had to be cut.
        None => "none",
    }
}

impl From<Option<StatusCode>> for CodeClass {
    fn from(code: Option<StatusCode>) -> Self {
        match code.map(|code| code.as_u16() / 100) {
            None => Self::None,
            Some(1) => Self::Informational,
            Some(2) => Self::Success,
            Some(3) => Self::Redirection,
            Some(4) => Self::ClientError,
            Some(_) => Self::ServerError,
        }
    }
}

label_enum! {
    /// What a call to an upstream is for.
    Role {
        /// Its answer goes to the client.
        Serving => "serving",
        /// It runs beside one that serves, to be compared.
        Shadow => "shadow",
        /// It reads an entity for the lost-update detector.
        Verify => "verify",
    }
}

label_enum! {
    /// What became of an update.
    Outcome {
        /// The upstream acknowledged it.
        Applied => "applied",
        /// The upstream answered with an error, or it was never sent.
        Rejected => "rejected",
        /// It was sent, and whether it took effect is not known.
        Unknown => "unknown",
        /// An earlier call with the same idempotency key had applied it; that answer was given again.
        Replayed => "replayed",
    }
}

label_enum! {
    /// Why an update had a weaker guarantee than its flag promises.
    Exposure {
        /// A kill left out F', while calls were at the fixed app.
        FlipForced => "flip_forced",
        /// A step was forced while a sidecar was silent, and it has not come back.
        SilentSidecar => "silent_sidecar",
        /// The lease had run out, or was gone at its release.
        LeaseLost => "lease_lost",
        /// The store came back as another one.
        StoreReplaced => "store_replaced",
        /// The store could not be asked.
        StoreUnreachable => "store_unreachable",
        /// Somebody who writes past the sidecars replaced it, as the detector found afterwards.
        ForeignWriter => "foreign_writer",
    }
}

label_enum! {
    /// Why flags that were read are not in force.
    FlagsError {
        /// Not well-formed.
        Parse => "parse",
        /// A value outside its range.
        Range => "range",
        /// A flag that the configuration does not have.
        UnknownFlag => "unknown_flag",
        /// They could not be read or written.
        Io => "io",
        /// Its percentages would split the entities another way.
        Bucketing => "bucketing",
        /// A version below the one in force.
        Backwards => "backwards",
        /// A flag that the store had and has no more.
        Missing => "missing",
    }
}

label_enum! {
    /// What a change did to a flag.
    ChangeKind {
        /// The percentage rose.
        Up => "up",
        /// The percentage fell.
        Down => "down",
        /// The flag was killed.
        Kill => "kill",
        /// A kill was taken back.
        Resume => "resume",
        /// Entities were pinned or let go.
        Pin => "pin",
        /// A transition was forced to go on without silent sidecars.
        Force => "force",
    }
}

label_enum! {
    /// Why a request was refused at the edge: nothing of it went to an upstream, or its connection was cut.
    ClientError {
        /// Not a well-formed HTTP/1.1 message.
        Malformed => "malformed",
        /// The header block is over `proxy.max_headers`, or has too many fields.
        HeadersTooLarge => "headers_too_large",
        /// The same, and most of it is the request line.
        UriTooLong => "uri_too_long",
        /// A transfer coding other than `chunked`.
        UnsupportedTransferCoding => "unsupported_transfer_coding",
        /// The length of the body is ambiguous.
        LengthConflict => "length_conflict",
        /// `Host` is missing, repeated or not a host.
        BadHost => "bad_host",
        /// The body is over `proxy.max_body`, where it must be held whole.
        BodyTooLarge => "body_too_large",
        /// As many bodies are held as may be.
        HeldBodies => "held_bodies",
        /// No whole header block within `proxy.header_timeout`.
        HeaderTimeout => "header_timeout",
        /// Silence inside the body for `proxy.body_timeout`.
        BodyTimeout => "body_timeout",
        /// `proxy.max_connections` are open.
        TooManyConnections => "too_many_connections",
        /// A method that a proxy must not or can't serve here.
        MethodRefused => "method_refused",
        /// An `Expect` other than `100-continue`.
        Expectation => "expectation",
        /// An `Idempotency-Key` that is none, or several.
        IdempotencyKey => "idempotency_key",
    }
}

label_enum! {
    /// How a call to an upstream failed.
    UpstreamError {
        /// No connection within the timeout: nothing was sent.
        Connect => "connect",
        /// No answer within the timeout.
        Timeout => "timeout",
        /// The connection broke.
        Reset => "reset",
        /// What came is not a well-formed answer.
        Protocol => "protocol",
        /// Silence inside the answer's body for too long.
        BodyTimeout => "body_timeout",
    }
}

label_enum! {
    /// Why a call did not get its entity's lease.
    LeaseRefusal {
        /// As many calls wait for the entity as may.
        QueueFull => "queue_full",
        /// The longest wait has passed.
        WaitTimeout => "wait_timeout",
        /// The store is gone, and the flag says to refuse then (`on_store_loss = "reject"`).
        StoreLost => "store_lost",
        /// It would have run out under the call.
        RanOut => "ran_out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<L: LabelValue + std::fmt::Debug>() {
        for (place, value) in L::VALUES.iter().enumerate() {
            assert_eq!(value.index(), place, "{value:?}");
            let word = value.word();
            assert!(
                word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{word}"
            );
        }
        let mut words = words::<L>();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), L::VALUES.len(), "every value has a word of its own");
    }

    #[test]
    fn every_value_has_its_index_and_a_word_of_its_own() {
        check::<Path>();
        check::<Reason>();
        check::<Freshness>();
        check::<Protection>();
        check::<CodeClass>();
        check::<Role>();
        check::<Outcome>();
        check::<Exposure>();
        check::<TransitionStep>();
        check::<FlagsError>();
        check::<ChangeKind>();
        check::<ClientError>();
        check::<UpstreamError>();
        check::<LeaseRefusal>();
        check::<StoreOperation>();
        check::<StoreResult>();
        check::<Breaker>();
        check::<LeaseGate>();
        check::<Verdict>();
        check::<Cause>();
        check::<ShadowSkip>();
        check::<Inconclusive>();
        check::<DetectorState>();
        check::<ReadResult>();
        check::<SpanDrop>();
        check::<AdminRefusal>();
        check::<AdminFile>();
        check::<EditRefusal>();
        check::<EditQueued>();
        check::<ReceiptFound>();
        check::<RetryReason>();
    }

    #[test]
    fn a_status_code_has_the_class_of_its_first_digit() {
        let class = |code| CodeClass::from(Some(StatusCode::from_u16(code).unwrap()));

        assert_eq!(class(101), CodeClass::Informational);
        assert_eq!(class(299), CodeClass::Success);
        assert_eq!(class(304), CodeClass::Redirection);
        assert_eq!(class(404), CodeClass::ClientError);
        assert_eq!(class(503), CodeClass::ServerError);
        assert_eq!(class(999), CodeClass::ServerError);
        assert_eq!(CodeClass::from(None), CodeClass::None);
    }
}
