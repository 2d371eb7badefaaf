//! The sets that shadows, the lost-update detector and traces count by.

use super::LabelValue;

label_enum! {
    /// Why a call that a flag shadows has no comparison.
    ShadowSkip {
        /// As many shadows wait as may.
        QueueFull => "queue_full",
        /// A body is over `proxy.max_body`, or no memory is left to hold it.
        BodyTooLarge => "body_too_large",
        /// It waited in the queue for too long.
        Deadline => "deadline",
        /// The sample left it out.
        Unsampled => "unsampled",
        /// The control had no whole answer to compare with.
        ControlFailed => "control_failed",
        /// As many comparisons wait as may.
        CompareBusy => "compare_busy",
        /// Under `plan`: the edit can't be planned on the document, and would be refused.
        PlanRefused => "plan_refused",
        /// Under `plan`: the new value was there before, or the app was faster than the look ahead of it.
        AlreadyThere => "already_there",
        /// Under `plan`: the document could not be read.
        StoreFailed => "store_failed",
        /// The sidecar shuts down.
        Draining => "draining",
    }
}

label_enum! {
    /// Why a check of an entity, or of one of its fields, came to no conclusion.
    Inconclusive {
        /// The entity could not be read.
        ReadFailed => "read_failed",
        /// What the field was before the first update is not known.
        NoBaseline => "no_baseline",
        /// The document has no such place as the update writes, or has it twice.
        NoPlace => "no_place",
        /// A sidecar did not tell in time that it had no more to add.
        SilentSidecar => "silent_sidecar",
        /// The entity had more updates than its journal holds.
        JournalFull => "journal_full",
        /// The store lost the journal, or its clock was set.
        JournalLost => "journal_lost",
        /// Not all is known that was under way beside the updates: the store was replaced or forgot, or one of the others happened.
        Gap => "gap",
        /// Updates could not be noted: as many entities or updates were watched as may be.
        Overflow => "overflow",
    }
}

label_enum! {
    /// Where the lost-update detector keeps its journal.
    DetectorState {
        /// No flag is verified.
        Off => "off",
        /// In this process: it sees this sidecar's updates only.
        Local => "local",
        /// In the store: it sees those of the whole fleet.
        Shared => "shared",
        /// The store is gone: updates are noted, and checked when it is back.
        Suspended => "suspended",
    }
}

label_enum! {
    /// How a read of an entity ended.
    ReadResult {
        /// It was read.
        Ok => "ok",
        /// There was no answer, or not one that could be used.
        Failed => "failed",
    }
}

label_enum! {
    /// Why a span was not exported.
    SpanDrop {
        /// As many spans wait as may.
        QueueFull => "queue_full",
        /// The collector did not take them.
        ExportFailed => "export_failed",
    }
}
