//! A value that many wait for: tokio's, but that in tests those who wait are woken in the order in which they came. Tokio wakes
//! them in an order of chance, which no seed of ours decides.

#[cfg(test)]
mod in_order;

#[cfg(test)]
pub use in_order::{Receiver, Sender, channel};
#[cfg(not(test))]
pub use tokio::sync::watch::{Receiver, Sender, channel};
