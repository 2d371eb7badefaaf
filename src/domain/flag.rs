//! A flag's state: what an SRE changes while traffic flows, and how each change is made.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::bucket::Bucket;
use super::percent::Percent;
use super::transition::{Stage, Transit, Turn};

#[cfg(test)]
mod tests;

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
    /// How many steps of a transition were taken since that change.
    pub step: u32,
    /// Everything takes the legacy path, whatever the percentage and the pins say.
    pub killed: bool,
    /// Entities that don't follow the percentage.
    pub pins: Pins,
    /// What moves from one path to the other; `None` where all is settled.
    pub transit: Option<Box<Transit>>,
    /// Sidecars that a step went on without, as it was forced, and that have not been heard of since.
    pub forced: BTreeSet<String>,
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
    /// Lets the transition go on without sidecars that are silent.
    Force,
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
    #[error("a flag holds at most 1000 pins: remove one first")]
    TooManyPins,
    /// Too many pins were set and taken back since the flag was settled last.
    #[error("2000 entities are moving by themselves: wait until the flag's transition is settled")]
    TooManyMoving,
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
            step: 0,
            killed: false,
            pins: Pins::default(),
            transit: None,
            forced: BTreeSet::new(),
            changed_at_ms: at_ms,
            changed_by: "configuration".to_owned(),
            reason: "start value".to_owned(),
        }
    }

    /// Where it stands.
    pub const fn turn(&self) -> Turn {
        Turn { version: self.version, step: self.step }
    }

    /// What tells it from any other state, also from one of the same turn: a store that forgot may count a version twice.
    pub fn fingerprint(&self) -> u32 {
        let mut text =
            format!("{} {} {} {}", self.turn(), self.percent, self.previous_percent, self.killed);
        for part in [&self.pins.legacy, &self.pins.fixed, &self.forced] {
            text.push('\n');
            part.iter().for_each(|entity| text.extend([entity, "\0"]));
        }
        if let Some(it) = &self.transit {
            let Transit { low, high, stage, entities, force, skipped, since_ms: _ } = &**it;
            text += &format!("\n{low} {high} {} {force} {skipped}\n", stage.as_str());
            entities.iter().for_each(|(entity, stage)| {
                text.extend([entity, "\0", stage.as_str(), "\0"]);
            });
        }
        super::bucket::hash(&self.changed_by, &text)
    }

    /// The percentage that counts.
    pub const fn aim(&self) -> Percent {
        if self.killed { Percent::ZERO } else { self.percent }
    }

    /// The path that an entity of this flag takes once all is settled.
    pub fn path_at_rest(&self, flag: &str, entity: &str) -> Path {
        if self.killed {
            return Path::Legacy;
        }
        self.pins.path_of(entity).unwrap_or_else(|| {
            let admitted = match self.percent {
                Percent::ZERO => false,
                Percent::FULL => true,
                percent => percent.admits(Bucket::of(flag, entity)),
            };
            if admitted { Path::Fixed } else { Path::Legacy }
        })
    }

    /// What an entity's updates do at present.
    pub fn stage_of(&self, flag: &str, entity: &str) -> Stage {
        let Some(transit) = &self.transit else {
            return Stage::at_rest(self.path_at_rest(flag, entity));
        };
        if let Some(stage) = transit.entities.get(entity) {
            return *stage;
        }
        match self.pins.path_of(entity) {
            // Those that were fixed move by themselves when it is killed.
            Some(_) if self.killed => Stage::Legacy,
            Some(path) => Stage::at_rest(path),
            None => transit.stage_of(Bucket::of(flag, entity)),
        }
    }

    /// The state after a step of its transition, for which the barrier has to be passed, or forced without `silent`; `None`
    /// where all is settled.
    pub fn stepped(
        &self,
        flag: &str,
        strategy: Strategy,
        silent: BTreeSet<String>,
    ) -> Option<Self> {
        let transit = self.transit.as_ref()?.stepped(flag, self, strategy).map(Box::new);
        let forced = self.forced.union(&silent).cloned().collect();
        Some(Self { step: self.step.saturating_add(1), transit, forced, ..self.clone() })
    }

    /// The state once sidecars that were gone past are back, or known to be gone; `None` where `back` names none.
    pub fn caught_up(&self, back: &BTreeSet<String>) -> Option<Self> {
        let forced: BTreeSet<_> = self.forced.difference(back).cloned().collect();
        let fewer = forced.len() < self.forced.len();
        fewer.then(|| Self { step: self.step.saturating_add(1), forced, ..self.clone() })
    }

    /// The state after a change, one version on; what has to move begins to.
    pub fn changed(
        &self,
        flag: &str,
        strategy: Strategy,
        change: &Change,
        author: Author,
    ) -> Result<Self, ChangeError> {
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
            Change::Force => {}
        }
        next.version = self.version.saturating_add(1);
        next.step = 0;
        next.changed_at_ms = author.at_ms;
        next.changed_by = author.by;
        next.reason = author.reason;
        let transit = Transit::after_change(self, &next, change, (flag, strategy));
        let moving = |transit: &Transit| transit.entities.len();
        let before = self.transit.as_deref().map_or(0, moving);
        let after = transit.as_ref().map_or(0, moving);
        if after > before.max(Transit::MAX_ENTITIES) && *change != Change::Kill {
            return Err(ChangeError::TooManyMoving);
        }
        next.transit = transit.map(Box::new);
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
