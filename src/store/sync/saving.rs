//! Keeps the snapshot file up to date, beside everything else: a slow or full disk holds up no change.

use std::path::Path;
use std::time::Duration;

use crate::store::{FlagStore, PersistError};
use crate::telemetry::Telemetry;
use crate::telemetry::events::{FlagsRejected, SnapshotRefused};
use crate::telemetry::labels::FlagsError;
use crate::watch;

/// Before a file that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Writes the file after each change that `changed` tells of, until its sender is gone and the last one is written.
pub(super) async fn save(store: FlagStore, telemetry: Telemetry, mut changed: watch::Receiver<()>) {
    let Some(path) = store.snapshot_path().map(Path::to_owned) else {
        return;
    };
    let origin = path.display().to_string();
    let mut failed: Option<String> = None;
    loop {
        let retry = async {
            match failed {
                Some(_) => tokio::time::sleep(RETRY).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = changed.changed() => if told.is_err() { return },
            () = retry => {}
        }
        let saved = save_once(store.clone()).await;
        SnapshotRefused { refused: store.is_snapshot_refused() }.emit(&telemetry);
        match saved {
            Ok(()) => {
                if failed.take().is_some() {
                    tracing::info!(
                        event = "flags_saved",
                        origin,
                        "the flags are on the disk again"
                    );
                }
            }
            // Said once, not every time that it is tried.
            Err(error) if failed.as_ref() == Some(&error.to_string()) => {}
            Err(error) => {
                FlagsRejected { reason: FlagsError::Io, origin: &origin, error: &error }
                    .emit(&telemetry);
                failed = Some(error.to_string());
            }
        }
    }
}

async fn save_once(store: FlagStore) -> Result<(), PersistError> {
    match tokio::task::spawn_blocking(move || store.save()).await {
        Ok(saved) => saved,
        // It panicked or was cancelled, as when everything ends; the next change tries again.
        Err(_) => Ok(()),
    }
}
