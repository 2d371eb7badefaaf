//! What the store found when it was opened, for the log and the metrics of the app.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::domain::decision::Freshness;
use crate::domain::percent::Percent;

use super::book::Book;
use super::file::SnapshotFile;
use super::{PersistError, SnapshotFileError};

/// What was found at the start.
#[derive(Debug)]
pub struct LoadReport {
    /// The snapshot file; `None` where none is configured.
    pub path: Option<PathBuf>,
    /// Where the flags come from.
    pub source: LoadSource,
    /// Flags of which nothing is remembered, and the configured start values that hold for them.
    pub started: Vec<(String, Percent)>,
    /// Flags whose remembered state won over the configured start value.
    pub restored: Vec<String>,
    /// Flags that are remembered but not configured: kept in the file, otherwise ignored.
    pub ignored: Vec<String>,
    /// Restored flags whose entity or strategy is configured differently now than when they were changed last.
    pub redefined: Vec<String>,
    /// Why changes will be refused as things stand: nothing can be written where the snapshot file belongs.
    pub unwritable: Option<PersistError>,
}

/// Where the flags come from.
#[derive(Debug)]
pub enum LoadSource {
    /// No snapshot file is configured: changes are forgotten with the process.
    MemoryOnly,
    /// There is no snapshot file yet.
    FirstStart,
    /// The snapshot file.
    File,
    /// The snapshot file can't be trusted: the configured start values count.
    Rejected {
        /// What is wrong with it.
        why: SnapshotFileError,
        /// Where it was moved to, or why it could not be moved.
        aside: Result<PathBuf, io::Error>,
    },
    /// An earlier start rejected the snapshot file and no change was made since: the configured start values count.
    RejectedEarlier {
        /// Where the rejected file is.
        aside: PathBuf,
    },
}

impl LoadReport {
    /// How well the flags are known with this, where they belong to this process alone.
    pub fn freshness(&self) -> Freshness {
        match self.source {
            LoadSource::MemoryOnly | LoadSource::FirstStart | LoadSource::File => Freshness::Live,
            LoadSource::Rejected { .. } | LoadSource::RejectedEarlier { .. } => {
                Freshness::NeverLoaded
            }
        }
    }

    /// Whether the snapshot file was refused, now or earlier, or can't be written.
    pub(super) fn is_file_refused(&self) -> bool {
        let rejected =
            matches!(self.source, LoadSource::Rejected { .. } | LoadSource::RejectedEarlier { .. });
        rejected || self.unwritable.is_some()
    }

    /// How well the flags of a fleet are known with this, before its store was read.
    pub fn freshness_in_fleet(&self) -> Freshness {
        match self.source {
            LoadSource::File => Freshness::Stale,
            LoadSource::MemoryOnly
            | LoadSource::FirstStart
            | LoadSource::Rejected { .. }
            | LoadSource::RejectedEarlier { .. } => Freshness::NeverLoaded,
        }
    }
}

impl fmt::Display for LoadReport {
    /// One sentence for the log: what was found, what holds now, and what to do where that isn't what was wanted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        write!(f, "{}", self.source)?;
        if !self.restored.is_empty() {
            write!(f, "; remembered: {}", self.restored.join(", "))?;
        }
        if !self.started.is_empty() {
            let started = self.started.iter().map(|(flag, percent)| format!("{flag} {percent}"));
            let started: Vec<String> = started.collect();
            write!(f, "; the configured start values hold: {}", started.join(", "))?;
        }
        write!(f, "{}", self.source.remedy())
    }
}

impl fmt::Display for LoadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryOnly => f.write_str("no snapshot file: changes end with the process"),
            Self::FirstStart => f.write_str("there is no snapshot file yet"),
            Self::File => f.write_str("the snapshot file was read"),
            Self::Rejected { why, aside: Ok(aside) } => {
                write!(f, "the snapshot file {why}, and was moved to {}", aside.display())
            }
            Self::Rejected { why, aside: Err(error) } => {
                write!(f, "the snapshot file {why}, and can't be moved out of the way: {error}")
            }
            Self::RejectedEarlier { aside } => write!(
                f,
                "an earlier start rejected the snapshot file and moved it to {}",
                aside.display()
            ),
        }
    }
}

impl LoadSource {
    fn remedy(&self) -> &'static str {
        match self {
            Self::MemoryOnly | Self::FirstStart | Self::File => "",
            Self::Rejected { aside: Err(_), .. } => {
                ": stop, move the file away by hand, start again, and set the flags anew with `interlock flag set`"
            }
            Self::Rejected { .. } | Self::RejectedEarlier { .. } => {
                ": set the flags anew with `interlock flag set`, or stop, put a good copy in its place and start again"
            }
        }
    }
}

/// Reads what is remembered; whatever is wrong with the file ends in the report.
pub(super) fn load(file: Option<&SnapshotFile>) -> (Book, LoadReport) {
    let (book, source) = match file {
        None => (Book::default(), LoadSource::MemoryOnly),
        Some(file) => match file.read() {
            Ok(Some(book)) => (book, LoadSource::File),
            Ok(None) => (Book::default(), without_file(file)),
            Err(why) => (Book::default(), LoadSource::Rejected { why, aside: file.set_aside() }),
        },
    };
    let unwritable = file.and_then(|file| file.prepare().err());
    let report = LoadReport {
        path: file.map(|file| file.path().to_owned()),
        source,
        started: Vec::new(),
        restored: Vec::new(),
        ignored: Vec::new(),
        redefined: Vec::new(),
        unwritable,
    };
    (book, report)
}

/// A rejected file must not look like a first start only because the process was started once more.
fn without_file(file: &SnapshotFile) -> LoadSource {
    let aside = file.aside();
    if aside.exists() { LoadSource::RejectedEarlier { aside } } else { LoadSource::FirstStart }
}
