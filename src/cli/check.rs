//! `interlock check`: is the configuration right, and what is in effect?

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{CheckArgs, DONE, FAILED, Output, REFUSED, output};
use crate::admin::auth::Tokens;
use crate::config::{ConfigProblems, Fault, Loaded, Origin, Problem, Warning};

/// Right, and most likely not what was meant.
const NO_FLAGS: &str = "no flags: everything passes through to the app as it is";

/// What is to be printed, and the exit code.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) stdout: String,
    pub(super) stderr: Vec<String>,
    pub(super) code: u8,
}

pub(super) fn check(args: &CheckArgs) -> ExitCode {
    let report = report(args.config.load().and_then(with_tokens), args.output);
    for line in &report.stderr {
        output::stderr(line, report.code);
    }
    output::stdout(&report.stdout, report.code)
}

/// Looks into the tokens file as well, as a start would.
pub(super) fn with_tokens(loaded: Loaded) -> Result<Loaded, ConfigProblems> {
    let Some(path) = &loaded.config.admin.tokens_file else {
        return Ok(loaded);
    };
    match Tokens::read(path) {
        Ok(_) => Ok(loaded),
        Err(why) => Err(ConfigProblems::from(Problem {
            origin: Origin::Nowhere,
            key: "admin.tokens_file".to_owned(),
            value: None,
            fault: Fault::UnusableFile { path: path.clone(), why: why.into() },
        })),
    }
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
