//! One field as a register: which values a read may show, given who wrote what and when.
//!
//! A field that is written and read concurrently behaves well if all writes and reads can be put in one order that agrees
//! with real time and in which every read shows the latest write before it: it is linearizable (Herlihy and Wing,
//! "Linearizability: a correctness condition for concurrent objects", 1990; Lamport's atomic register). For one read
//! that comes down to a rule that looks at pairs only: a value may show if some write of it may have come before the
//! read, and no write that certainly happened lies certainly between that one and the read.
//!
//! An earlier read replaces what came certainly before it, since at some moment of it the field held what it saw. What it saw
//! and no update can have written by then is what was there before all of them.

use super::fingerprint::Fingerprint;
use super::stamp::Stamp;

/// A write of one field, or an earlier read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// What it wrote; `None` where that is not known, so that it may be anything.
    pub value: Option<Fingerprint>,
    /// It did not happen before this.
    pub begun: Stamp,
    /// It did not happen after this.
    pub ended: Stamp,
    /// How it is known.
    pub known: Known,
    /// Of an update: a read that came after it was judged with it in view.
    pub told: bool,
}

/// How a write is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It may have happened, and may not.
    Possible,
    /// It was acknowledged: it happened.
    Acknowledged,
    /// A read saw the field hold this value.
    Seen,
}

/// When a field was read: somewhere between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSpan {
    /// Before it was sent.
    pub begun: Stamp,
    /// After it was answered.
    pub ended: Stamp,
}

impl Write {
    /// Whether it may have happened before the read looked.
    pub fn may_precede(&self, read: &ReadSpan) -> bool {
        !read.ended.is_before(&self.begun)
    }

    /// Whether it certainly happened, and certainly before the read looked.
    pub fn surely_precedes(&self, read: &ReadSpan) -> bool {
        self.known != Known::Possible && self.ended.is_before(&read.begun)
    }

    /// Whether its value was certainly replaced before the read looked: by an update, or, once it was judged, by a read that
    /// showed something else. Before that what a read shows in its place may be the very loss that is to be found.
    pub fn is_overwritten(&self, others: &[Self], read: &ReadSpan) -> bool {
        others.iter().any(|other| self.is_replaced_by(other) && other.surely_precedes(read))
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        let counts = match (self.known, other.known) {
            (_, Known::Acknowledged) => true,
            (_, Known::Possible) => false,
            (Known::Seen, Known::Seen) => other.value != self.value,
            (_, Known::Seen) => self.told && other.value != self.value,
        };
        counts && self.ended.is_before(&other.begun)
    }

    fn may_have_written(&self, value: Option<Fingerprint>) -> bool {
        self.known != Known::Seen && (self.value.is_none() || self.value == value)
    }

    /// Of an earlier read: whether the field may show `shown` as it did then. Not if an update was acknowledged since; one from before
    /// that read is no matter once it was judged, as whatever became of it was told then.
    fn still_holds(&self, shown: Fingerprint, writes: &[Self], read: &ReadSpan) -> bool {
        let unsettled = |update: &Self| {
            update.known == Known::Acknowledged
                && update.surely_precedes(read)
                && !(update.told && update.ended.is_before(&self.begun))
        };
        self.known == Known::Seen
            && self.value == Some(shown)
            && !self.is_overwritten(writes, read)
            && !writes.iter().any(unsettled)
    }

    /// Of a read: whether it shows what was there before all updates, as none of them can have written that by then.
    fn shows_the_past(&self, writes: &[Self]) -> bool {
        let span = ReadSpan { begun: self.begun, ended: self.ended };
        let wrote_it =
            |update: &Self| update.may_have_written(self.value) && update.may_precede(&span);
        self.known == Known::Seen && !writes.iter().any(wrote_it)
    }
}

/// What a read says of a field's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The value may show.
    Fine,
    /// It must not, and it is an older one: an acknowledged write is gone.
    Lost,
    /// It must not, and it was never written here.
    Unmanaged,
    /// It must not, but what stood there before the first write is not known: it may be that, or a stranger's.
    NoBaseline,
}

/// Judges what a read showed. All updates that may have come before it have to be among `writes`, but for such as came
/// certainly before all that are.
pub fn judge(writes: &[Write], read: &ReadSpan, shown: Fingerprint) -> Judgement {
    let before = || writes.iter().filter(|write| write.may_precede(read));
    let mut sources = before().filter(|write| write.may_have_written(Some(shown)));
    if sources.any(|write| !write.is_overwritten(writes, read)) {
        return Judgement::Fine;
    }
    if !before().any(|write| write.surely_precedes(read)) {
        // Nothing has certainly replaced what was there before all of this.
        return Judgement::Fine;
    }
    if before().any(|seen| seen.still_holds(shown, writes, read)) {
        return Judgement::Fine;
    }
    if before().any(|write| write.value == Some(shown)) {
        Judgement::Lost
    } else if before().any(|seen| seen.shows_the_past(writes)) {
        Judgement::Unmanaged
    } else {
        Judgement::NoBaseline
    }
}

#[cfg(test)]
mod tests;
