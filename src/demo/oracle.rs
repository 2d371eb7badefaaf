//! The oracle: which acknowledged updates are gone. It counts, it doesn't guess.
//!
//! Within a round each part of a journey is written exactly once, with a value that nothing else ever writes, and the
//! document is read when all updates of the round were answered. So an acknowledged update whose value isn't there is
//! lost: nothing else can explain it.

use std::time::Duration;

use super::journey::{Journey, Part};

/// One update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What it writes to.
    pub part: Part,
    /// What it writes: unique in the whole run.
    pub status: String,
}

/// Which path served an update, by the response's `Interlock-Path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServedBy {
    /// The app as it is.
    Legacy,
    /// The flag's strategy.
    Fixed,
    /// No header: no sidecar in between, or no answer at all.
    Unknown,
}

impl ServedBy {
    /// All of them, in the order of the table's rows.
    pub const ALL: [Self; 3] = [Self::Legacy, Self::Fixed, Self::Unknown];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Fixed => "fixed",
            Self::Unknown => "unknown",
        }
    }

    /// From the header's value.
    pub fn from_header(value: Option<&[u8]>) -> Self {
        match value {
            Some(b"legacy") => Self::Legacy,
            Some(b"fixed") => Self::Fixed,
            _ => Self::Unknown,
        }
    }
}

/// What came of an update, as its sender saw it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The update.
    pub update: Update,
    /// Who served it.
    pub served_by: ServedBy,
    /// Whether it was answered with success.
    pub acknowledged: bool,
    /// From just before it was sent to the end of its answer.
    pub latency: Duration,
}

/// What truly came of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged, and there.
    Kept,
    /// Acknowledged, and gone.
    Lost,
    /// Not acknowledged.
    Failed,
}

/// The fate of an update of a round, given the document as it stands when all of them were answered.
pub fn fate(sent: &Sent, journey: &Journey) -> Fate {
    if !sent.acknowledged {
        return Fate::Failed;
    }
    match journey.status_of(&sent.update.part) {
        Some(status) if status == sent.update.status => Fate::Kept,
        _ => Fate::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::journey::document;

    fn sent(part: Part, status: &str, acknowledged: bool) -> Sent {
        Sent {
            update: Update { part, status: status.to_owned() },
            served_by: ServedBy::Legacy,
            acknowledged,
            latency: Duration::ZERO,
        }
    }

    #[test]
    fn finds_a_planted_loss_and_nothing_else() {
        let mut journey: Journey = serde_json::from_str(&document::seeded("J1")).unwrap();
        let [kept, overwritten] = ["S01", "S02"].map(|id| Part::Segment(id.to_owned()));
        journey.set_status(&kept, "Departed 1", None).unwrap();
        journey.set_status(&overwritten, "Departed 0", None).unwrap();
        journey.set_status(&Part::Journey, "Active 3", None).unwrap();

        let check = |sent: Sent, expected: Fate| assert_eq!(fate(&sent, &journey), expected);
        check(sent(kept.clone(), "Departed 1", true), Fate::Kept);
        check(sent(overwritten.clone(), "Departed 2", true), Fate::Lost);
        check(sent(overwritten, "Departed 2", false), Fate::Failed);
        check(sent(kept, "Departed 1", false), Fate::Failed);
        check(sent(Part::Journey, "Active 3", true), Fate::Kept);
        check(sent(Part::Segment("S99".to_owned()), "x", true), Fate::Lost);
    }

    #[test]
    fn the_path_is_what_the_header_says() {
        assert_eq!(ServedBy::from_header(Some(b"fixed")), ServedBy::Fixed);
        assert_eq!(ServedBy::from_header(Some(b"legacy")), ServedBy::Legacy);
        assert_eq!(ServedBy::from_header(Some(b"other")), ServedBy::Unknown);
        assert_eq!(ServedBy::from_header(None), ServedBy::Unknown);
    }
}
