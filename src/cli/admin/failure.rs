//! What an operator is told when a command fails, and its exit code.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::client::{Client, ClientError, TrustError};
use super::super::text::one_line;
use super::super::{DONE, FAILED, Output, REFUSED, output};
use super::get;

/// The longest that `--wait` waits.
pub(in crate::cli) const WAIT: Duration = Duration::from_secs(300);

/// Below it names merely share letters.
const LEAST_SIMILARITY: f64 = 0.6;

#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum AdminError {
    #[error("a change needs a reason, for whoever looks later: add --reason \"why\"")]
    NoReason,
    #[error("--token-file {}: {source}", path.display())]
    TokenFile { path: PathBuf, source: io::Error },
    #[error("--token-file {}: holds no token of one line in plain ASCII", path.display())]
    BadToken { path: PathBuf },
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("no flag is named \"{name}\" (404){}; `interlock flag list` shows all", did_you_mean(nearest.as_ref()))]
    UnknownFlag { name: String, nearest: Option<String> },
    #[error("{title} (401): name a file that holds one of the sidecar's tokens with --token-file")]
    NoAccess { title: String },
    #[error(transparent)]
    Call(#[from] ClientError),
    #[error(
        "the change is made, but is still {step} after {WAIT:?}{}: see `interlock fleet`, and for a sidecar that is gone for good `interlock help fleet forget`; `interlock flag get {name}` shows how it stands",
        waited_for(waiting)
    )]
    NotSettled { name: String, step: String, waiting: String },
    #[error(
        "the change was made (version {version}), and before it was settled {by} changed the flag again: `interlock flag get {name}` shows how it stands, `interlock flag history {name}` who did what"
    )]
    Overtaken { name: String, version: u64, by: String },
    #[error("the change is made, and not yet in force at {}: see `interlock fleet`", behind.join(", "))]
    NotEverywhere { behind: Vec<String> },
    #[error(
        "the admin plane tells of a flag whose {key} is {value:?}: is it of another version than this command?"
    )]
    NoFlag { key: &'static str, value: String },
    #[error("can't print: {0}")]
    Print(#[from] io::Error),
}

impl AdminError {
    pub(in crate::cli) fn exit_code(&self) -> u8 {
        match self {
            Self::NoReason | Self::TokenFile { .. } | Self::BadToken { .. } | Self::Trust(_) => {
                REFUSED
            }
            Self::UnknownFlag { .. }
            | Self::NoAccess { .. }
            | Self::Call(_)
            | Self::NotSettled { .. }
            | Self::Overtaken { .. }
            | Self::NotEverywhere { .. }
            | Self::NoFlag { .. }
            | Self::Print(_) => FAILED,
        }
    }

    /// What the admin plane answered with, where it did.
    fn status(&self) -> Option<u16> {
        match self {
            Self::UnknownFlag { .. } => Some(StatusCode::NOT_FOUND.as_u16()),
            Self::NoAccess { .. } => Some(StatusCode::UNAUTHORIZED.as_u16()),
            Self::Call(
                ClientError::Refused { status, .. } | ClientError::NoAdminPlane { status, .. },
            ) => Some(*status),
            _ => None,
        }
    }

    /// For scripts.
    pub(in crate::cli) fn as_json(&self) -> Value {
        json!({ "error": self.to_string(), "status": self.status() })
    }
}

/// Says on stderr what went wrong, and to scripts on stdout as well.
pub(in crate::cli) fn told(outcome: Result<(), AdminError>, format: Output) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::from(DONE);
    };
    if let AdminError::Print(error) = &error
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        // Whoever reads has seen enough, as in `interlock divergence list | head -3`.
        return ExitCode::from(FAILED);
    }
    // It may quote what an admin plane sent.
    let line = one_line(&error.to_string());
    let code = output::stderr(format_args!("interlock: {line}"), error.exit_code());
    match format {
        Output::Text => code,
        Output::Json => output::stdout(&format!("{:#}\n", error.as_json()), error.exit_code()),
    }
}

/// A refusal, with what this command line can do about it.
pub(in crate::cli) async fn explained(
    client: &Client,
    flag: Option<&str>,
    error: ClientError,
) -> AdminError {
    match (error, flag) {
        (ClientError::Refused { kind, .. }, Some(flag)) if kind == "unknown-flag" => {
            let nearest = nearest(client, flag).await;
            AdminError::UnknownFlag { name: flag.to_owned(), nearest }
        }
        (ClientError::Refused { status, title, .. }, _) if status == StatusCode::UNAUTHORIZED => {
            AdminError::NoAccess { title }
        }
        (error, _) => error.into(),
    }
}

/// The flag that may have been meant.
async fn nearest(client: &Client, flag: &str) -> Option<String> {
    let answer = client.call(get("/api/v1/flags".to_owned())).await.ok()?;
    let names =
        answer.get("flags")?.as_array()?.iter().filter_map(|flag| flag.get("name")?.as_str());
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(flag, name), name))
        .filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.to_owned())
}

fn waited_for(waiting: &str) -> String {
    if waiting.is_empty() { String::new() } else { format!(", waiting for {waiting}") }
}

fn did_you_mean(nearest: Option<&String>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}
