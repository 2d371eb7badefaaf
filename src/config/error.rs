//! What can be wrong with a configuration: every problem with its layer, key, value and remedy.

use std::fmt;
use std::path::PathBuf;

use super::collector::CollectorFault;
use super::conflict::Conflict;
use super::pairs::PairsFault;
use super::store_url::StoreUrlFault;
use super::url::UrlFault;
use crate::domain::compare::PatternError;
use crate::domain::effects::EffectPointerError;
use crate::domain::entity::EntityTemplateError;
use crate::domain::percent::PercentError;
use crate::domain::route::PathTemplateError;
use crate::domain::source::SourceError;

/// Everything wrong with a configuration, in the order of the layers and keys. Never empty.
#[derive(Debug)]
pub struct ConfigProblems(Vec<Problem>);

impl ConfigProblems {
    /// The configuration is refused for these; `None` when there are none.
    pub fn new(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for ConfigProblems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration is refused for 1 problem:")?,
            n => write!(f, "the configuration is refused for {n} problems:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigProblems {}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// One layer: a file as given on the command line, or `environment variable NAME`.
    Layer(String),
    /// No layer: the setting is missing everywhere.
    Nowhere,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(name) => f.write_str(name),
            Self::Nowhere => f.write_str("configuration"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The key's path, such as `flags.journey-updates.routes[0].path`; empty when the whole layer is meant.
    pub key: String,
    /// The value as written, secrets masked; `None` when the key itself is the problem.
    pub value: Option<String>,
    /// What is wrong with it and what is allowed.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        match (self.key.as_str(), &self.value) {
            ("", _) => {}
            (key, Some(value)) => write!(f, "{key} = {value}: ")?,
            (key, None) => write!(f, "{key}: ")?,
        }
        self.fault.fmt(f)
    }
}

/// What is wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file is missing, or the process may not read it.
    #[error("can't be read: {0}; check the path given with --config and its permissions")]
    Unreadable(#[source] std::io::Error),
    /// Nobody writes that much by hand.
    #[error("is larger than {max} bytes, the most that a configuration file may have")]
    FileTooLarge {
        /// The bound, in bytes.
        max: u64,
    },
    /// Not TOML.
    #[error("line {line}, column {column}: not valid TOML: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The parser's own words.
        message: String,
    },
    /// TOML that the layering can't hold, such as an integer beyond 64 bits.
    #[error("not usable as TOML: {0}")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No such key.
    #[error("unknown key{}", SuggestOf(.suggestion, .known))]
    UnknownKey {
        /// The nearest known one.
        suggestion: Option<String>,
        /// What may stand there.
        known: Vec<String>,
    },
    /// A variable for a flag that no file defines.
    #[error("no file defines such a flag{}", SuggestOf(.suggestion, .known))]
    NoSuchFlag {
        /// The nearest one.
        suggestion: Option<String>,
        /// The flags that exist.
        known: Vec<String>,
    },
    /// Names that differ only in `-`, `.` and `_`.
    #[error("could mean each of the flags {}: set it in a file instead", .flags.join(", "))]
    AmbiguousFlag {
        /// The candidates.
        flags: Vec<String>,
    },
    /// Two variables for one key, in no order.
    #[error("sets the same key as {other}: remove one of them")]
    RepeatedVariable {
        /// The other variable's name.
        other: String,
    },
    /// Routes are arrays, which layers replace as a whole.
    #[error(
        "routes can't be set from the environment: write them in a file and add it with --config"
    )]
    ArrayFromEnvironment,
    /// Another TOML type.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// With its article.
        expected: &'static str,
        /// With its article.
        found: &'static str,
    },
    /// Required and in no layer.
    #[error("is required: write something like {example}")]
    Missing {
        /// `key = value`.
        example: String,
    },
    /// Required, and nobody named a file that could have it.
    #[error(
        "is required, and no file was given: add --config FILE (or set INTERLOCK_CONFIG) with {example}"
    )]
    MissingWithoutFile {
        /// `key = value`.
        example: String,
    },
    /// Beyond what makes sense.
    #[error("must be from {min} to {max}")]
    OutOfRange {
        /// As it would be written.
        min: String,
        /// As it would be written.
        max: String,
    },
    /// Not a duration.
    #[error("is no duration: write a number and a unit, such as \"50ms\", \"5s\" or \"1m 30s\"")]
    NotADuration,
    /// Not a size.
    #[error("is no size: write whole bytes or a unit, such as 65536, \"32KiB\" or \"1MiB\"")]
    NotASize,
    /// Not a percentage.
    #[error("is no percentage: {0}")]
    NotAPercent(#[from] PercentError),
    /// Not `address:port`.
    #[error(
        "is no address to listen on: write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\""
    )]
    NotAnAddress,
    /// Not an upstream's URL.
    #[error("is no upstream: {0}")]
    NotAnUpstream(#[from] UrlFault),
    /// Not a store's URL.
    #[error("is no store's URL: {0}")]
    NotAStore(#[from] StoreUrlFault),
    /// Not a collector's URL.
    #[error("is no collector's URL: {0}")]
    NotACollector(#[from] CollectorFault),
    /// Not a variable's list of headers.
    #[error("is no list of headers: {0}")]
    NotHeaders(#[from] PairsFault),
    /// Not one of a closed set.
    #[error("must be one of {}", .allowed.join(", "))]
    NotOneOf {
        /// The set.
        allowed: &'static [&'static str],
    },
    /// Not a name that is safe as a metric label.
    #[error("is no name: use 1 to {max} letters, digits, '_', '-' and '.'")]
    NotAName {
        /// The longest, in bytes.
        max: usize,
    },
    /// A name that metrics use for something else.
    #[error("is what metrics call a call that matched nothing: choose another name")]
    ReservedName,
    /// Nothing written.
    #[error("is empty: write a value or leave the key out")]
    Empty,
    /// Not a log filter.
    #[error(
        "is no log filter: write off, error, warn, info, debug or trace, or target=level, separated by commas"
    )]
    NotALogFilter,
    /// Not an HTTP method.
    #[error("has {method:?}, which is no method: methods are in capitals, such as \"PUT\"")]
    NotAMethod {
        /// As written.
        method: String,
    },
    /// One method twice.
    #[error("names {method} twice")]
    RepeatedMethod {
        /// The method.
        method: String,
    },
    /// Not an entity's template.
    #[error("{0}")]
    NotAnEntity(#[from] EntityTemplateError),
    /// Not a path's template.
    #[error("{0}")]
    NotAPath(#[from] PathTemplateError),
    /// Not a source.
    #[error("{0}")]
    NotASource(#[from] SourceError),
    /// Not a pointer to a field.
    #[error("{0}")]
    NotAPointer(#[from] EffectPointerError),
    /// Not a list of places.
    #[error("has {pattern:?}, which {why}")]
    NotAPattern {
        /// As written.
        pattern: String,
        /// What is wrong with it.
        why: PatternError,
    },
    /// Not a list of headers.
    #[error("has {name:?}, which is no header's name: write something like \"content-type\"")]
    NotAHeader {
        /// As written.
        name: String,
    },
    /// A longer list than anybody needs.
    #[error("has {count} entries, and at most {max} are allowed")]
    TooMany {
        /// How many.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// The template of an answer that is no JSON.
    #[error("is not JSON: {source}")]
    NotJson {
        /// Why.
        source: std::sync::Arc<serde_json::Error>,
    },
    /// The file that a path leads to can't be used.
    #[error("{}: {why}", path.display())]
    UnusableFile {
        /// The path as written.
        path: PathBuf,
        /// What is wrong with it, and what would help.
        why: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A rule that holds between settings is broken.
    #[error("{0}")]
    Conflict(#[from] Conflict),
}

impl Fault {
    /// Whether a whole file is out of the picture.
    pub(super) fn loses_a_file(&self) -> bool {
        matches!(
            self,
            Self::Unreadable(_)
                | Self::FileTooLarge { .. }
                | Self::Syntax { .. }
                | Self::Unusable(_)
        )
    }

    /// Whether it says no more than that something is not there, which a file that can't be read may well have.
    pub(super) fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::NoSuchFlag { .. }
                | Self::Conflict(
                    Conflict::NoRoutes
                        | Conflict::NoUpstream
                        | Conflict::OpenAdmin
                        | Conflict::NoStore
                        | Conflict::UserWithoutPassword
                        | Conflict::NotACluster
                        | Conflict::NoEffect
                        | Conflict::NoShadowUrl
                        | Conflict::NoOtherApp
                )
        )
    }
}

/// The end of a message about a name that doesn't exist.
struct SuggestOf<'a>(&'a Option<String>, &'a [String]);

impl fmt::Display for SuggestOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(name), _) => write!(f, "; did you mean {name}?"),
            (None, []) => f.write_str("; none may stand here"),
            (None, known) => write!(f, "; known here: {}", known.join(", ")),
        }
    }
}
