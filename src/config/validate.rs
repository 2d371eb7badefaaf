//! Layers in, a validated configuration out: or everything that is wrong with it.

use std::path::PathBuf;

use super::check::{self, Findings};
use super::error::{ConfigProblems, Fault, Problem};
use super::tree::Branch;
use super::warning::Warning;
use super::{Config, build, cross, otel, raw};

/// A configuration that can't be wrong, and what deserves a look all the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// To be logged at the start.
    pub warnings: Vec<Warning>,
}

/// Reads the files, each over those before it, the `INTERLOCK__…` variables of `env` over them all, and over those what
/// the standard `OTEL_*` variables say of traces. Other variables in `env` are passed over.
///
/// # Errors
///
/// Every problem there is, not only the first.
pub fn load(
    files: &[PathBuf],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigProblems> {
    let mut findings = Findings::default();
    let (of_otel, of_ours): (Vec<_>, Vec<_>) = env.partition(|(name, _)| otel::is_variable(name));
    let otel = otel::read(of_otel.into_iter().collect(), &mut findings);
    let tree = raw::read(files, of_ours.into_iter(), &otel.layer, &mut findings.problems);
    let lost = findings.problems.iter().any(|problem| problem.fault.loses_a_file());
    let root = Branch::root(&tree);
    check::table(&root, "", &mut findings);
    cross::check(&root, &otel, &mut findings);
    if lost {
        // What is absent may stand in the file that can't be read.
        findings.problems.retain(|problem| !problem.fault.is_absence());
    }
    if files.is_empty() {
        findings.problems.iter_mut().for_each(say_that_no_file_was_given);
    }
    if let Some(problems) = ConfigProblems::new(findings.problems) {
        return Err(problems);
    }
    Ok(Loaded { config: build::config(&root, &otel)?, warnings: findings.warnings })
}

fn say_that_no_file_was_given(problem: &mut Problem) {
    if let Fault::Missing { example } = &mut problem.fault {
        problem.fault = Fault::MissingWithoutFile { example: std::mem::take(example) };
    }
}
