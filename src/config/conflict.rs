//! What can be wrong between settings that are right on their own.

use std::path::PathBuf;

use http::Method;

use crate::domain::edit::AnswerTemplateError;

/// A rule between settings that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// More flags than metrics are bounded for.
    #[error("has {count} flags, and at most {max} are allowed")]
    TooManyFlags {
        /// How many.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// More routes than metrics are bounded for.
    #[error("there are {count} routes in all flags, and at most {max} are allowed")]
    TooManyRoutes {
        /// How many.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// Two flags for one entity: their percentages would let two paths write it.
    #[error(
        "the flag {other} writes the same entities: put all routes that write one entity under one flag"
    )]
    SameEntity {
        /// The other flag.
        other: String,
    },
    /// One name for two routes: their metrics would mix.
    #[error("{other} has the same name, and routes are told apart by it in metrics: rename one")]
    SameRouteName {
        /// The other route's key.
        other: String,
    },
    /// Two routes for one call.
    #[error("{other} matches the same {method} calls: remove one")]
    SameCalls {
        /// The other route's key.
        other: String,
        /// A method that both have.
        method: String,
    },
    /// Nothing would ever be decided.
    #[error("needs at least one route: add [[flags.NAME.routes]] with name, methods and path")]
    NoRoutes,
    /// The entity can't be filled.
    #[error(
        "doesn't have {{{placeholder}}} of the entity: add it to the path, or say where it stands with \
         placeholders = {{ {placeholder} = \"query:NAME\" }} (or header:NAME, body:/POINTER)"
    )]
    Unfilled {
        /// The entity's placeholder.
        placeholder: String,
    },
    /// A source for nothing.
    #[error("the entity has no such placeholder; it has {}", .placeholders.join(", "))]
    ForeignPlaceholder {
        /// Those of the entity.
        placeholders: Vec<String>,
    },
    /// A source from nowhere.
    #[error(
        "the route's path has no placeholder {{{name}}}: use one that it has, or add it to the path"
    )]
    NotInPath {
        /// The name.
        name: String,
    },
    /// Anybody on the network could flip a flag.
    #[error(
        "is reachable from other machines: set admin.tokens_file, or listen on loopback, such as \"127.0.0.1:9901\""
    )]
    OpenAdmin,
    /// Two listeners, one port.
    #[error("the data plane listens on {proxy} already: choose another port")]
    SameListener {
        /// `proxy.listen`.
        proxy: std::net::SocketAddr,
    },
    /// Every call would come back in.
    #[error("is where Interlock itself listens ({key} = \"{listener}\"): name another port")]
    Loop {
        /// Which of its listeners.
        key: &'static str,
        /// Where it listens.
        listener: std::net::SocketAddr,
    },
    /// No file can be there.
    #[error("is a directory: name a file in it, such as \"{}/flags.json\"", path.display())]
    SnapshotIsDirectory {
        /// `store.snapshot`.
        path: PathBuf,
    },
    /// `strategy = "upstream"` without a URL.
    #[error(
        "strategy \"upstream\" needs url: write something like url = \"http://127.0.0.1:5001\""
    )]
    NoUpstream,
    /// Something about a store that nobody named: without it every sidecar would be alone, and nobody would notice.
    #[error(
        "is about a store that is not there: write where it is, such as store.url = \"redis://127.0.0.1:6379\", or take \
         it out"
    )]
    NoStore,
    /// Several hosts that neither Sentinel nor a cluster makes one store of.
    #[error(
        "names several hosts: if they are nodes of a cluster, set store.cluster = true; if they are Sentinels, write \
         redis+sentinel:// and the service"
    )]
    NotACluster,
    /// Certificates that nobody shows.
    #[error("is for TLS only: write rediss:// in store.url, or take it out")]
    CaWithoutTls,
    /// A user who can't prove to be it.
    #[error(
        "names a user without a password: name the password's file in store.password_file; a password without a user is \
         written as :password@"
    )]
    UserWithoutPassword,
    /// The wait for a lease would end before the store's absence is acted on.
    #[error(
        "is part of the wait for a lease, and longer than lease.wait = {wait:?}: shorten it, or wait longer"
    )]
    PatienceBeyondWait {
        /// `lease.wait` as text.
        wait: String,
    },
    /// An entity can't be read: the detector knows of it no more than its key.
    #[error(
        "has {{{placeholder}}}, which is none of the entity's placeholders ({}): read the entity by those alone",
        .placeholders.join(", ")
    )]
    UnfilledRead {
        /// The path's placeholder.
        placeholder: String,
        /// Those of the entity.
        placeholders: Vec<String>,
    },
    /// A field that can't be named.
    #[error(
        "has {{{placeholder}}}, which neither the route's path nor the entity has: use a placeholder of those, or add it to \
         the path"
    )]
    UnfilledEffect {
        /// The pointer's placeholder.
        placeholder: String,
    },
    /// A detector that does not know what some updates do.
    #[error(
        "has a method that may update, and flags.NAME.verify needs to know what: say it with effect = {{ pointer = \
         \"/status\", value = \"body:/status\" }}, or the detector would take its updates for a stranger's"
    )]
    NoEffect,
    /// A candidate with a store of its own is not to be found.
    #[error(
        "needs to know where the candidate with a store of its own listens: set shadow.url, such as \
         \"http://127.0.0.1:5002\""
    )]
    NoShadowUrl,
    /// An app that serves would be taken for a candidate.
    #[error(
        "is {key}, whose app serves, so that shadows would write live state: name a candidate with a store of its own, or \
         use mode = \"dry_run\" if the app promises not to commit what carries Interlock-Shadow: 1"
    )]
    ShadowOfLiveState {
        /// The other key.
        key: String,
    },
    /// With one app only there is nothing to compare it with.
    #[error(
        "has no other app to ask, since strategy \"serialize\" calls the same one on both paths: set shadow.url, or \
         noise = \"100%\" to learn what differs by itself"
    )]
    NoOtherApp,
    /// The app that serves would get copies that it commits.
    #[error(
        "is for mode \"dry_run\" only, since the app that serves would get copies of updates and write live state: leave it \
         at 0"
    )]
    NoiseWritesLiveState,
    /// An edit needs the app's documents.
    #[error(
        "edits the app's documents in their Redis: set store.url to it, such as \"redis://127.0.0.1:6379\""
    )]
    NoDocuments,
    /// Nothing is declared that could be made or planned.
    #[error(
        "needs a route that declares its edit: atomic = {{ document = \"journey:{{journeyId}}\", pointer = \"/Status\", \
         value = \"body:/status\" }}"
    )]
    NoEdit,
    /// One field or several, and not both or neither.
    #[error(
        "needs either pointer and value, or edits = [{{ pointer = \"/Status\", value = \"body:/status\" }}, …]"
    )]
    OneEditOrSeveral,
    /// More edits than one call may make.
    #[error("has {count} edits, and at most {max} are allowed")]
    TooManyEdits {
        /// How many.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// Whoever sends such a call, or repeats it, takes it for harmless.
    #[error(
        "has {method}, which must not change anything: give it a route of its own, without atomic"
    )]
    EditBySafeMethod {
        /// The method.
        method: Method,
    },
    /// No document can take both.
    #[error(
        "is in the same place as {other:?} of this route, or within it: every call would be refused; leave one out"
    )]
    EditsMeet {
        /// The other edit's pointer.
        other: String,
    },
    /// In a cluster a script reaches one slot alone.
    #[error(
        "has to be the same text as the flag's entity, {entity:?}: in a cluster the document and the entity's lease must \
         lie in one slot"
    )]
    DocumentInAnotherSlot {
        /// `entity` as written.
        entity: String,
    },
    /// An answer that nobody could be sent.
    #[error(
        "is the status code of an answer without a body, and {key} declares one: leave {key} out, or take a status code \
         that has a body, such as 200"
    )]
    AnswerWithoutBody {
        /// Where the body is declared.
        key: &'static str,
    },
    /// An answer that can't be made.
    #[error("{source}")]
    BadAnswer {
        /// Why.
        source: AnswerTemplateError,
    },
}
