//! The snapshot file on the disk: read whole and bounded, replaced whole and durably.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::book::Book;
use super::{PersistError, SnapshotFileError, StoreError, wire};

/// The largest snapshot file, in bytes: a start must not read for long, nor a change write for long.
pub(super) const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

/// Owner only: reasons and pinned entities may name people.
const FILE_MODE: u32 = 0o600;

/// Owner only, for directories that are made for the file.
const DIRECTORY_MODE: u32 = 0o700;

/// A file that is replaced as a whole, by one process.
pub(super) struct SnapshotFile {
    path: PathBuf,
    /// The digest of what this process read or wrote last; `None` where there was no file. What is found beside it was
    /// written by somebody else, and would be lost by replacing it.
    seen: Mutex<Option<[u8; 32]>>,
}

impl SnapshotFile {
    /// Takes a path where a regular file is or may come to be. A symbolic link is followed once, here, so that
    /// replacing the file leaves the link in place.
    pub(super) fn at(path: PathBuf) -> Result<Self, StoreError> {
        let path = fs::canonicalize(&path).unwrap_or(path);
        let other_kind = fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file());
        if path.file_name().is_none() || other_kind {
            return Err(StoreError::NotAFile { path });
        }
        Ok(Self { path, seen: Mutex::new(None) })
    }

    /// The path, links followed.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file holds; `None` where there is none.
    pub(super) fn read(&self) -> Result<Option<Book>, SnapshotFileError> {
        let Some(bytes) = self.bytes().map_err(SnapshotFileError::Read)? else {
            return Ok(None);
        };
        self.remember(&bytes);
        if bytes.len() > MAX_FILE_BYTES {
            return Err(SnapshotFileError::TooLarge);
        }
        wire::decode(&bytes).map(Some)
    }

    /// Puts `next` in the place of `present`, durably. After an error the file holds `present`, as far as a failing
    /// disk allows. What another process wrote is not replaced, unless the two write at the very same moment.
    pub(super) fn replace(&self, present: &Book, next: &Book) -> Result<(), PersistError> {
        let failed = |source| self.failed(source);
        let bytes = wire::encode(next).map_err(|error| failed(error.into()))?;
        if bytes.len() > MAX_FILE_BYTES {
            return Err(PersistError::TooLarge { path: self.path.clone(), bytes: bytes.len() });
        }
        if !self.is_as_seen().map_err(failed)? {
            return Err(PersistError::ChangedByAnother { path: self.path.clone() });
        }
        self.write(&bytes).map_err(|error| {
            drop(fs::remove_file(self.temporary()));
            failed(error)
        })?;
        self.sync_directory().map_err(|error| {
            self.put_back(present);
            failed(error)
        })
    }

    /// Moves the file out of the way, where a person can look at it.
    pub(super) fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = self.aside();
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }

    /// Where a rejected file goes.
    pub(super) fn aside(&self) -> PathBuf {
        with_suffix(&self.path, ".rejected")
    }

    /// Makes the directory where it is missing, and tries whether a change could be written now.
    pub(super) fn prepare(&self) -> Result<(), PersistError> {
        let temporary = self.temporary();
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(self.directory())
            .and_then(|()| open_new(&temporary))
            .and_then(|_| fs::remove_file(&temporary))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> PersistError {
        PersistError::Io { path: self.path.clone(), source }
    }

    /// What stands there, one byte over the bound at most.
    fn bytes(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn is_as_seen(&self) -> io::Result<bool> {
        let Some(bytes) = self.bytes()? else {
            return Ok(true);
        };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(*seen == Some(Sha256::digest(bytes).into()))
    }

    fn remember(&self, bytes: &[u8]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(Sha256::digest(bytes).into());
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.temporary();
        let mut file = open_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(temporary, &self.path)?;
        self.remember(bytes);
        Ok(())
    }

    /// Makes the rename itself durable.
    fn sync_directory(&self) -> io::Result<()> {
        match File::open(self.directory())?.sync_all() {
            // Some network file systems can't sync a directory, and need not.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }

    fn put_back(&self, present: &Book) {
        if let Ok(bytes) = wire::encode(present) {
            drop(self.write(&bytes));
        }
    }

    fn directory(&self) -> &Path {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new("."))
    }

    fn temporary(&self) -> PathBuf {
        with_suffix(&self.path, ".tmp")
    }
}

fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}
