//! The transition protocol, in every way that it can go.
//!
//! Reading code, or running it, shows some of the orders in which sidecars hear of a change, calls are late, and the store is
//! gone. A model that is small enough shows all of them. This one is checked with stateright: from [`Model::init_states`]
//! everything that can happen next is tried, until there are no new states.
//!
//! The flag moves by the crate's own [`FlagState`] and [`barrier`], so that what is checked can't drift from what runs. What
//! is modelled beside it, and what not, is told in docs/model.md:
//!
//! - [`world`]: a state;
//! - [`bounds`]: how much happens in a run, and which rule of the protocol is broken in it;
//! - [`protocol`]: what can happen, and what must hold; in parts [`flag`], [`faults`] and [`traffic`];
//! - [`holds`]: the protocol as it is;
//! - [`loses`]: with each of its rules broken once. There the checker has to find an update that is lost.
//!
//! [`Model::init_states`]: stateright::Model::init_states
//! [`FlagState`]: interlock::domain::flag::FlagState
//! [`barrier`]: interlock::domain::transition::barrier

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a protocol that is wrong fails its test, and what was found is shown to who asks for it"
)]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod bounds;
mod checking;
mod faults;
mod flag;
mod holds;
mod loses;
mod protocol;
mod traffic;
mod world;
