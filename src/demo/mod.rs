//! `interlock demo`: a legacy app whose updates get lost, sidecars in front of it, and a rollout that stops the losses.
//!
//! - [`journey`]: the bundled racy service; it stands alone, and tests use it as the app behind a sidecar
//! - [`fleet`]: the services with a sidecar beside each; [`shared`]: the store that the sidecars share, where there is one;
//!   [`admin`]: their flag
//! - [`load`]: the updates, with [`client`] to send them and [`plan`] to choose the journeys
//! - [`oracle`]: which acknowledged updates are gone; [`report`] counts, [`verdict`] says what was proved
//! - [`script`]: the steps, shown on a [`screen`]; [`serve`]: the service alone

pub mod admin;
pub mod client;
pub mod fleet;
pub mod journey;
pub mod load;
pub mod oracle;
pub mod plan;
pub mod report;
pub mod screen;
pub mod script;
pub mod serve;
pub mod shared;
pub mod verdict;
