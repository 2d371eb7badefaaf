//! What is accepted but deserves a look.

use std::fmt;

use super::error::Origin;

/// Something that is accepted but deserves a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub origin: Origin,
    /// The key's path.
    pub key: String,
    /// What to look at.
    pub notice: Notice,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.notice)
    }
}

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// Checked, kept for a later version.
    #[error("has no effect in this version: {remedy}")]
    NoEffect {
        /// What stands in its place.
        remedy: &'static str,
    },
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
}
