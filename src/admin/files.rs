//! The files that the admin plane reads again while it runs: tokens and certificates, which are replaced without a restart.
//!
//! Contents are compared, not times: a mounted secret changes by a symbolic link that is swapped. A version that can't be used
//! changes nothing. It is told of when a second look finds the same, since a file may be looked at half-written, or a
//! certificate before its key.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};

use super::auth::TokensError;
use super::health::Health;
use crate::clock;
use crate::telemetry::Telemetry;
use crate::telemetry::events::{AdminFileRefused, AdminFileTaken, CertificateExpiry};
use crate::telemetry::labels::AdminFile;
use crate::tls::PemFault;

/// Between two looks: the longest that a token which was taken out of its file goes on to work, but for the look itself.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The largest file, in bytes: a bundle of all public authorities has a quarter of it.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One of the files can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{key} = \"{}\": {fault}", path.display())]
pub struct FileError {
    /// The configuration's key.
    pub key: &'static str,
    /// Its value.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Box<FileFault>,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It is missing, or the process may not read it.
    #[error("can't be read: {0}; check the path, its permissions and who runs Interlock")]
    Unreadable(#[from] io::Error),
    /// A directory, or something that can be read once only.
    #[error("is no regular file: it is read again while Interlock runs")]
    NotRegular,
    /// More than anybody needs.
    #[error("is larger than {MAX_FILE_BYTES} bytes: it can't be meant")]
    TooLarge,
    /// No list of tokens.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// No certificate or no key.
    #[error(transparent)]
    Pem(#[from] PemFault),
    /// A certificate and a key that don't belong together, or of a kind that TLS here doesn't use.
    #[error("is not the key of the certificate in admin.tls.cert_file: {0}")]
    KeyMismatch(#[source] rustls::Error),
    /// A certificate that has run out, in place of one that has not.
    #[error("has run out already; the one in force has not")]
    Expired,
    /// The library refuses.
    #[error("TLS can't be set up: {0}")]
    Setup(#[source] rustls::Error),
    /// Nobody who could sign a client's certificate.
    #[error("has no certificate that could sign a client's: {0}")]
    NoAuthority(#[source] rustls::server::VerifierBuilderError),
}

/// What is made of files.
pub(crate) trait Recipe: Send + 'static {
    /// What they are together.
    type Made: Send + Sync + 'static;

    /// What they are called where they are told of.
    const FILE: AdminFile;

    /// The files, each with its key in the configuration.
    fn paths(&self) -> Vec<(&'static str, &Path)>;

    /// Makes it of their contents, in the order of [`Self::paths`].
    fn make(&self, contents: &[Vec<u8>]) -> Result<Self::Made, FileError>;

    /// When it runs out by itself, in seconds since the Unix epoch, where it does.
    fn expiry(_made: &Self::Made) -> Option<u64> {
        None
    }
}

/// What a look came to, where it is news.
#[derive(Debug)]
pub(crate) enum News {
    /// Another version is in force, or the one in force stands there again.
    Taken,
    /// What is there now can't be used.
    Refused(FileError),
}

/// Files that are looked at again.
pub(crate) trait Look: Send {
    /// What they are called.
    fn file(&self) -> AdminFile;

    /// Looks at them once. May block, as the disk does.
    fn look(&mut self) -> Option<News>;

    /// When what is in force runs out, in seconds since the Unix epoch, where it does.
    fn expiry(&self) -> Option<u64>;
}

/// Files, and what of them is in force.
pub(crate) struct Reread<R: Recipe> {
    recipe: R,
    in_force: Arc<ArcSwap<R::Made>>,
    /// Of the contents in force.
    fingerprint: Fingerprint,
    /// Of the last ones that could not be used.
    suspect: Option<Fingerprint>,
    /// Of those that were told of.
    refused: Option<Fingerprint>,
}

type Fingerprint = [u8; 32];

impl<R: Recipe> Reread<R> {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// Where there is nothing that could be in force.
    pub(crate) fn open(recipe: R) -> Result<Self, FileError> {
        let (fingerprint, contents) = read(&recipe.paths());
        let made = recipe.make(&contents?)?;
        let in_force = Arc::new(ArcSwap::from_pointee(made));
        Ok(Self { recipe, in_force, fingerprint, suspect: None, refused: None })
    }

    /// What is in force, at any time.
    pub(crate) fn in_force(&self) -> Arc<ArcSwap<R::Made>> {
        Arc::clone(&self.in_force)
    }
}

impl<R: Recipe> Reread<R> {
    /// What comes of new contents. At a start there is no choice: here, what has run out is worse than what is in force.
    fn make_better(&self, contents: &[Vec<u8>]) -> Result<R::Made, FileError> {
        let made = self.recipe.make(contents)?;
        let now = clock::wall_ms() / 1_000;
        let has_run_out = |made: &R::Made| R::expiry(made).is_some_and(|expiry| expiry < now);
        match self.recipe.paths().first() {
            Some((key, path)) if has_run_out(&made) && !has_run_out(&self.in_force.load()) => {
                let (path, fault) = (path.to_path_buf(), Box::new(FileFault::Expired));
                Err(FileError { key, path, fault })
            }
            _ => Ok(made),
        }
    }
}

impl<R: Recipe> Look for Reread<R> {
    fn file(&self) -> AdminFile {
        R::FILE
    }

    fn expiry(&self) -> Option<u64> {
        R::expiry(&self.in_force.load())
    }

    fn look(&mut self) -> Option<News> {
        let (fingerprint, contents) = read(&self.recipe.paths());
        if fingerprint == self.fingerprint {
            self.suspect = None;
            return self.refused.take().map(|_| News::Taken);
        }
        match contents.and_then(|contents| self.make_better(&contents)) {
            Ok(made) => {
                self.in_force.store(Arc::new(made));
                (self.fingerprint, self.suspect, self.refused) = (fingerprint, None, None);
                Some(News::Taken)
            }
            Err(_) if self.refused == Some(fingerprint) => None,
            Err(error) if self.suspect == Some(fingerprint) => {
                self.refused = Some(fingerprint);
                Some(News::Refused(error))
            }
            Err(_) => {
                self.suspect = Some(fingerprint);
                None
            }
        }
    }
}

/// Looks at all of them every 2 s. Ends only where looking itself has failed, as it never should: the plane must not go on with
/// tokens that nobody looks after.
pub(crate) async fn keep_up(
    mut watched: Vec<Box<dyn Look>>,
    health: Arc<Health>,
    telemetry: Telemetry,
) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !watched.is_empty() {
        every.tick().await;
        if let Some(at) = watched.iter().find_map(|it| it.expiry()) {
            CertificateExpiry { at }.emit(&telemetry);
        }
        // The disk may take its time; calls don't wait for it.
        let looked = tokio::task::spawn_blocking(move || {
            let news: Vec<_> = watched.iter_mut().map(|it| (it.file(), it.look())).collect();
            (watched, news)
        });
        let Ok((again, news)) = looked.await else {
            return;
        };
        watched = again;
        for (file, news) in news.into_iter().filter_map(|(file, news)| Some((file, news?))) {
            tell(file, &news, &health, &telemetry);
        }
    }
    std::future::pending().await
}

fn tell(file: AdminFile, news: &News, health: &Health, telemetry: &Telemetry) {
    health.set_admin_file(file, matches!(news, News::Taken));
    match news {
        News::Taken => AdminFileTaken { file }.emit(telemetry),
        News::Refused(error) => AdminFileRefused { file, error }.emit(telemetry),
    }
}

/// Reads files whole. The fingerprint is of what was found, be it that a file can't be read.
fn read(paths: &[(&'static str, &Path)]) -> (Fingerprint, Result<Vec<Vec<u8>>, FileError>) {
    let mut hash = Sha256::new();
    let mut contents = Vec::with_capacity(paths.len());
    for (key, path) in paths {
        match read_one(path) {
            Ok(bytes) => {
                hash.update(bytes.len().to_be_bytes());
                hash.update(&bytes);
                contents.push(bytes);
            }
            Err(fault) => {
                hash.update(fault.to_string());
                let error = FileError { key, path: path.to_path_buf(), fault: fault.into() };
                return (hash.finalize().into(), Err(error));
            }
        }
    }
    (hash.finalize().into(), Ok(contents))
}

/// Opens a file to read it; `None` where it is no regular one: opening a pipe would wait for whoever writes to it.
///
/// # Errors
/// It is missing, or may not be read.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    match fs::metadata(path)?.is_file() {
        true => File::open(path).map(Some),
        false => Ok(None),
    }
}

fn read_one(path: &Path) -> Result<Vec<u8>, FileFault> {
    let file = open_regular(path)?.ok_or(FileFault::NotRegular)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(FileFault::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
