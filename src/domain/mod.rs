//! The pure core: deciding, and everything a decision is made of.
//!
//! Nothing here does I/O, reads a clock, draws a random number, spawns a task or emits telemetry: `now`, seeds and
//! snapshots are arguments. The lists in `.clippy.toml` hold that fence, and `tests/tidy` the direction of imports.
//!
//! Read in this order: [`percent`], [`bucket`], [`entity`], [`route`], [`source`], [`flag`], [`transition`],
//! [`decision`], [`recovery`], [`retry`];
//! then how divergence is seen: [`effects`], [`json`], [`compare`], [`divergence`], [`timeline`], [`trace`];
//! and how a document is changed by its bytes: [`edit`];
//! and how often updates are lost where nothing is done about it: [`collision`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::cast_possible_truncation, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")
)]

pub mod bucket;
pub mod collision;
pub mod compare;
pub mod decision;
pub mod divergence;
pub mod edit;
pub mod effects;
pub mod entity;
pub mod flag;
pub mod hidden;
pub mod json;
pub mod percent;
pub mod recovery;
pub mod retry;
pub mod route;
pub mod source;
pub mod timeline;
pub mod trace;
pub mod transition;
