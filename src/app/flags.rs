//! Opening the flags at the start, and telling what was found.

use std::path::Path;

use crate::clock;
use crate::config::{Config, FixedConfig, FlagConfig};
use crate::domain::decision::Freshness;
use crate::domain::flag::Strategy;
use crate::store::{FlagSeed, FlagStore, LoadReport, LoadSource, StoreError};
use crate::telemetry::events::{FlagRead, FlagsLoaded, FlagsRejected, FreshnessChanged};
use crate::telemetry::labels::FlagsError;
use crate::telemetry::{FlagIndex, Telemetry};

fn seed(flag: &FlagConfig) -> FlagSeed {
    FlagSeed {
        name: flag.name.clone(),
        percent: flag.percent,
        entity: flag.entity.to_string(),
        strategy: match flag.fixed {
            FixedConfig::Serialize => Strategy::Serialize,
            FixedConfig::Upstream { .. } => Strategy::Upstream,
        },
        on_store_loss: flag.on_store_loss,
    }
}

pub(super) fn open_store(config: &Config, telemetry: &Telemetry) -> Result<FlagStore, StoreError> {
    let seeds: Vec<FlagSeed> = config.flags.iter().map(seed).collect();
    let (store, report) = FlagStore::new(&seeds, config.store.snapshot.clone())?;
    tell(&store, &report, telemetry);
    Ok(store)
}

fn tell(store: &FlagStore, report: &LoadReport, telemetry: &Telemetry) {
    let snapshot = store.snapshot();
    for (index, state) in (0..).zip(&snapshot.states) {
        FlagRead { flag: FlagIndex(index), state }.emit(telemetry);
    }
    FreshnessChanged { state: snapshot.freshness }.emit(telemetry);
    if snapshot.freshness == Freshness::Live {
        FlagsLoaded { at_ms: clock::wall_ms() }.emit(telemetry);
    }
    let path = report.path.as_deref().unwrap_or(Path::new("store.snapshot")).display().to_string();
    let origin = path.as_str();
    if let LoadSource::Rejected { why, .. } = &report.source {
        FlagsRejected { reason: FlagsError::Parse, origin, error: why }.emit(telemetry);
    }
    if snapshot.freshness != Freshness::Live {
        tracing::error!(event = "flags_not_restored", "{report}");
    }
    if let Some(error) = &report.unwritable {
        FlagsRejected { reason: FlagsError::Io, origin, error }.emit(telemetry);
    }
    if !report.ignored.is_empty() {
        tracing::warn!(flags = ?report.ignored, "flags are remembered that are not configured");
    }
    if !report.redefined.is_empty() {
        tracing::warn!(flags = ?report.redefined, "flags are configured differently than when they were changed last");
    }
}
