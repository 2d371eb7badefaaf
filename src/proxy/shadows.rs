//! What one worker has for the shadows of one flag: connections, a lane and memory of their own.
//!
//! Nothing of it is shared with calls that serve, so that none of them ever waits for a shadow or is refused because of one.

use std::rc::Rc;

use super::candidate::{CandidatePool, Terms};
use super::memory::BodyMemory;
use super::worker::Shared;
use crate::config::{FixedConfig, FlagConfig, ShadowConfig};
use crate::domain::flag::Path;
use crate::shadow::{Crowd, Judge, Lane};
use crate::telemetry::{FlagIndex, Telemetry};

/// What shadows may hold in memory at once, over all workers, in bytes: bodies of calls, and answers of both paths. Past it
/// calls are not shadowed.
const SHADOW_BYTES: usize = 64 * 1024 * 1024;

/// The bodies that one shadow holds: the call's, twice while its control is under way, and two answers.
const BODIES_OF_ONE: usize = 4;

/// What the shadows of one flag have on one worker.
pub(crate) struct Shadows {
    pub(crate) flag: FlagIndex,
    pub(crate) terms: ShadowConfig,
    /// The longest body that is held, in bytes.
    pub(crate) limit: usize,
    /// Where they run.
    pub(crate) lane: Rc<Lane>,
    pub(crate) memory: Rc<BodyMemory>,
    /// Tells whether updates overlapped.
    pub(crate) crowd: Crowd,
    pub(crate) judge: Judge,
    pub(crate) telemetry: Telemetry,
    /// The candidate where legacy serves.
    pub(crate) fixed: Rc<CandidatePool>,
    /// The candidate where the fixed path serves.
    pub(crate) legacy: Rc<CandidatePool>,
    /// Legacy beside itself.
    pub(crate) same: Rc<CandidatePool>,
}

impl Shadows {
    /// Those of all flags on one worker, by flag.
    pub(crate) fn of_all(shared: &Shared, crowd: &Crowd) -> Vec<Option<Rc<Self>>> {
        let proxy = &shared.config.proxy;
        let share = SHADOW_BYTES / proxy.workers.max(1);
        let memory = BodyMemory::new(share.max(proxy.max_body.saturating_mul(BODIES_OF_ONE)));
        let flags = shared.config.flags.iter().enumerate();
        let of = |(place, flag)| Self::of(shared, place, flag, &memory, crowd).map(Rc::new);
        flags.map(of).collect()
    }

    fn of(
        shared: &Shared,
        place: usize,
        flag: &FlagConfig,
        memory: &Rc<BodyMemory>,
        crowd: &Crowd,
    ) -> Option<Self> {
        let (terms, judge) = (flag.shadow.clone()?, shared.judge.clone()?);
        let config = &shared.config;
        let calling = Rc::new(Terms {
            connect_timeout: config.legacy.connect_timeout.min(terms.timeout),
            idle_timeout: config.legacy.idle_timeout,
            rules: terms.rules.clone(),
            limit: config.proxy.max_body,
        });
        let pool =
            |path, url| CandidatePool::new(path, url, &calling, memory, shared.telemetry.clone());
        let same = pool(Path::Legacy, config.legacy.url.clone());
        let legacy = match &terms.url {
            Some(url) => pool(Path::Legacy, url.clone()),
            None => Rc::clone(&same),
        };
        let fixed = match (&terms.url, &flag.fixed) {
            (Some(url), _) | (None, FixedConfig::Upstream { url }) => {
                pool(Path::Fixed, url.clone())
            }
            // There is no other app: the configuration allows that only where each shadow is for noise.
            (None, FixedConfig::Serialize | FixedConfig::Atomic { .. }) => Rc::clone(&same),
        };
        Some(Self {
            flag: FlagIndex(u16::try_from(place).ok()?),
            limit: config.proxy.max_body,
            lane: Lane::new(terms.max_inflight, terms.queue),
            memory: Rc::clone(memory),
            crowd: crowd.clone(),
            judge,
            telemetry: shared.telemetry.clone(),
            fixed,
            legacy,
            same,
            terms,
        })
    }

    /// Closes connections that nobody used for the idle time.
    pub(crate) fn prune(&self) {
        for pool in [&self.fixed, &self.legacy, &self.same] {
            pool.prune();
        }
    }
}
