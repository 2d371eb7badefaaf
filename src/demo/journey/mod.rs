//! The bundled journey service: a legacy app whose updates race, kept as small and as wrong as the real ones.
//!
//! An update reads the whole document, takes its time, changes one part of it and writes the whole document back. Of
//! updates that overlap, the last write wins and the others are gone, although each was answered with 200.
//!
//! [`document`] is what it keeps, [`store`] where, `handler` what it answers, [`service`] how it runs.

pub mod document;
mod handler;
pub mod service;
pub mod store;

pub use document::{Journey, Part};
pub use service::{JourneyOptions, JourneyService, ServiceError};
pub use store::{DocumentStore, Documents, StoreError};
