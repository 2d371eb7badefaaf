//! What a failed command means: whether it may have been executed.

use redis::RedisError;

/// Why a command has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// It certainly did not run.
    #[error("not executed: {0}")]
    NotExecuted(#[source] Cause),
    /// It may have run.
    #[error("it may have been executed: {0}")]
    Unknown(#[source] Cause),
}

impl CallError {
    /// Whether a server that is there said no.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::NotExecuted(Cause::Redis(error)) if !error.is_io_error())
    }

    /// Whether it did not run, and would not if it were sent again.
    pub(crate) fn is_for_good(&self) -> bool {
        matches!(self, Self::NotExecuted(_))
            && self.code().is_some_and(|code| FOR_GOOD.contains(&code))
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// There is no connection: the breaker is open.
    #[error("the store is not connected")]
    Disconnected,
    /// The connection is not the one that was asked for any more.
    #[error("the store was connected anew")]
    Reconnected,
    /// No answer within `store.timeout`.
    #[error("no answer within store.timeout")]
    Timeout,
    /// What the client library says: a refusal of the server, or a broken connection.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

/// Refusals that a server gives before it executes anything. A script that stops at an error is among them (`ERR` and the
/// code of the command in it), since ours write last and then only what can't fail.
const REFUSALS: &[&str] = &[
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "ERR",
    "EXECABORT",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "NOSCRIPT",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "WRONGPASS",
    "WRONGTYPE",
];

/// Refusals that the same command meets again, however often it is sent: it asks for what the server does not have or may not
/// give. All others pass by themselves, or with another connection.
const FOR_GOOD: &[&str] = &["CROSSSLOT", "ERR", "NOPERM", "WRONGPASS", "WRONGTYPE"];

/// Refusals by a server that can't serve, or not us: another connection may lead to one that does.
const UNABLE: &[&str] = &["LOADING", "MASTERDOWN", "NOAUTH", "READONLY"];

impl CallError {
    /// What an error of a command that was sent means. A code that is not known may come from something in between, which
    /// sent the command on.
    pub(super) fn of_sent(error: RedisError) -> Self {
        match error.code() {
            Some(code) if REFUSALS.contains(&code) => Self::NotExecuted(Cause::Redis(error)),
            _ => Self::Unknown(Cause::Redis(error)),
        }
    }

    /// The server's own error code, where it is one's.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::NotExecuted(Cause::Redis(error)) | Self::Unknown(Cause::Redis(error)) => {
                error.code()
            }
            _ => None,
        }
    }

    /// What went wrong, in a word of a closed set: the server's own code where it is a known one.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NotExecuted(cause) | Self::Unknown(cause) => match cause {
                Cause::Disconnected => "disconnected",
                Cause::Reconnected => "reconnected",
                Cause::Timeout => "timeout",
                Cause::Redis(error) => {
                    let code = error.code().unwrap_or_default();
                    REFUSALS.iter().find(|known| **known == code).copied().unwrap_or("broken")
                }
            },
        }
    }

    /// The code, where it says that the server can't serve.
    pub(super) fn unable(&self) -> Option<&str> {
        self.code().filter(|code| UNABLE.contains(code))
    }

    /// Whether it was sent at all.
    pub(super) fn was_sent(&self) -> bool {
        !matches!(self, Self::NotExecuted(Cause::Disconnected | Cause::Reconnected))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn refused(line: &str) -> CallError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        CallError::of_sent(value.extract_error().unwrap_err())
    }

    #[test]
    fn what_a_server_refuses_was_not_executed() {
        for code in REFUSALS {
            let error = refused(&format!("{code} for some reason"));

            assert!(matches!(error, CallError::NotExecuted(_)), "{code}: {error}");
            assert_eq!(error.code(), Some(*code));
        }
    }

    #[test]
    fn a_connection_that_broke_or_an_error_of_unknown_origin_leaves_it_open() {
        let broken = CallError::of_sent(io::Error::from(io::ErrorKind::BrokenPipe).into());

        for error in [broken, refused("upstream failure")] {
            assert!(matches!(error, CallError::Unknown(_)), "{error}");
        }
    }

    #[test]
    fn only_what_passes_by_itself_is_worth_another_try() {
        for code in REFUSALS {
            let error = refused(&format!("{code} for some reason"));

            assert_eq!(error.is_for_good(), FOR_GOOD.contains(code), "{code}");
        }
        assert!(!CallError::NotExecuted(Cause::Disconnected).is_for_good());
        assert!(!refused("upstream failure").is_for_good());
    }

    #[test]
    fn only_a_server_that_can_not_serve_is_left() {
        assert_eq!(refused("READONLY You can't write").unable(), Some("READONLY"));
        assert_eq!(refused("MASTERDOWN Link is down").unable(), Some("MASTERDOWN"));
        assert_eq!(refused("LOADING dataset").unable(), Some("LOADING"));
        assert_eq!(refused("OOM command not allowed").unable(), None);
        assert_eq!(refused("NOSCRIPT No matching script").unable(), None);
    }
}
