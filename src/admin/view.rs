//! What callers read: the JSON of flags, histories, explanations and sidecars.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Number, Value};

use crate::domain::bucket::{BUCKETING, Bucket, hash};
use crate::domain::decision::{Freshness, decide};
use crate::domain::flag::{FlagState, Path, Protection, Strategy};
use crate::domain::percent::Percent;
use crate::domain::transition::{Stage, Waiting};
use crate::fleet::SidecarView;
use crate::store::FlagSeed;
use crate::store::history::{Changed, HistoryEntry};
use crate::telemetry::labels::{LabelValue, TransitionStep};

/// A flag.
#[derive(Serialize)]
pub(super) struct FlagView<'a> {
    name: &'a str,
    percent: Number,
    previous_percent: Number,
    version: u64,
    killed: bool,
    entity: &'a str,
    strategy: &'static str,
    on_store_loss: &'static str,
    bucketing: &'static str,
    pins: PinsView<'a>,
    transition: TransitionView,
    changed_at: String,
    changed_by: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct PinsView<'a> {
    legacy: &'a BTreeSet<String>,
    fixed: &'a BTreeSet<String>,
}

#[derive(Serialize)]
struct TransitionView {
    step: &'static str,
    since: String,
    waiting_for: Vec<WaitingView>,
    /// Sidecars that a step went on without, as it was forced, and that have not come back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    forced: Vec<String>,
}

#[derive(Serialize)]
struct WaitingView {
    sidecar: String,
    why: String,
}

/// One change in a history.
#[derive(Serialize)]
pub(super) struct EntryView<'a> {
    version: u64,
    at: String,
    by: &'a str,
    reason: &'a str,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<&'a str>,
    from: Value,
    to: Value,
}

/// Why an entity takes its path.
#[derive(Serialize)]
pub(super) struct ExplainView<'a> {
    flag: &'a str,
    entity: &'a str,
    bucketing: &'static str,
    hash: u32,
    bucket: u16,
    /// Buckets below it take the fixed path, once all is settled.
    threshold: u16,
    /// Buckets below it are settled on the fixed path.
    fixed_below: u16,
    /// Buckets from it on are settled on the legacy path; those between are moving.
    legacy_from: u16,
    percent: Number,
    killed: bool,
    pinned: Option<&'static str>,
    state: &'static str,
    path: &'static str,
    /// What an update of it would have now, if nothing goes wrong under way.
    protection: &'static str,
    reason: &'static str,
    freshness: &'static str,
    version: u64,
    step: u32,
}

/// A sidecar.
#[derive(Serialize)]
pub(super) struct SidecarRow<'a> {
    id: &'a str,
    this: bool,
    build: &'a str,
    /// Absent of one of which nothing is known but that it was there.
    started_at: Option<String>,
    silent_ms: u64,
    leases: &'static str,
    flags: &'a BTreeMap<String, u64>,
    in_step: bool,
}

impl<'a> SidecarRow<'a> {
    /// `latest` has the latest version of each flag.
    pub(super) fn of(sidecar: &'a SidecarView, latest: &BTreeMap<&str, u64>) -> Self {
        let is_latest =
            |(flag, version): (&String, &u64)| latest.get(flag.as_str()) == Some(version);
        let is_known = !sidecar.build.is_empty();
        Self {
            id: &sidecar.id,
            this: sidecar.this,
            build: if is_known { &sidecar.build } else { "unknown" },
            started_at: is_known.then(|| rfc3339(sidecar.started_ms)),
            silent_ms: sidecar.silent_ms,
            leases: sidecar.leases.word(),
            flags: &sidecar.flags,
            in_step: is_known && sidecar.flags.iter().all(is_latest),
        }
    }
}

impl<'a> FlagView<'a> {
    pub(super) fn of(seed: &'a FlagSeed, state: &'a FlagState, waiting: Vec<Waiting>) -> Self {
        let since = state.transit.as_ref().map_or(state.changed_at_ms, |transit| transit.since_ms);
        let waiting = waiting.into_iter().map(|Waiting { sidecar, why }| {
            let why = why.to_string();
            WaitingView { sidecar, why }
        });
        let changed_at = rfc3339(state.changed_at_ms);
        Self {
            name: &seed.name,
            percent: number(state.percent),
            previous_percent: number(state.previous_percent),
            version: state.version,
            killed: state.killed,
            entity: &seed.entity,
            strategy: seed.strategy.as_str(),
            on_store_loss: seed.on_store_loss.as_str(),
            bucketing: BUCKETING,
            pins: PinsView { legacy: &state.pins.legacy, fixed: &state.pins.fixed },
            transition: TransitionView {
                step: TransitionStep::of(state).word(),
                since: rfc3339(since),
                waiting_for: waiting.collect(),
                forced: state.forced.iter().cloned().collect(),
            },
            changed_at,
            changed_by: &state.changed_by,
            reason: &state.reason,
        }
    }
}

impl<'a> EntryView<'a> {
    pub(super) fn of(entry: &'a HistoryEntry) -> Self {
        let word = |path: &Option<Path>| Value::from(path.map(Path::as_str));
        let (change, entity, from, to) = match &entry.what {
            Changed::Percent { from, to } => {
                ("percent", None, Value::Number(number(*from)), Value::Number(number(*to)))
            }
            Changed::Killed { from, to } => ("killed", None, (*from).into(), (*to).into()),
            Changed::Pin { entity, from, to } => {
                ("pin", Some(entity.as_str()), word(from), word(to))
            }
            Changed::Forced => ("forced", None, false.into(), true.into()),
        };
        Self {
            version: entry.version,
            at: rfc3339(entry.at_ms),
            by: &entry.by,
            reason: &entry.reason,
            change,
            entity,
            from,
            to,
        }
    }
}

impl<'a> ExplainView<'a> {
    pub(super) fn of(
        seed: &'a FlagSeed,
        state: &FlagState,
        (freshness, ground): (Freshness, Ground),
        entity: &'a str,
    ) -> Self {
        let hash = hash(&seed.name, entity);
        let decision = decide(&seed.name, state, freshness, entity);
        let at_rest = (state.aim(), state.aim());
        let (low, high) = state.transit.as_ref().map_or(at_rest, |it| (it.low, it.high));
        Self {
            flag: &seed.name,
            entity,
            bucketing: BUCKETING,
            hash,
            bucket: Bucket::from_hash(hash).index(),
            threshold: state.percent.hundredths(),
            fixed_below: low.hundredths(),
            legacy_from: high.hundredths(),
            percent: number(state.percent),
            killed: state.killed,
            pinned: state.pins.path_of(entity).map(Path::as_str),
            state: decision.stage.as_str(),
            path: decision.path.as_str(),
            protection: protection(seed.strategy, state, decision.stage, ground).as_str(),
            reason: decision.reason.as_str(),
            freshness: freshness.as_str(),
            version: state.version,
            step: state.step,
        }
    }
}

/// What a sidecar's flags and leases hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// For its process: no store is configured.
    Process,
    /// For the fleet.
    Fleet,
    /// For a fleet that it has not joined since it started.
    Apart,
}

/// What an update has by its stage, if nothing goes wrong under way.
fn protection(strategy: Strategy, state: &FlagState, stage: Stage, ground: Ground) -> Protection {
    match stage {
        Stage::Legacy => Protection::None,
        _ if ground == Ground::Apart || !state.forced.is_empty() => Protection::Exposed,
        Stage::Guarded | Stage::GuardedFixed => Protection::Guarded,
        Stage::Fixed if strategy == Strategy::Serialize && ground == Ground::Process => {
            Protection::Local
        }
        Stage::Fixed => Protection::Protected,
    }
}

/// A percentage as people write it: `25`, not `25.0`.
fn number(percent: Percent) -> Number {
    let hundredths = percent.hundredths();
    let whole = Number::from(hundredths / 100);
    if hundredths.is_multiple_of(100) {
        whole
    } else {
        Number::from_f64(percent.as_f64()).unwrap_or(whole)
    }
}

/// A time in UTC. Times past the year 9999, which only a broken clock gives, become its last instant.
pub(super) fn rfc3339(ms: u64) -> String {
    const LAST_MS: u64 = 253_402_300_799_999;
    let at = UNIX_EPOCH + Duration::from_millis(ms.min(LAST_MS));
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_no_time_panics() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn percentages_read_as_people_write_them() {
        let check = |text: &str, expected: &str| {
            assert_eq!(number(text.parse().unwrap()).to_string(), expected);
        };

        check("0", "0");
        check("25", "25");
        check("0.07", "0.07");
        check("12.5", "12.5");
        check("100", "100");
    }
}
