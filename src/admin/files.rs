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
        match contents.and_then(|contents| self.recipe.make(&contents)) {
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

fn read_one(path: &Path) -> Result<Vec<u8>, FileFault> {
    // Opening a pipe would wait for whoever writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(FileFault::NotRegular);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(FileFault::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::auth::TokensFile;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("interlock-admin-files-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, text: &str) -> PathBuf {
            let path = self.0.join("tokens.toml");
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn tokens(name: &str) -> String {
        let sha256 = Sha256::digest(name);
        format!("[[tokens]]\nname = \"{name}\"\nrole = \"viewer\"\nsha256 = \"{sha256:x}\"\n")
    }

    fn opened(path: PathBuf) -> Reread<TokensFile> {
        Reread::open(TokensFile { path }).unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(watched: &Reread<TokensFile>) -> Vec<String> {
        watched.in_force().load().names().map(str::to_owned).collect()
    }

    #[test]
    fn another_version_is_in_force_at_the_next_look() {
        let folder = Folder::new("another");
        let mut watched = opened(folder.write(&tokens("ann")));
        assert!(watched.look().is_none(), "nothing has changed");

        folder.write(&tokens("bob"));

        assert!(matches!(watched.look(), Some(News::Taken)));
        assert_eq!(names(&watched), ["bob"]);
        assert!(watched.look().is_none());
    }

    #[test]
    fn a_bad_version_changes_nothing_and_is_told_of_once_at_the_second_look() {
        let folder = Folder::new("bad");
        let path = folder.write(&tokens("ann"));
        let mut watched = opened(path.clone());

        folder.write("half a fi");
        assert!(watched.look().is_none(), "it may be half-written");
        let Some(News::Refused(error)) = watched.look() else { panic!("not told of") };
        let said = error.to_string();
        let expected = format!("admin.tokens_file = \"{}\": is no list of tokens", path.display());
        assert!(said.starts_with(&expected), "{said}");
        assert!(watched.look().is_none(), "once");
        assert_eq!(names(&watched), ["ann"]);

        fs::remove_file(&path).unwrap();
        assert!(watched.look().is_none());
        assert!(matches!(watched.look(), Some(News::Refused(_))), "another fault is told of");

        folder.write(&tokens("ann"));
        assert!(matches!(watched.look(), Some(News::Taken)), "what is in force stands there again");
        assert!(watched.look().is_none());
    }

    #[test]
    fn a_fault_that_is_gone_at_the_second_look_is_not_told_of() {
        let folder = Folder::new("gone");
        let mut watched = opened(folder.write(&tokens("ann")));

        folder.write("");
        assert!(watched.look().is_none());
        folder.write(&tokens("ann"));
        assert!(watched.look().is_none());
        folder.write("");

        assert!(watched.look().is_none(), "it is suspect anew");
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let folder = Folder::new("large");
        let fault = |path: PathBuf| *Reread::open(TokensFile { path }).err().unwrap().fault;

        assert!(matches!(fault(folder.0.clone()), FileFault::NotRegular));
        assert!(matches!(fault(folder.0.join("none")), FileFault::Unreadable(_)));
        let large = folder.write(&"#".repeat(1 + (1 << 20)));
        assert!(matches!(fault(large), FileFault::TooLarge));
    }
}
