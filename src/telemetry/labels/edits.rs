//! The sets that edits of documents, and tries that are made again, count by.

use super::LabelValue;
use crate::domain::edit::Refused;

label_enum! {
    /// Why a declared edit was not made: nothing of it was written.
    EditRefusal {
        /// The document is no JSON.
        Malformed => "malformed",
        /// The document is over `fixed.max_document`, or would be.
        TooLarge => "too_large",
        /// The document is nested too deeply.
        TooDeep => "too_deep",
        /// An object on the way has a key twice.
        DuplicateKey => "duplicate_key",
        /// Several elements have the id.
        AmbiguousElement => "ambiguous_element",
        /// The document has no such field.
        NoField => "no_field",
        /// The new value is of another type than the field.
        WrongType => "wrong_type",
        /// The call has no such value, or its body can't be held.
        NoValue => "no_value",
        /// The call's path is not written as its route is.
        Spelling => "spelling",
        /// The call has a precondition that only the app can judge.
        Conditional => "conditional",
        /// The key holds something else than a string.
        DocumentType => "document_type",
        /// The store refuses the commands.
        Store => "store",
    }
}

impl From<Refused> for EditRefusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed => Self::Malformed,
            Refused::TooLarge => Self::TooLarge,
            Refused::TooDeep => Self::TooDeep,
            Refused::DuplicateKey => Self::DuplicateKey,
            Refused::AmbiguousElement => Self::AmbiguousElement,
            Refused::NoField => Self::NoField,
            Refused::WrongType => Self::WrongType,
            Refused::NoValue => Self::NoValue,
            Refused::Spelling => Self::Spelling,
            Refused::Conditional => Self::Conditional,
            Refused::DocumentType => Self::DocumentType,
        }
    }
}

label_enum! {
    /// Why an edit stood in the queue of its entity's lease.
    EditQueued {
        /// A call of the app held the lease.
        LeaseHeld => "lease_held",
        /// Other edits that it conflicts with were ahead several times.
        Contended => "contended",
    }
}

label_enum! {
    /// What was found out of an edit whose answer was lost.
    ReceiptFound {
        /// It had been made.
        Applied => "applied",
        /// It had not, and was made by the try that asked.
        Absent => "absent",
    }
}

label_enum! {
    /// Why a command was sent to the store once more.
    RetryReason {
        /// It certainly did not run.
        NotExecuted => "not_executed",
        /// It may have run; its receipt keeps it from running twice.
        Unknown => "unknown",
    }
}
