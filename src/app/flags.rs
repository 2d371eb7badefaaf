//! Opening the flags at the start, telling what was found, and telling of changes.

use std::path::Path;

use crate::clock;
use crate::config::{Config, FixedConfig, FlagConfig};
use crate::domain::decision::Freshness;
use crate::domain::flag::{FlagState, Strategy};
use crate::store::{FlagSeed, FlagStore, LoadReport, LoadSource, StoreError};
use crate::telemetry::events::{
    FlagChanged, FlagRead, FlagsLoaded, FlagsRejected, FreshnessChanged, SnapshotRefused,
};
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
            FixedConfig::Atomic { .. } => Strategy::Atomic,
        },
        on_store_loss: flag.on_store_loss,
    }
}

pub(crate) fn open_store(config: &Config, telemetry: &Telemetry) -> Result<FlagStore, StoreError> {
    let seeds: Vec<FlagSeed> = config.flags.iter().map(seed).collect();
    let snapshot = config.store.snapshot.clone();
    let (store, report) = match config.store.redis {
        None => FlagStore::new(&seeds, snapshot)?,
        Some(_) => FlagStore::of_fleet(&seeds, snapshot)?,
    };
    if config.store.redis.is_none() && matches!(report.source, LoadSource::File) {
        // There was a process before, which may have crashed. A fleet waits for it by its register.
        let legacy = &config.legacy;
        let longest = legacy.connect_timeout + legacy.timeout + legacy.settle_after_timeout;
        store.ledger().succeed(longest);
    }
    tell(&store, &report, telemetry);
    Ok(store)
}

/// Tells of a flag's change, whoever made it.
pub(super) fn tell_of_changes(
    store: &FlagStore,
    telemetry: &Telemetry,
) -> impl Fn(&str, &FlagState, &FlagState) + Send + Sync + use<> {
    let (store, telemetry) = (store.clone(), telemetry.clone());
    move |name, from, to| {
        if let Some(index) = store.index_of(name).and_then(|index| u16::try_from(index).ok()) {
            FlagChanged { flag: FlagIndex(index), from, to }.emit(&telemetry);
        }
    }
}

/// Tells of a change that was made in this process: one that was written down makes the flags live again, whatever the
/// start found.
pub(super) fn tell_of_own_changes(
    store: &FlagStore,
    telemetry: &Telemetry,
) -> impl Fn(&str, &FlagState, &FlagState) + Send + Sync + use<> {
    let (tell, telemetry) = (tell_of_changes(store, telemetry), telemetry.clone());
    move |name, from, to| {
        tell(name, from, to);
        FreshnessChanged { state: Freshness::Live }.emit(&telemetry);
        FlagsLoaded { at_ms: to.changed_at_ms }.emit(&telemetry);
    }
}

fn tell(store: &FlagStore, report: &LoadReport, telemetry: &Telemetry) {
    let snapshot = store.snapshot();
    for (index, state) in (0..).zip(&snapshot.states) {
        FlagRead { flag: FlagIndex(index), state }.emit(telemetry);
    }
    FreshnessChanged { state: snapshot.freshness }.emit(telemetry);
    SnapshotRefused { refused: store.is_snapshot_refused() }.emit(telemetry);
    if snapshot.freshness == Freshness::Live {
        FlagsLoaded { at_ms: clock::wall_ms() }.emit(telemetry);
    }
    let path = report.path.as_deref().unwrap_or(Path::new("store.snapshot")).display().to_string();
    let origin = path.as_str();
    if let LoadSource::Rejected { why, .. } = &report.source {
        FlagsRejected { reason: FlagsError::Parse, origin, error: why }.emit(telemetry);
    }
    if matches!(report.source, LoadSource::Rejected { .. } | LoadSource::RejectedEarlier { .. }) {
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
