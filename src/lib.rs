//! Interlock is a rollout sidecar. It stands in front of a legacy app whose updates race, moves them entity by entity
//! from the **legacy path** to the **fixed path** by flags that an operator flips, and keeps count of what that protects.
//!
//! # The map, in reading order
//!
//! - [`cli`]: the command line; [`app`]: the composition root, from a configuration to running parts and back.
//! - `proxy`: the data plane. A request's life is told in `proxy/handler.rs`, in one function.
//! - [`domain`]: the pure core. Which path a call takes, and why, is decided in `domain/decision.rs`; which calls a flag is
//!   about, in `domain/route.rs`; what an operator can change, in `domain/flag.rs`.
//! - `paths`: what serves a call once it is decided; [`lease`]: the right to update one entity.
//! - [`store`]: the flags of this process and their history; [`admin`]: the plane on which they are read and flipped.
//! - [`config`]: what was written, validated; [`telemetry`]: every metric, label and log line.
//! - [`demo`]: the bundled racy app, its load, and a scripted rollout.
//! - [`net`] and [`clock`]: the only places that open sockets of the data plane and read time.
//!
//! # What always holds
//!
//! 1. The same flag state and the same entity give the same path, whatever route the call came by and whatever its spelling.
//! 2. A decision is made from memory: no request waits for a store.
//! 3. Nothing is sent twice unless not a byte of it had left before, and nothing is run on another path after it was sent.
//! 4. An update that was sent runs to its end, whoever still waits for it; while its outcome is unknown its entity stays leased.
//! 5. A message that broke off on one side never looks whole on the other.
//! 6. Every weaker guarantee has a name, and shows in a header, a metric or a log line.

pub mod cli;

pub mod app;

mod proxy;

mod paths;

pub mod lease;

pub mod store;

pub mod admin;

pub mod config;

pub mod telemetry;

pub mod demo;

pub mod net;

pub mod clock;

pub mod domain;
