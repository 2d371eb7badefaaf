//! The sets that the store, its connections and its leases count by.

use super::LabelValue;

label_enum! {
    /// What a command to the store was for.
    StoreOperation {
        /// Opening a connection: name, login, who is there.
        Connect => "connect",
        /// The regular sign of life, which reads what is new.
        Beat => "beat",
        /// Taking part in the fleet anew after the store was lost or replaced.
        Join => "join",
        /// Leaving the fleet at a shutdown.
        Part => "part",
        /// Reading flags.
        FlagsRead => "flags_read",
        /// Changing a flag.
        FlagChange => "flag_change",
        /// Writing down a flag that the store doesn't have.
        FlagSeed => "flag_seed",
        /// Reading a flag's history.
        HistoryRead => "history_read",
        /// Looking at a document that is to be edited.
        DocumentRead => "document_read",
        /// Editing a document.
        DocumentEdit => "document_edit",
        /// Looking up or writing down what became of a call with an idempotency key.
        Idempotency => "idempotency",
        /// Asking for a lease.
        LeaseAcquire => "lease_acquire",
        /// Giving a lease back.
        LeaseRelease => "lease_release",
        /// Keeping an entity closed after an unknown outcome.
        LeaseKeep => "lease_keep",
        /// Leaving a queue.
        LeaseLeave => "lease_leave",
        /// Noting updates for the lost-update detector, and reading what others noted.
        Journal => "journal",
        /// Keeping a divergence record.
        DivergenceAdd => "divergence_add",
        /// Reading divergence records.
        DivergenceRead => "divergence_read",
    }
}

label_enum! {
    /// How a command to the store ended.
    StoreResult {
        /// It was answered.
        Ok => "ok",
        /// The server refused it, or it was never sent.
        Error => "error",
        /// There was no answer in time, or the connection broke.
        Unknown => "unknown",
    }
}

label_enum! {
    /// Whether fleet-wide leases are granted here.
    LeaseGate {
        /// No store is configured: leases hold within this process.
        Local => "local",
        /// They are granted.
        Open => "open",
        /// The store is gone: each flag's `on_store_loss` says what happens.
        Lost => "lost",
        /// The store is back, and calls that ran without it may still write.
        Recovering => "recovering",
    }
}

label_enum! {
    /// Whether commands are sent to the store.
    Breaker {
        /// They are.
        Closed => "closed",
        /// The store is gone: nothing waits for it.
        Open => "open",
        /// It is being tried whether the store is back.
        HalfOpen => "half_open",
    }
}
