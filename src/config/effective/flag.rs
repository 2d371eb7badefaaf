//! A flag as it is in effect.

use std::collections::BTreeMap;

use serde::Serialize;

use super::shadow::Shadow;
use super::{Bytes, Shown, Time};
use crate::config::{
    AtomicConfig, EffectConfig, FixedConfig, FlagConfig, OnRefusal, RouteConfig, UpstreamUrl,
    VerifyConfig,
};
use crate::domain::compare::PointerPattern;
use crate::domain::edit::AnswerTemplate;
use crate::domain::effects::EffectPointer;
use crate::domain::entity::EntityTemplate;
use crate::domain::flag::Strategy;
use crate::domain::route::PathTemplate;
use crate::domain::source::Source;

#[derive(Serialize)]
pub(super) struct Flag<'c> {
    entity: Shown<'c, EntityTemplate>,
    percent: f64,
    on_store_loss: &'static str,
    store_patience: Time,
    reveal: Vec<Shown<'c, PointerPattern>>,
    lease: Lease,
    idempotency: Idempotency,
    fixed: Fixed<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<Verify<'c>>,
    shadow: Shadow<'c>,
    routes: Vec<Route<'c>>,
}

#[derive(Serialize)]
struct Lease {
    wait: Time,
    max_waiters: usize,
}

#[derive(Serialize)]
struct Idempotency {
    keep: Time,
    max_body: Bytes,
}

#[derive(Serialize)]
struct Fixed<'c> {
    strategy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Shown<'c, UpstreamUrl>>,
    refused: &'static str,
    max_document: Bytes,
}

#[derive(Serialize)]
struct Route<'c> {
    name: &'c str,
    methods: Vec<&'c str>,
    path: Shown<'c, PathTemplate>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    placeholders: BTreeMap<&'c str, Shown<'c, Source>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    atomic: Option<Atomic<'c>>,
}

#[derive(Serialize)]
struct Atomic<'c> {
    document: Shown<'c, EntityTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Shown<'c, AnswerTemplate>>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Shown<'c, AnswerTemplate>>,
    missing_status: u16,
    edits: Vec<Effect<'c>>,
}

#[derive(Serialize)]
struct Effect<'c> {
    pointer: Shown<'c, EffectPointer>,
    value: Shown<'c, Source>,
}

#[derive(Serialize)]
struct Verify<'c> {
    read: Shown<'c, PathTemplate>,
    sample: f64,
    settle: Time,
    interval: Time,
    max_reads: u32,
}

impl<'c> From<&'c FlagConfig> for Flag<'c> {
    fn from(flag: &'c FlagConfig) -> Self {
        Self {
            entity: Shown(&flag.entity),
            percent: flag.percent.as_f64(),
            on_store_loss: flag.on_store_loss.as_str(),
            store_patience: Time(flag.store_patience),
            reveal: flag.reveal.iter().map(Shown).collect(),
            lease: Lease { wait: Time(flag.lease.wait), max_waiters: flag.lease.max_waiters },
            idempotency: Idempotency {
                keep: Time(flag.idempotency.keep),
                max_body: Bytes(flag.idempotency.max_body),
            },
            fixed: Fixed::new(flag),
            verify: flag.verify.as_ref().map(Verify::from),
            shadow: Shadow::new(flag.shadow.as_ref()),
            routes: flag.routes.iter().map(|route| Route::new(flag, route)).collect(),
        }
    }
}

impl<'c> Fixed<'c> {
    fn new(flag: &'c FlagConfig) -> Self {
        let (strategy, url, refused) = match &flag.fixed {
            FixedConfig::Serialize => (Strategy::Serialize, None, OnRefusal::default()),
            FixedConfig::Upstream { url } => {
                (Strategy::Upstream, Some(Shown(url)), OnRefusal::default())
            }
            FixedConfig::Atomic { refused } => (Strategy::Atomic, None, *refused),
        };
        Self {
            strategy: strategy.as_str(),
            url,
            refused: match refused {
                OnRefusal::Serialize => "serialize",
                OnRefusal::Reject => "reject",
            },
            max_document: Bytes(flag.max_document),
        }
    }
}

impl<'c> Route<'c> {
    /// A placeholder that comes from its own name in the path needs no entry.
    fn new(flag: &'c FlagConfig, route: &'c RouteConfig) -> Self {
        let names = flag.entity.placeholders().iter().map(String::as_str);
        let own_name =
            |name: &str, source: &Source| matches!(source, Source::Path(path) if path == name);
        Self {
            name: &route.name,
            methods: route.methods.iter().map(http::Method::as_str).collect(),
            path: Shown(&route.path),
            placeholders: names
                .zip(&route.sources)
                .filter(|(name, source)| !own_name(name, source))
                .map(|(name, source)| (name, Shown(source)))
                .collect(),
            effect: route.effect.as_ref().map(Effect::from),
            atomic: route.atomic.as_ref().map(Atomic::from),
        }
    }
}

impl<'c> From<&'c EffectConfig> for Effect<'c> {
    fn from(effect: &'c EffectConfig) -> Self {
        Self { pointer: Shown(&effect.pointer), value: Shown(&effect.value) }
    }
}

impl<'c> From<&'c AtomicConfig> for Atomic<'c> {
    fn from(atomic: &'c AtomicConfig) -> Self {
        Self {
            document: Shown(&atomic.document),
            answer: atomic.answer.body.as_ref().map(Shown),
            status: atomic.answer.status,
            missing: atomic.missing.body.as_ref().map(Shown),
            missing_status: atomic.missing.status,
            edits: atomic.edits.iter().map(Effect::from).collect(),
        }
    }
}

impl<'c> From<&'c VerifyConfig> for Verify<'c> {
    fn from(verify: &'c VerifyConfig) -> Self {
        Self {
            read: Shown(&verify.read),
            sample: verify.sample.as_f64(),
            settle: Time(verify.settle),
            interval: Time(verify.interval),
            max_reads: verify.max_reads,
        }
    }
}
