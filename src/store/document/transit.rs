//! What moves of a flag, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::flag::Pins;
use crate::domain::percent::Percent;
use crate::domain::transition::{Stage, Transit};

/// The most entities that move by themselves: a kill may add to them those that are pinned.
const MAX_ENTITIES: usize = Transit::MAX_ENTITIES + Pins::MAX;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransitDocument {
    low: f64,
    high: f64,
    stage: String,
    entities: BTreeMap<String, String>,
    since_ms: u64,
    force: bool,
    skipped: bool,
}

impl TransitDocument {
    pub(super) fn of(transit: &Transit) -> Self {
        let word = |(entity, stage): (&String, &Stage)| (entity.clone(), stage.as_str().to_owned());
        Self {
            low: transit.low.as_f64(),
            high: transit.high.as_f64(),
            stage: transit.stage.as_str().to_owned(),
            entities: transit.entities.iter().map(word).collect(),
            since_ms: transit.since_ms,
            force: transit.force,
            skipped: transit.skipped,
        }
    }

    /// `None` for what no change or step can have produced.
    pub(super) fn into_transit(self) -> Option<Transit> {
        let (low, high) = (Percent::try_from(self.low).ok()?, Percent::try_from(self.high).ok()?);
        let stage = stage_by(&self.stage).filter(|stage| !stage.is_settled())?;
        if low > high || self.entities.len() > MAX_ENTITIES {
            return None;
        }
        let entity = |(entity, word): (String, String)| Some((entity, stage_by(&word)?));
        let Self { entities, since_ms, force, skipped, .. } = self;
        let entities = entities.into_iter().map(entity).collect::<Option<_>>()?;
        Some(Transit { low, high, stage, entities, since_ms, force, skipped })
    }
}

fn stage_by(word: &str) -> Option<Stage> {
    Stage::ALL.into_iter().find(|stage| stage.as_str() == word)
}
