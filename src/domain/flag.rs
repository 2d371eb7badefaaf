//! A flag's state: what an SRE changes while traffic flows, and how each change is made.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::percent::Percent;

/// Which path serves an update.
#[derive(
    serde::Serialize, serde::Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// The app as it is.
    Legacy,
    /// The flag's strategy.
    Fixed,
}

impl Path {
    /// Both, in the order of their indices.
    pub const ALL: [Self; 2] = [Self::Legacy, Self::Fixed];

    /// The word for it in headers, labels and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Fixed => "fixed",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The protection that an update really had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// Legacy, unguarded.
    None,
    /// Legacy while holding the entity's lease, on the way from one path to the other.
    Guarded,
    /// The fixed path, fleet-wide.
    Protected,
    /// The fixed path within this process only: right for one replica.
    Local,
    /// A guarantee was weaker than the flag promises.
    Exposed,
}

impl Protection {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 5] =
        [Self::None, Self::Guarded, Self::Protected, Self::Local, Self::Exposed];

    /// The word for it in labels and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Guarded => "guarded",
            Self::Protected => "protected",
            Self::Local => "local",
            Self::Exposed => "exposed",
        }
    }
}

/// How the fixed path works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The unmodified legacy app under the entity's lease.
    Serialize,
    /// A declared edit of the document in Redis.
    Atomic,
    /// A fixed version of the app at a URL of its own.
    Upstream,
}

impl Strategy {
    /// The word for it in the configuration and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serialize => "serialize",
            Self::Atomic => "atomic",
            Self::Upstream => "upstream",
        }
    }
}

impl FromStr for Strategy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Serialize, Self::Atomic, Self::Upstream]
            .into_iter()
            .find(|strategy| strategy.as_str() == text)
            .ok_or(())
    }
}

/// What a call that needs the store does while the store is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnStoreLoss {
    /// The legacy path, one at a time per entity within this sidecar, marked `exposed`.
    #[default]
    Legacy,
    /// 503 with `Retry-After`, nothing sent.
    Reject,
}

impl OnStoreLoss {
    /// The word for it in the configuration and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Reject => "reject",
        }
    }
}

/// Entities that take one path whatever the percentage; at most [`Pins::MAX`] in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// Always legacy.
    pub legacy: BTreeSet<String>,
    /// Always fixed.
    pub fixed: BTreeSet<String>,
}

impl Pins {
    /// The most entities that can be pinned under one flag: every sidecar holds them all in memory.
    pub const MAX: usize = 1_000;

    /// The path that an entity is pinned to.
    pub fn path_of(&self, entity: &str) -> Option<Path> {
        if self.legacy.contains(entity) {
            Some(Path::Legacy)
        } else if self.fixed.contains(entity) {
            Some(Path::Fixed)
        } else {
            None
        }
    }
}

/// A flag as it stands: the percentage in force, its kill switch, its pins, and who changed it last and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagState {
    /// The share of entities on the fixed path.
    pub percent: Percent,
    /// The share before the last change of it.
    pub previous_percent: Percent,
    /// Grows by one with every change; 1 is the configured start.
    pub version: u64,
    /// Everything takes the legacy path, whatever the percentage and the pins say.
    pub killed: bool,
    /// Entities that don't follow the percentage.
    pub pins: Pins,
    /// When it was changed last, in milliseconds since the Unix epoch.
    pub changed_at_ms: u64,
    /// Who changed it.
    pub changed_by: String,
    /// Why.
    pub reason: String,
}

/// One change to a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets the percentage.
    Percent(Percent),
    /// Stops admission to the fixed path at once.
    Kill,
    /// Takes a kill back: the percentage counts again.
    Resume,
    /// Ties an entity to a path, or, with `None`, lets it follow the percentage again.
    Pin {
        /// The entity's key.
        entity: String,
        /// The path to tie it to.
        path: Option<Path>,
    },
}

/// Why a change was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No reason was given: the history must say why.
    #[error("a change needs a reason")]
    NoReason,
    /// The reason is over [`FlagState::MAX_REASON_BYTES`].
    #[error("the reason is longer than 1024 bytes")]
    ReasonTooLong,
    /// There is no room for another pin.
    #[error("a flag holds at most 1000 pins")]
    TooManyPins,
}

/// Who makes a change, why and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl FlagState {
    /// The longest reason, in bytes.
    pub const MAX_REASON_BYTES: usize = 1024;

    /// The state that a flag has before anybody changed it: version 1.
    pub fn initial(percent: Percent, at_ms: u64) -> Self {
        Self {
            percent,
            previous_percent: percent,
            version: 1,
            killed: false,
            pins: Pins::default(),
            changed_at_ms: at_ms,
            changed_by: "configuration".to_owned(),
            reason: "start value".to_owned(),
        }
    }

    /// The state after a change, one version on.
    pub fn changed(&self, change: &Change, author: Author) -> Result<Self, ChangeError> {
        if author.reason.trim().is_empty() {
            return Err(ChangeError::NoReason);
        }
        if author.reason.len() > Self::MAX_REASON_BYTES {
            return Err(ChangeError::ReasonTooLong);
        }
        let mut next = self.clone();
        match change {
            Change::Percent(percent) => {
                next.previous_percent = self.percent;
                next.percent = *percent;
            }
            Change::Kill => next.killed = true,
            Change::Resume => next.killed = false,
            Change::Pin { entity, path } => next.pins.set(entity, *path)?,
        }
        next.version = self.version.saturating_add(1);
        next.changed_at_ms = author.at_ms;
        next.changed_by = author.by;
        next.reason = author.reason;
        Ok(next)
    }
}

impl Pins {
    fn set(&mut self, entity: &str, path: Option<Path>) -> Result<(), ChangeError> {
        self.legacy.remove(entity);
        self.fixed.remove(entity);
        if path.is_some() && self.legacy.len() + self.fixed.len() >= Self::MAX {
            return Err(ChangeError::TooManyPins);
        }
        match path {
            Some(Path::Legacy) => self.legacy.insert(entity.to_owned()),
            Some(Path::Fixed) => self.fixed.insert(entity.to_owned()),
            None => true,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(reason: &str) -> Author {
        Author { by: "ann".into(), reason: reason.into(), at_ms: 7 }
    }

    fn percent(text: &str) -> Percent {
        text.parse().unwrap()
    }

    #[test]
    fn a_change_is_one_version_on_and_says_who_and_why() {
        let start = FlagState::initial(percent("5"), 1);

        let next = start.changed(&Change::Percent(percent("25")), author("try it")).unwrap();

        assert_eq!(
            (next.version, next.percent, next.previous_percent),
            (2, percent("25"), percent("5"))
        );
        assert_eq!(
            (next.changed_by.as_str(), next.reason.as_str(), next.changed_at_ms),
            ("ann", "try it", 7)
        );
    }

    #[test]
    fn a_change_without_a_reason_is_refused() {
        let start = FlagState::initial(Percent::ZERO, 1);

        for reason in ["", "  \n"] {
            assert_eq!(start.changed(&Change::Kill, author(reason)), Err(ChangeError::NoReason));
        }
        let long = "x".repeat(FlagState::MAX_REASON_BYTES + 1);
        assert_eq!(start.changed(&Change::Kill, author(&long)), Err(ChangeError::ReasonTooLong));
    }

    #[test]
    fn kill_and_resume_leave_the_percentage_as_it_was() {
        let start = FlagState::initial(percent("25"), 1);

        let killed = start.changed(&Change::Kill, author("fire")).unwrap();
        let resumed = killed.changed(&Change::Resume, author("out")).unwrap();

        assert!(killed.killed && !resumed.killed);
        assert_eq!((killed.percent, resumed.percent), (percent("25"), percent("25")));
    }

    #[test]
    fn an_entity_is_pinned_to_one_path_at_a_time() {
        let pin = |state: &FlagState, path| {
            let change = Change::Pin { entity: "journey:7".into(), path };
            state.changed(&change, author("vip")).unwrap()
        };
        let start = FlagState::initial(Percent::ZERO, 1);

        let fixed = pin(&start, Some(Path::Fixed));
        let legacy = pin(&fixed, Some(Path::Legacy));
        let free = pin(&legacy, None);

        assert_eq!(fixed.pins.path_of("journey:7"), Some(Path::Fixed));
        assert_eq!(legacy.pins.path_of("journey:7"), Some(Path::Legacy));
        assert_eq!(free.pins, Pins::default());
    }

    #[test]
    fn pins_are_bounded() {
        let mut pins = Pins::default();
        for n in 0..Pins::MAX {
            pins.set(&format!("journey:{n}"), Some(Path::Fixed)).unwrap();
        }

        assert_eq!(pins.set("one more", Some(Path::Legacy)), Err(ChangeError::TooManyPins));
        assert_eq!(pins.set("journey:1", Some(Path::Legacy)), Ok(()), "moving one needs no room");
    }
}
