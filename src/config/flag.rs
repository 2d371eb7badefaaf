//! A flag as it is configured: `[flags.NAME]` and its routes.

use std::time::Duration;

use http::Method;

use super::UpstreamUrl;
use crate::domain::compare::{PointerPattern, Rules};
use crate::domain::edit::AnswerTemplate;
use crate::domain::effects::EffectPointer;
use crate::domain::entity::EntityTemplate;
use crate::domain::flag::OnStoreLoss;
use crate::domain::percent::Percent;
use crate::domain::route::PathTemplate;
use crate::domain::source::Source;

/// `[flags.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagConfig {
    /// The flag's name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// What an update mutates.
    pub entity: EntityTemplate,
    /// The percentage to start from when nothing is remembered.
    pub percent: Percent,
    /// What happens while the store is gone.
    pub on_store_loss: OnStoreLoss,
    /// How long a call is held first, to ride out a failover.
    pub store_patience: Duration,
    /// Bounds on waiting for an entity's lease.
    pub lease: LeaseConfig,
    /// How calls with an `Idempotency-Key` are kept apart from their repetitions.
    pub idempotency: IdempotencyConfig,
    /// How the fixed path works.
    pub fixed: FixedConfig,
    /// The largest document that is edited or planned, in bytes.
    pub max_document: usize,
    /// The calls that the flag is about; at least one.
    pub routes: Vec<RouteConfig>,
    /// The lost-update detector; without it nothing is verified.
    pub verify: Option<VerifyConfig>,
    /// How the other path is run beside; without it it is not.
    pub shadow: Option<ShadowConfig>,
    /// Places whose values records may show; all others are redacted.
    pub reveal: Vec<PointerPattern>,
}

/// `flags.NAME.verify`.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyConfig {
    /// Where an entity is read: `GET`, by the legacy path. Its placeholders are the entity's.
    pub read: PathTemplate,
    /// The share of entities that are verified.
    pub sample: Percent,
    /// How long an entity is quiet before it is read.
    pub settle: Duration,
    /// The longest that an entity which never falls quiet goes unread.
    pub interval: Duration,
    /// The most reads a second, of this sidecar for this flag.
    pub max_reads: u32,
}

/// `flags.NAME.shadow`, where its mode is not `off`.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowConfig {
    /// What keeps the candidate from doing harm.
    pub mode: ShadowMode,
    /// The share of updates that are shadowed.
    pub sample: Percent,
    /// The share of those whose candidate is the app as it is, for both: what differs then differs by itself.
    pub noise: Percent,
    /// Where the candidate listens; without it, it is the other path's app.
    pub url: Option<UpstreamUrl>,
    /// The longest that a shadow may wait and run.
    pub timeout: Duration,
    /// The most shadows that run at once, per worker.
    pub max_inflight: usize,
    /// The most shadows that wait, per worker.
    pub queue: usize,
    /// What is compared.
    pub rules: Rules,
}

/// `flags.NAME.shadow.mode`, where the candidate is sent what may change things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowMode {
    /// The candidate promises not to commit what is marked `Interlock-Shadow: 1`.
    DryRun,
    /// The candidate has a store of its own.
    Isolated,
    /// Nothing is sent: what the declared edit would write is compared with what the app wrote.
    Plan,
}

/// `flags.NAME.lease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// The longest wait for a lease.
    pub wait: Duration,
    /// The most calls that wait for one entity in one sidecar.
    pub max_waiters: usize,
}

/// `flags.NAME.idempotency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyConfig {
    /// How long it is remembered what became of a call with an `Idempotency-Key`; with zero the header means nothing here.
    pub keep: Duration,
    /// The longest body of an answer that is kept to be given again, in bytes.
    pub max_body: usize,
}

/// `flags.NAME.fixed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixedConfig {
    /// The unmodified app under the entity's lease.
    Serialize,
    /// A fixed version of the app.
    Upstream {
        /// Where it listens.
        url: UpstreamUrl,
    },
    /// The edits that routes declare, made in the store; routes that declare none run as by `Serialize`.
    Atomic {
        /// What becomes of a call whose edit can't be made safely.
        refused: OnRefusal,
    },
}

/// `flags.NAME.fixed.refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRefusal {
    /// The app is called under the entity's lease.
    #[default]
    Serialize,
    /// The caller is told that nothing was done.
    Reject,
}

/// `[[flags.NAME.routes]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// The route's name: a metric label.
    pub name: String,
    /// Its methods; at least one.
    pub methods: Vec<Method>,
    /// Its path.
    pub path: PathTemplate,
    /// Where the value of each placeholder of the flag's entity stands, in the order of the entity's placeholders.
    /// A `Source::Path` names a placeholder that `path` has.
    pub sources: Vec<Source>,
    /// What its updates do to the entity; there where the flag is verified and the methods are not safe.
    pub effect: Option<EffectConfig>,
    /// The edit that stands for its updates, where one is declared.
    pub atomic: Option<AtomicConfig>,
}

/// `flags.NAME.routes[].atomic`. Its placeholders are the path's or the entity's.
#[derive(Clone, Debug, PartialEq)]
pub struct AtomicConfig {
    /// The key of the document.
    pub document: EntityTemplate,
    /// The fields that are written, and where their new values stand; 1 to [`MAX_EDITS`](crate::domain::edit::MAX_EDITS).
    pub edits: Vec<EffectConfig>,
    /// What the caller is answered.
    pub answer: AnswerConfig,
    /// And where there is nothing to edit.
    pub missing: AnswerConfig,
}

/// An answer that the sidecar makes in the app's stead.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerConfig {
    /// Its status code.
    pub status: u16,
    /// Its body; none where the status code allows none.
    pub body: Option<AnswerTemplate>,
}

/// `flags.NAME.routes[].effect`.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectConfig {
    /// The field that is written. Its placeholders are the path's or the entity's.
    pub pointer: EffectPointer,
    /// Where in the call the new value stands. A `Source::Path` names a placeholder that the path has.
    pub value: Source,
}
