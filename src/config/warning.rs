//! What is accepted but deserves a look.

use std::fmt;

use super::error::Origin;
use super::pairs::PairsFault;

/// Something that is accepted but deserves a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub origin: Origin,
    /// The key's path; empty where the layer says it all.
    pub key: String,
    /// What to look at.
    pub notice: Notice,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.origin, self.notice),
            key => write!(f, "{}: {key}: {}", self.origin, self.notice),
        }
    }
}

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// `url` beside another strategy.
    #[error("has no effect: only strategy \"upstream\" has a url")]
    UnusedUrl,
    /// The fixed path is the app it should replace.
    #[error("is legacy.url: the fixed path would be the unfixed app")]
    FixedIsLegacy,
    /// A shutdown may cut calls short.
    #[error(
        "with legacy.timeout = {timeout:?} it exceeds proxy.drain = {drain:?}: a shutdown may cut waiting calls short"
    )]
    DrainTooShort {
        /// `proxy.drain` as text.
        drain: String,
        /// `legacy.timeout` as text.
        timeout: String,
    },
    /// Whoever can listen in on the network learns the tokens.
    #[error(
        "is reachable from other machines, and tokens would travel in the clear: set admin.tls, or let nobody listen in \
         between"
    )]
    AdminInTheClear,
    /// A setting of a store that is not there.
    #[error("has no effect without store.url")]
    NoStore,
    /// A secret where copies and lists of processes show it.
    #[error("holds a password: better keep it in a file that store.password_file names")]
    PasswordInUrl,
    /// Two passwords.
    #[error("holds a password, but that of store.password_file is used: take it out of the URL")]
    PasswordFileWins,
    /// Two users.
    #[error("names a user, but that of store.username_file is used: take it out of the URL")]
    UsernameFileWins,
    /// The store could stall a call for longer than the call wants to wait.
    #[error(
        "is shorter than store.timeout = {timeout:?}: one slow answer of the store is already a 503"
    )]
    WaitBelowStoreTimeout {
        /// `store.timeout` as text.
        timeout: String,
    },
    /// A variable whose value nobody here understands.
    #[error("is {value:?}, and must be {allowed}: it is passed over, as if it was not set")]
    PassedOver {
        /// As it is set.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// The variable of the resource's attributes, which may hold what should not be shown.
    #[error("{fault}; all of it is passed over, as if it was not set")]
    AttributesPassedOver {
        /// What is wrong with it.
        fault: PairsFault,
    },
    /// A sampler's argument without the sampler.
    #[error("has no effect without OTEL_TRACES_SAMPLER, such as parentbased_traceidratio")]
    NoSampler,
    /// A sampler that would not heed the caller.
    #[error(
        "asks to pass over what a caller has decided, which is heeded all the same: write parentbased_ before it"
    )]
    CallersDecide,
    /// Spans without anybody to take them.
    #[error(
        "has no effect without a collector: set OTEL_EXPORTER_OTLP_ENDPOINT or telemetry.otlp_endpoint"
    )]
    NoCollector,
    /// Spans that nobody wants.
    #[error("has no effect: the environment variable {variable} turns traces off")]
    TracesOff {
        /// Which one.
        variable: &'static str,
    },
    /// The one protocol with the other's port.
    #[error(
        "has the usual port of the other protocol, and telemetry.otlp_protocol is \"{protocol}\": see that the collector \
         takes it there"
    )]
    OtherPort {
        /// The protocol that is spoken.
        protocol: &'static str,
    },
    /// A path where none is sent.
    #[error(
        "has a path, which OTLP over gRPC does not use: for OTLP over HTTP set telemetry.otlp_protocol = \"http/protobuf\""
    )]
    PathOverGrpc,
    /// What updates do, and nobody looks.
    #[error("has no effect without flags.NAME.verify")]
    NoVerify,
    /// A setting of what is off.
    #[error("has no effect while shadow.mode is \"off\"")]
    ShadowIsOff,
    /// An edit that nobody makes.
    #[error(
        "has no effect without fixed = {{ strategy = \"atomic\" }} or shadow = {{ mode = \"plan\" }}"
    )]
    UnusedEdit,
    /// A setting of another mode.
    #[error("has no effect under shadow.mode \"plan\", which sends nothing")]
    UnusedInPlan,
}
