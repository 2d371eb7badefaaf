//! An entity that the detector has something to do with.

use crate::clock::Instant;
use crate::domain::effects::history::{Entry, History, Read, Update};
use crate::domain::effects::{Fields, Stamp};
use crate::shadow::journal::{MAX_ENTRIES, Ticket};
use bytes::Bytes;

use super::flags::Flag;

/// So many updates are checked without waiting any longer: the journal holds twice as many.
const MANY: usize = MAX_ENTRIES / 2;

/// Something that is to be appended to an entity's journal; the moments are not on the common clock yet.
#[derive(Clone, Debug)]
pub(super) enum Draft {
    /// An update; its stamps are to be made of these.
    Update { sent: Instant, ended: Instant, update: Box<Update> },
    /// A read.
    Read { begun: Instant, ended: Instant, fields: Fields },
}

impl Draft {
    /// The first moment that it is about.
    pub(super) fn begun(&self) -> Instant {
        match self {
            Self::Update { sent, .. } => *sent,
            Self::Read { begun, .. } => *begun,
        }
    }

    /// As it is appended; `None` where the clock is not known yet. What is doubtful accuses nobody.
    pub(super) fn entry(
        &self,
        is_doubtful: bool,
        stamp: impl Fn(Instant) -> Option<Stamp>,
    ) -> Option<Entry> {
        Some(match self {
            Self::Update { sent, ended, update } => {
                let (sent, ended) = (stamp(*sent)?, stamp(*ended)?);
                Entry::Update(Update { sent, ended, doubtful: is_doubtful, ..(**update).clone() })
            }
            Self::Read { begun, ended, fields } => Entry::Read(Read {
                begun: stamp(*begun)?,
                ended: stamp(*ended)?,
                fields: fields.clone(),
            }),
        })
    }
}

/// How far the check of an entity has come.
#[derive(Debug, Default)]
pub(super) enum Stage {
    /// There is none.
    #[default]
    Idle,
    /// Its journal is asked for.
    Claiming,
    /// The entity is being read.
    Reading(Journal),
    /// It was read, and shows what it should not; somebody may still have to tell of an update that explains it.
    Waiting(Box<Waiting>),
}

/// An entity's journal as it was claimed.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) history: History,
    /// How many entries it stands for.
    pub(super) taken: usize,
    /// Which claim it is.
    pub(super) ticket: Ticket,
    /// A moment before which every update that was sent, by anybody, has ended and is in it. While the entity is read others
    /// tell of more, in the journal and not in this: so it is of the moment of the claim.
    pub(super) open: Stamp,
    /// How many of the entity's news are in it: [`Entity::news`] grows while the entity is read.
    pub(super) news: usize,
}

/// A read that is not judged yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) journal: Journal,
    pub(super) read: Read,
    /// When the read began and ended, by this process's clock.
    pub(super) begun: Instant,
    pub(super) ended: Instant,
    pub(super) document: Bytes,
}

/// An entity, as long as there is something to do.
#[derive(Debug)]
pub(super) struct Entity {
    /// Its flag's index.
    pub(super) flag: usize,
    /// Where it is read.
    pub(super) path: String,
    /// Updates that were sent and have not ended.
    pub(super) in_flight: Vec<(u64, Instant)>,
    pub(super) drafts: Vec<Draft>,
    /// Since when there is an update that was not checked.
    pub(super) news_since: Option<Instant>,
    /// How many of them, about.
    pub(super) news: usize,
    /// After this nothing that was sent writes any more.
    pub(super) quiet_from: Instant,
    pub(super) stage: Stage,
    /// The next check is not begun before this.
    pub(super) not_before: Instant,
    /// Reads that failed, one after the other.
    pub(super) failures: u32,
}

impl Entity {
    pub(super) fn new(flag: usize, path: String, now: Instant) -> Self {
        Self {
            flag,
            path,
            in_flight: Vec::new(),
            drafts: Vec::new(),
            news_since: None,
            news: 0,
            quiet_from: now,
            stage: Stage::Idle,
            not_before: now,
            failures: 0,
        }
    }

    /// Whether it is time for a check.
    pub(super) fn is_due(&self, flag: &Flag, now: Instant) -> bool {
        let Some(since) = self.news_since else { return false };
        let is_quiet = self.in_flight.is_empty() && now >= self.quiet_from + flag.settle;
        let is_overdue = now >= since + flag.interval.max(flag.settle) || self.news >= MANY;
        matches!(self.stage, Stage::Idle) && now >= self.not_before && (is_quiet || is_overdue)
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Idle)
            && self.in_flight.is_empty()
            && self.drafts.is_empty()
            && self.news_since.is_none()
    }

    /// Whether every update that was sent here before `moment` has ended and was appended.
    pub(super) fn has_told_all_before(&self, moment: Instant) -> bool {
        let in_flight = self.in_flight.iter().map(|(_, sent)| *sent);
        in_flight.chain(self.drafts.iter().map(Draft::begun)).all(|begun| begun > moment)
    }

    /// There are news, or none any more.
    pub(super) fn set_news(&mut self, since: Option<Instant>) {
        self.news_since = since;
        self.news = 0;
    }
}
