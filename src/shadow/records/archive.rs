//! What runs on the store's thread: writes what waits, and answers who asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::config::DivergenceConfig;
use crate::domain::divergence::RecordId;
use crate::fleet::Keys;
use crate::remote::{Remote, Status};
use crate::telemetry::events::StoreFault;
use crate::telemetry::labels::StoreOperation;

use super::page::{Filling, Found, Page, Query, Source};
use super::ring::Batch;
use super::shelf::{Shelf, ShelfError};
use super::{Ask, Inner, whole_ms};

/// Records that one command writes.
const BATCH: usize = 16;

/// Bytes that one command writes, more only for a single record: it must not hold up what else goes to the store.
const BATCH_BYTES: usize = 128 * 1024;

/// After a write that failed while the store is connected.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The records of a fleet, before they run on the store's thread.
pub(crate) struct Archive {
    inner: Arc<Inner>,
    keep: usize,
    max_age_ms: u64,
    asked: mpsc::Receiver<Ask>,
}

impl Archive {
    pub(super) fn new(
        inner: Arc<Inner>,
        config: &DivergenceConfig,
        asked: mpsc::Receiver<Ask>,
    ) -> Self {
        Self { inner, keep: config.keep, max_age_ms: whole_ms(config.max_age), asked }
    }

    /// Writes and answers until `end` is told or dropped; then writes what still waits, if the store takes it.
    pub(crate) async fn run(self, remote: Remote, keys: Keys, end: oneshot::Receiver<()>) {
        let writer = format!("{:016x}", fastrand::u64(..));
        let shelf = Shelf::new(remote.clone(), &keys, &writer, self.keep, self.max_age_ms);
        let inner = &*self.inner;
        tokio::select! {
            () = write(inner, &shelf, &remote, end) => {}
            () = answer(inner, &shelf, self.asked) => {}
        }
    }
}

async fn write(inner: &Inner, shelf: &Shelf, remote: &Remote, mut end: oneshot::Receiver<()>) {
    loop {
        let next = inner.ring().take(BATCH, BATCH_BYTES);
        let Some(batch) = next else {
            tokio::select! {
                biased;
                () = inner.more.notified() => continue,
                _ = &mut end => return,
            }
        };
        // It is sent again as it was until it is known to be written: another one would hide whether it was.
        while let Err(error) = add(inner, shelf, &batch).await {
            tell(inner, StoreOperation::DivergenceAdd, &error);
            tokio::select! {
                biased;
                _ = &mut end => return,
                () = again(remote) => {}
            }
        }
    }
}

async fn add(inner: &Inner, shelf: &Shelf, batch: &Batch) -> Result<(), ShelfError> {
    let ids = shelf.add(batch).await?;
    inner.written(batch, &ids);
    Ok(())
}

/// When it makes sense to try again.
async fn again(remote: &Remote) {
    sleep(RETRY_AFTER).await;
    let is_there = |status: &Status| status.connected.is_some();
    // It ends with the remote alone, which is held here.
    drop(remote.status().wait_for(is_there).await);
}

async fn answer(inner: &Inner, shelf: &Shelf, mut asked: mpsc::Receiver<Ask>) {
    while let Some(ask) = asked.recv().await {
        // Without a reply memory answers.
        match ask {
            Ask::List { query, mut reply } => {
                tokio::select! {
                    biased;
                    // Whoever asked has given up.
                    () = reply.closed() => {}
                    page = list(shelf, &query) => match page {
                        Ok(page) => drop(reply.send(page)),
                        Err(error) => tell(inner, StoreOperation::DivergenceRead, &error),
                    }
                }
            }
            Ask::Find { id, reply } => match find(shelf, id).await {
                Ok(found) => drop(reply.send(found)),
                Err(error) => tell(inner, StoreOperation::DivergenceRead, &error),
            },
        }
    }
    // Nobody can ask any more; there may still be something to write.
    std::future::pending().await
}

async fn list(shelf: &Shelf, query: &Query) -> Result<Page, ShelfError> {
    let mut filling = Filling::new(query.limit);
    let mut after = query.after;
    loop {
        // The store knows no id before this one.
        if after == Some(RecordId { ms: 0, seq: 0 }) {
            return Ok(filling.page(Source::Store));
        }
        let stretch = shelf.list(query, after).await?;
        for listed in stretch.listed {
            if !filling.push(listed) {
                return Ok(filling.page(Source::Store));
            }
        }
        match stretch.after {
            None => return Ok(filling.page(Source::Store)),
            further => after = further,
        }
    }
}

async fn find(shelf: &Shelf, id: RecordId) -> Result<Found, ShelfError> {
    Ok(Found { record: shelf.find(id).await?, from: Source::Store })
}

fn tell(inner: &Inner, operation: StoreOperation, error: &ShelfError) {
    StoreFault { operation, error, refused: error.is_refusal() }.emit(&inner.telemetry);
}
