//! The configuration from the outside: text in, a configuration or its problems out.

mod atomic;
mod divergence;
mod examples;
mod layers;
mod problems;
mod round_trip;
mod rules;
mod shadow;
mod store;
mod traces;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{ConfigProblems, Loaded, load};

/// The smallest configuration with a flag.
const MINIMAL: &str = r#"
    [legacy]
    url = "http://127.0.0.1:5000"
    [flags.journey-updates]
    entity = "journey:{journeyId}"
    [[flags.journey-updates.routes]]
    name = "journey-status"
    methods = ["PUT"]
    path = "/api/journeys/{journeyId}/status"
"#;

/// Files that are gone when the test is over.
struct Files(Vec<PathBuf>);

impl Files {
    fn of(texts: &[&str]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let write = |text: &&str| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("interlock-config-{}-{number}.toml", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        Self(texts.iter().map(write).collect())
    }

    fn load(&self, env: &[(&str, &str)]) -> Result<Loaded, ConfigProblems> {
        load(&self.0, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    /// What is said, with `FILE0`, `FILE1` for the files' paths.
    fn named(&self, said: &str) -> String {
        let name = |said: String, (index, path): (usize, &PathBuf)| {
            said.replace(&path.display().to_string(), &format!("FILE{index}"))
        };
        self.0.iter().enumerate().fold(said.to_owned(), name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.0 {
            drop(std::fs::remove_file(path));
        }
    }
}

fn loaded(text: &str) -> Loaded {
    Files::of(&[text]).load(&[]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Each problem, as it is printed.
fn problems_of(files: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    let files = Files::of(files);
    match files.load(env) {
        Ok(loaded) => panic!("accepted: {loaded:?}"),
        Err(problems) => problems.iter().map(|problem| files.named(&problem.to_string())).collect(),
    }
}

/// The minimal configuration with settings changed by a later layer is refused for exactly these problems, each given
/// by its beginning.
fn check_refused(change: &str, expected: &[&str]) {
    let found = problems_of(&[MINIMAL, change], &[]);
    assert_eq!(found.len(), expected.len(), "{change}: {found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{change}:\n{found}\ndoesn't begin with\n{expected}");
    }
}

/// The warnings for the minimal configuration with settings changed by a later layer.
fn warnings_for(change: &str) -> Vec<String> {
    let files = Files::of(&[MINIMAL, change]);
    let loaded = files.load(&[]).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.warnings.iter().map(|warning| files.named(&warning.to_string())).collect()
}
