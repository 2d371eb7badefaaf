//! Noise: the places that differ by themselves, between two answers of the same app.
//!
//! A timestamp differs in every answer, an identifier in some; neither says anything about the candidate. Which places these
//! are is learnt from comparing the app with itself. A difference at such a place is excused as long as it is not seen more
//! often between candidate and control than between the app and itself:
//!
//! - A place has to differ by itself at least [`MIN_DIFFERED`] times, so that a fluke excuses nothing, and in at least
//!   [`MIN_SHARE`] of the trials: a rarer one is worth a look.
//! - It is excused no longer when the candidate differs there more than [`MARGIN`] times as often, and more often by more than
//!   chance explains ([`DEVIATIONS`]). A place that is rarely different by itself and always with the candidate is a finding.
//! - How it differs counts: a field that always has another value may not be missing.
//! - Never excused are the status code, the body as a whole, of which is not known what differs inside of it, and an element of
//!   an unordered array that has no partner: a lost element would look the same as one with a new timestamp in it. These are
//!   for the rules to ignore. The report has them all the same.
//!
//! Old trials fade: after [`WINDOW`] of them all counts are halved.

use std::collections::BTreeMap;

use serde::Serialize;

use super::path::generalised;
use super::{Comparison, STATUS};
use crate::domain::divergence::{Difference, DifferenceKind, Excuse};

/// The most places that are remembered. A place takes 2 KiB at most, and an ordinary one some 100 bytes.
pub const MAX_PLACES: usize = 256;

/// How often a place must have differed by itself: three flukes at one place are none.
pub(super) const MIN_DIFFERED: u32 = 3;

/// The share of trials in which a place must have differed by itself.
pub(super) const MIN_SHARE: f64 = 0.01;

/// How many times as often the candidate may differ as the app does from itself: both are only measured.
pub(super) const MARGIN: f64 = 1.5;

/// How far two shares must lie apart to be no chance, in standard deviations. It is looked at again and again, so it takes
/// more than the usual two or three.
pub(super) const DEVIATIONS: f64 = 4.0;

/// After so many trials counts are halved: what a release of the app changed is forgotten within a few thousand.
pub(super) const WINDOW: u32 = 1_000;

/// What is known of the places that differ by themselves. It knows nothing at first, and then excuses nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// Comparisons of the app with itself.
    trials: u32,
    places: BTreeMap<Spot, Counts>,
    /// How often a place was forgotten or not taken in.
    crowded_out: u64,
    /// All trials ever, as a date.
    now: u64,
}

/// A place, and how it differs there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    /// With `*` for indices.
    pointer: String,
    manner: Manner,
}

/// A kind of difference, the same seen from either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Manner {
    Value,
    Type,
    Presence,
    Length,
}

impl Manner {
    fn of(kind: DifferenceKind) -> Option<Self> {
        match kind {
            DifferenceKind::Changed => Some(Self::Value),
            DifferenceKind::Type => Some(Self::Type),
            DifferenceKind::Missing | DifferenceKind::Extra => Some(Self::Presence),
            DifferenceKind::Length => Some(Self::Length),
            DifferenceKind::Lost | DifferenceKind::Unmanaged => None,
        }
    }
}

/// How often a spot differed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// By itself.
    differed: u32,
    /// The trial in which it last did.
    last: u64,
    /// Comparisons with a candidate since it is known.
    observed: u32,
    /// In how many of those it differed.
    differed_there: u32,
}

/// One place that differed by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoisyPlace {
    /// The place, with `*` for what may be an index.
    pub pointer: String,
    /// How it differed; `missing` stands for `extra` as well.
    pub kind: DifferenceKind,
    /// The comparisons of the app with itself, of late.
    pub trials: u32,
    /// In how many of them it differed.
    pub differed: u32,
    /// Whether a difference there is excused now.
    pub excused: bool,
}

impl Noise {
    /// Takes in a comparison of two answers of the same app: what differs here, and is not ignored, differs by itself. Where the
    /// status codes differ the bodies are about different things, and nothing is learnt of them.
    pub fn learn(&mut self, same: &Comparison) {
        self.now += 1;
        self.trials += 1;
        for spot in spots(same) {
            if self.places.contains_key(&spot) || self.has_room() {
                let now = self.now;
                let counts = self.places.entry(spot).or_default();
                counts.differed += 1;
                counts.last = now;
            }
        }
        if self.trials > WINDOW {
            self.trials /= 2;
            self.places.values_mut().for_each(|counts| counts.differed /= 2);
            self.places.retain(|_, counts| counts.differed > 0);
        }
    }

    /// Takes in a comparison of a candidate with the control.
    pub fn observe(&mut self, other: &Comparison) {
        if other.has_other_status() {
            return;
        }
        for counts in self.places.values_mut() {
            counts.observed += 1;
        }
        for spot in spots(other) {
            if let Some(counts) = self.places.get_mut(&spot) {
                counts.differed_there += 1;
            }
        }
        for counts in self.places.values_mut().filter(|counts| counts.observed > WINDOW) {
            counts.observed /= 2;
            counts.differed_there /= 2;
        }
    }

    /// Whether a difference of this kind at this place appears by itself, and no more often than it does by itself.
    pub fn is_noise(&self, pointer: &str, kind: DifferenceKind) -> bool {
        self.excuses(&generalised(pointer), kind)
    }

    /// The same of a pointer that has `*` for indices.
    pub(super) fn excuses(&self, general: &str, kind: DifferenceKind) -> bool {
        let (Some(manner), false) = (Manner::of(kind), self.places.is_empty()) else {
            return false;
        };
        let spot = Spot { pointer: general.to_owned(), manner };
        self.places.get(&spot).is_some_and(|counts| self.is_excused(&spot, counts))
    }

    /// The places that differed by themselves, the most frequent first.
    pub fn report(&self) -> Vec<NoisyPlace> {
        let mut report: Vec<_> = self.places.iter().map(|place| self.noisy_place(place)).collect();
        report.sort_by(|a, b| b.differed.cmp(&a.differed).then_with(|| a.pointer.cmp(&b.pointer)));
        report
    }

    /// How often a place was forgotten or not taken in, as there were more than [`MAX_PLACES`].
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    fn noisy_place(&self, (spot, counts): (&Spot, &Counts)) -> NoisyPlace {
        let kind = match spot.manner {
            Manner::Value => DifferenceKind::Changed,
            Manner::Type => DifferenceKind::Type,
            Manner::Presence => DifferenceKind::Missing,
            Manner::Length => DifferenceKind::Length,
        };
        NoisyPlace {
            pointer: spot.pointer.clone(),
            kind,
            trials: self.trials,
            differed: counts.differed,
            excused: self.is_excused(spot, counts),
        }
    }

    fn is_excused(&self, spot: &Spot, counts: &Counts) -> bool {
        let is_element = spot.manner == Manner::Presence && spot.pointer.ends_with("/*");
        let is_whole = spot.pointer.is_empty() || spot.pointer == STATUS;
        let share = share(counts.differed, self.trials);
        !is_whole
            && !is_element
            && counts.differed >= MIN_DIFFERED
            && share >= MIN_SHARE
            && !self.differs_more_there(counts)
    }

    /// Whether the candidate differs there more often than the app does from itself: by the margin, and by more than chance.
    fn differs_more_there(&self, counts: &Counts) -> bool {
        if counts.differed_there < MIN_DIFFERED {
            return false;
        }
        let (alone, there) =
            (share(counts.differed, self.trials), share(counts.differed_there, counts.observed));
        let both = share(counts.differed + counts.differed_there, self.trials + counts.observed);
        let per_trial = 1.0 / f64::from(self.trials) + 1.0 / f64::from(counts.observed);
        let deviation = (both * (1.0 - both) * per_trial).sqrt();
        there > alone * MARGIN && there - alone > deviation * DEVIATIONS
    }

    /// Whether one more place can be remembered, if need be for one that was seen once, the longest ago.
    fn has_room(&mut self) -> bool {
        if self.places.len() < MAX_PLACES {
            return true;
        }
        self.crowded_out += 1;
        let once = self.places.iter().filter(|(_, counts)| counts.differed == 1);
        let oldest = once.min_by_key(|(_, counts)| counts.last).map(|(spot, _)| spot.clone());
        oldest.is_some_and(|spot| self.places.remove(&spot).is_some())
    }
}

/// The spots at which two answers differ and that no rule ignores, each once.
fn spots(comparison: &Comparison) -> Vec<Spot> {
    let only_status = comparison.has_other_status();
    let counts = |difference: &&Difference| {
        difference.excused != Some(Excuse::Rule) && (!only_status || difference.pointer == STATUS)
    };
    let counted = comparison.differences.iter().filter(counts);
    let mut spots: Vec<_> = counted
        .filter_map(|difference| {
            let manner = Manner::of(difference.kind)?;
            Some(Spot { pointer: generalised(&difference.pointer), manner })
        })
        .collect();
    spots.sort_unstable();
    spots.dedup();
    spots
}

fn share(part: u32, of: u32) -> f64 {
    if of == 0 { 0.0 } else { f64::from(part) / f64::from(of) }
}
