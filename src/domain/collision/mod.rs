//! How often updates collide, and how many of them are lost: the model of the race, exact, and a replay of it to check against.
//!
//! # What is modelled
//!
//! An update of an entity reads the whole document, takes a *window* W of time, and writes the document back with its own field
//! changed. Reading and writing take no time, and each update has a field of its own, as the segments of a journey have. What
//! another update wrote between the read and the write is not in the document that is written.
//!
//! - *overwritten*: a document was written after the update that doesn't hold it, since its writer had read before. Whoever
//!   reads then does not see the update.
//! - *lost*: the update is not in the document once all have ended. As every update has its own field, no later one explains
//!   that: it is what the detector counts on an entity that has fallen quiet.
//!
//! An overwritten update need not be lost. Say A writes at 10 ms, B writes at 15 ms without having seen A, and C read at 12 ms,
//! when A was there, and writes at 22 ms: A is back, and B is gone. So *lost <= overwritten*, and where anything is
//! overwritten at least one update is lost.
//!
//! # The chain of survivors
//!
//! The last document written is what its writer had read, and one field more. So the survivors are a chain, from the
//! end: the last writer, then the last one to write before that one read, and so on. All others are lost. With one window for
//! all, going backwards, each survivor is the first update more than W before the next: a counter with a dead time W.
//!
//! # A stream ([`Stream`])
//!
//! Updates of one entity come as a Poisson process of rate r. From the write of a survivor back to that of the one before it is
//! the window of the later one and then, as a Poisson process has no memory, an exponential wait of mean 1/r. So survivors
//! are W + 1/r apart in the mean, and there are 1 / (1 + rW) of them to an update:
//!
//! > P(lost) = rW / (1 + rW)
//!
//! An update is overwritten where another one is between its read and its write at the moment when it writes. The number of
//! those is that of the busy servers of an M/G/infinity queue, Poisson with mean rW:
//!
//! > P(overwritten) = 1 - exp(-rW)
//!
//! Both hold for random windows as well, independent of each other, with W as their mean: neither argument used more of it.
//!
//! # A burst ([`Burst`])
//!
//! N updates begin at moments that are uniform within a spread J, all with the window W; w = W / J. Were N itself Poisson with
//! mean m, there would be k survivors or more where the k-th, whose moment is (k - 1) W and k exponential waits, lies within J:
//! where a Poisson process has k points or more in a length J - (k - 1) W. That is the N points kept with
//! probability q(k) = 1 - (k - 1) w each, and as it holds for every m, it holds for every N:
//!
//! > P(k survivors or more) = P(Binomial(N, q(k)) >= k)
//!
//! The sum over k is the mean number of survivors, and k = N is that nothing collides: (1 - (N - 1) w)^N. For J = 0 one survives.
//! Of another update beginning within W after the one at x, with probability min(w, 1 - x), there is none with the mean over x of
//! (1 - min(w, 1 - x))^(N - 1); hence
//!
//! > E(overwritten) = (N - 1) (1 - (1 - w)^N)
//!
//! # Many entities ([`Popularity`])
//!
//! Each update is one of entity k with probability p(k): equal ones, or Zipf's, proportional to 1 / k^S. A stream splits into
//! independent ones of rates r p(k). Of a burst, entity k gets Binomial(N, p(k)) updates, and a binomial of a binomial is one again: q(k)
//! becomes p q(k), summed over the entities. That nothing collides at all is a product of power series, see [`Burst::outlook`].

mod burst;
mod chance;
mod popularity;
mod replay;
mod stream;
#[cfg(test)]
mod tests;

pub use burst::{Burst, BurstOutlook};
pub use popularity::Popularity;
pub use replay::{Call, Estimate, Fate, Uniform, replay};
pub use stream::{Stream, StreamOutlook};
