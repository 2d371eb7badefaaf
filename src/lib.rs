//! Interlock is a rollout sidecar. It stands in front of a legacy app whose updates race, moves them entity by entity
//! from the **legacy path** to the **fixed path** by flags that an operator flips, and keeps count of what that protects.
//!
//! # The map, in reading order
//!
//! - [`cli`]: the command line; [`app`]: the composition root, from a configuration to running parts and back.
//! - `proxy`: the data plane. A request's life is told in `proxy/handler.rs`, in one function.
//! - [`domain`]: the pure core. Which path a call takes, and why, is decided in `domain/decision.rs`; which calls a flag is
//!   about, in `domain/route.rs`; what an operator can change, in `domain/flag.rs`; how entities move from one path to the
//!   other, and what each step waits for, in `domain/transition`.
//! - `paths`: what serves a call once it is decided; [`lease`]: the right to update one entity, from this process alone
//!   (`lease/local.rs`) or from the whole fleet's Redis (`lease/fleet`: a FIFO queue in scripts, a desk on the store's thread).
//! - `documents`: the app's documents in the store, which the strategy `atomic` edits; how an edit is planned is decided in
//!   `domain/edit`.
//! - `idempotency`: what became of a call with an `Idempotency-Key`, for whoever sends it again; in this process, or in the
//!   fleet's Redis.
//! - [`store`]: the flags and their history, of this process (`store/file.rs`) or shared by a fleet (`store/sync.rs` follows
//!   the Redis; `store/adopt.rs` rules on what it says); [`admin`]: the plane on which they are read and flipped.
//! - `fleet`: who is there, which Redis this is, and whether leases are granted (`fleet/gate.rs`). When they may be again
//!   after the Redis was lost is decided in `domain/recovery.rs`. Which updates are under way, for flips to wait for, stands
//!   in `fleet/ledger.rs`; any sidecar takes a flip's next step in `store/sync/driving.rs`.
//! - `remote`: the Redis itself, found, spoken to, supervised, and known to be gone. `app/store.rs` is the thread on which all
//!   of that lives.
//! - `shadow`: seeing divergence. Which values an entity may show is decided in `domain/effects`, whether two answers are the
//!   same in `domain/compare`; `shadow` notes, reads, compares and keeps records, on a thread of its own.
//! - [`config`]: what was written, validated; [`telemetry`]: every metric, label and log line.
//! - [`demo`]: the bundled racy app, its load, and a scripted rollout.
//! - `tls`: certificates and keys; [`net`] and [`clock`]: the only places that open sockets of the data plane and read time;
//!   [`watch`]: a value that many wait for. In tests all three can be a simulation's (`simulation`: several sidecars in one thread).
//!
//! # What always holds
//!
//! 1. The same flag state and the same entity give the same path, whatever route the call came by and whatever its spelling.
//!    No entity is ever written by the legacy path and the settled fixed path at once: see `domain/transition`.
//! 2. A decision is made from memory. A call that needs the fleet's lease asks the store for it, and waits `store.timeout`
//!    at most for each answer; a store that is known to be gone is not asked.
//! 3. Nothing is sent twice unless not a byte of it had left before, and nothing is run on another path after it was sent.
//! 4. An update that was sent runs to its end, whoever still waits for it; while its outcome is unknown its entity stays
//!    leased. A lease outlasts its call and whatever that call may still write, and is granted from a store that came back
//!    only when nothing from before can write any more.
//! 5. A message that broke off on one side never looks whole on the other.
//! 6. Every weaker guarantee has a name, and shows in a metric and a log line, and in a header of each answer that it
//!    touches, where it is known by then.
//! 7. Losing the store changes no flag, and a store that forgot takes no flag back to an earlier version.
//! 8. What is looked at beside a call (shadows, the detector, records, traces, the log) can be full, slow or dead without
//!    the call noticing.
//! 9. Beyond loopback the admin plane gives nothing without a valid token but what is configured to be open, and no secret
//!    stands in a log line, an answer, a record or an error.

pub mod cli;

pub mod app;

mod proxy;

mod paths;

pub mod lease;

mod idempotency;

pub mod fleet;

pub mod store;

mod remote;

mod documents;

mod shadow;

pub mod admin;

pub mod config;

pub mod telemetry;

pub mod demo;

mod tls;

pub mod net;

pub mod clock;

pub mod watch;

pub mod domain;

#[cfg(test)]
mod simulation;
