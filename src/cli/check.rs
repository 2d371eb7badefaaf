//! `interlock check`: is the configuration right, and what is in effect?

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{CheckArgs, DONE, FAILED, Output, REFUSED, output};
use crate::admin::auth::TokensFile;
use crate::admin::files::{self, FileError, Reread};
use crate::config::{AdminConfig, ConfigProblems, Fault, Loaded, Origin, Problem, Warning};

/// Right, and most likely not what was meant.
const NO_FLAGS: &str = "no flags: everything passes through to the app as it is";

/// What is to be printed, and the exit code.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) stdout: String,
    pub(super) stderr: Vec<String>,
    pub(super) code: u8,
}

/// Why a file that the configuration names can't be used.
#[derive(Debug, thiserror::Error)]
enum FileFault {
    /// It is missing, or whoever asks may not read it.
    #[error("can't be read: {0}; check the path, its permissions and who runs Interlock")]
    Unreadable(#[from] io::Error),
    /// A directory, or something that can be read once only.
    #[error("is no regular file: it is read again at every connect")]
    NotRegular,
}

pub(super) fn check(args: &CheckArgs) -> ExitCode {
    let report = report(args.config.load().and_then(with_files), args.output);
    for line in &report.stderr {
        output::stderr(line, report.code);
    }
    output::stdout(&report.stdout, report.code)
}

/// Looks into the admin plane's files as well, as a start would, and whether the store's files could be read.
pub(super) fn with_files(loaded: Loaded) -> Result<Loaded, ConfigProblems> {
    let of_admin = of_admin(&loaded.config.admin).into_iter();
    let of_admin = of_admin.map(|FileError { key, path, fault }| unusable(key, &path, fault));
    let of_store = loaded.config.store.redis.iter().flat_map(|redis| {
        [
            ("store.username_file", &redis.username_file),
            ("store.password_file", &redis.password_file),
            ("store.ca_file", &redis.ca_file),
        ]
    });
    let of_store = of_store.filter_map(|(key, path)| {
        let path = path.as_ref()?;
        Some(unusable(key, path, readable(path).err()?.into()))
    });
    match ConfigProblems::new(of_admin.chain(of_store).collect()) {
        Some(problems) => Err(problems),
        None => Ok(loaded),
    }
}

/// What is wrong with the admin plane's files.
fn of_admin(admin: &AdminConfig) -> Vec<FileError> {
    let tokens = admin.tokens_file.clone();
    let tokens = tokens.and_then(|path| Reread::open(TokensFile { path }).err());
    let tls = admin.tls.clone().and_then(|tls| Reread::open(tls).err());
    tokens.into_iter().chain(tls).collect()
}

fn unusable(key: &str, path: &Path, why: Box<dyn Error + Send + Sync>) -> Problem {
    Problem {
        origin: Origin::Nowhere,
        key: key.to_owned(),
        value: None,
        fault: Fault::UnusableFile { path: path.to_owned(), why },
    }
}

/// Nothing is read, since what it holds is a secret.
fn readable(path: &Path) -> Result<(), FileFault> {
    files::open_regular(path)?.map(drop).ok_or(FileFault::NotRegular)
}

/// Puts the answer together. As JSON it stands on stdout whatever it is; people find problems on stderr as well.
pub(super) fn report(loaded: Result<Loaded, ConfigProblems>, format: Output) -> Report {
    match (loaded, format) {
        (Ok(loaded), Output::Text) => {
            let mut stderr: Vec<String> =
                loaded.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
            if loaded.config.flags.is_empty() {
                stderr.push(format!("warning: {NO_FLAGS}"));
            }
            written(loaded.config.effective_toml().map_err(|e| e.to_string()), stderr)
        }
        (Ok(loaded), Output::Json) => {
            let mut warnings: Vec<Value> = loaded.warnings.iter().map(warning_json).collect();
            if loaded.config.flags.is_empty() {
                let origin = Origin::Nowhere.to_string();
                warnings.push(json!({ "origin": origin, "key": "flags", "warning": NO_FLAGS }));
            }
            let document =
                |config| line(&json!({ "valid": true, "warnings": warnings, "config": config }));
            written(
                loaded.config.effective_json().map(document).map_err(|e| e.to_string()),
                Vec::new(),
            )
        }
        (Err(problems), Output::Text) => {
            Report { stdout: String::new(), stderr: vec![problems.to_string()], code: REFUSED }
        }
        (Err(problems), Output::Json) => {
            let list: Vec<Value> = problems.iter().map(problem_json).collect();
            let stdout = line(&json!({ "valid": false, "problems": list }));
            Report { stdout, stderr: vec![problems.to_string()], code: REFUSED }
        }
    }
}

fn written(text: Result<String, String>, mut stderr: Vec<String>) -> Report {
    match text {
        Ok(stdout) => Report { stdout, stderr, code: DONE },
        Err(why) => {
            stderr.push(format!("the configuration is right but can't be printed: {why}"));
            Report { stdout: String::new(), stderr, code: FAILED }
        }
    }
}

fn line(document: &Value) -> String {
    format!("{document:#}\n")
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "origin": problem.origin.to_string(),
        "key": problem.key,
        "value": problem.value,
        "problem": problem.fault.to_string(),
    })
}

fn warning_json(warning: &Warning) -> Value {
    json!({
        "origin": warning.origin.to_string(),
        "key": warning.key,
        "warning": warning.notice.to_string(),
    })
}
