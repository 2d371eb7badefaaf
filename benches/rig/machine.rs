//! What a measurement takes of the machine: a directory, and how busy it is.

use std::fs;
use std::path::{Path, PathBuf};

/// How busy the machine is, in runnable threads over the last minute.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// A directory of this run's own, gone when it ends.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// `name` begins its name.
    pub(crate) fn new(name: &str) -> std::io::Result<Self> {
        let name = format!("{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in the build's own directory and does no harm.
        drop(fs::remove_dir_all(&self.0));
    }
}
