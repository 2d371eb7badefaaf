//! What every command has in common that speaks to an admin plane: where it is, who asks, and how to print the answer.

pub(super) mod failure;

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::Output;
use super::client::{AdminUrl, Call, Client, TrustArgs};
use failure::AdminError;

/// The largest token file, in bytes.
const MAX_TOKEN_BYTES: u64 = 4096;

/// Which admin plane to speak to, and how to print what it says.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    /// The sidecar's admin plane
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "INTERLOCK_ADMIN",
        default_value = "http://127.0.0.1:9901"
    )]
    pub(super) admin: AdminUrl,
    /// A file that holds the bearer token
    #[arg(long, global = true, value_name = "FILE", env = "INTERLOCK_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Of https://.
    #[command(flatten)]
    pub(super) trust: TrustArgs,
    /// How to print
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) output: Output,
}

impl AdminArgs {
    /// A client of that admin plane.
    pub(super) fn client(&self) -> Result<Client, AdminError> {
        let token = self.token_file.as_ref().map(read_token).transpose()?;
        let bad = || AdminError::BadToken { path: self.token_file.clone().unwrap_or_default() };
        let client = Client::new(self.admin.clone(), token.as_deref()).ok_or_else(bad)?;
        Ok(client.secured_by(&self.trust)?)
    }
}

fn read_token(path: &PathBuf) -> Result<String, AdminError> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_BYTES).read_to_string(&mut text))
        .map_err(|source| AdminError::TokenFile { path: path.clone(), source })?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AdminError::BadToken { path: path.clone() });
    }
    Ok(token.to_owned())
}

/// A call that reads.
pub(super) fn get(target: String) -> Call {
    Call { method: Method::GET, target, if_version: None, body: None }
}

/// Prints an answer, for people as `view` has it.
pub(super) fn print(
    out: &mut impl Write,
    output: Output,
    view: impl Fn(&Value) -> String,
    answer: &Value,
) -> Result<(), AdminError> {
    let text = match output {
        Output::Text => view(answer),
        Output::Json => format!("{answer:#}\n"),
    };
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
