//! A fleet in one thread and no real time: the real code of several sidecars against a simulated store, network, apps and people.
//!
//! Everything random follows from a seed, so a run that goes wrong goes wrong again: `docs/simulation.md` says how.

mod app;
mod audit;
mod calls;
mod dice;
mod documents;
mod edits;
mod faults;
mod history;
mod network;
mod operator;
mod plan;
mod process;
pub(crate) mod redis;
mod settings;
mod sidecar;
mod tally;
mod tests;
mod watch;
mod world;
