//! The exporter: takes spans out of the queue and sends them to the collector in batches, on a thread of its own.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout_at};

use super::SpanQueue;
use super::collector::{Collector, ExportError};
use super::convert::Converter;
use super::span::SpanRecord;
use crate::clock::{self, Instant};
use crate::config::TracesConfig;
use crate::telemetry::Telemetry;
use crate::telemetry::events::{SpansDropped, SpansExported};
use crate::telemetry::labels::SpanDrop;

/// The most spans in one export.
const MAX_BATCH: usize = 512;

/// The longest that a span waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// The longest that is gone on after being told to end: what was not exported by then is dropped, and counted.
const FLUSH: Duration = Duration::from_secs(1);

/// Exports spans until it is told to end, or `stopped` is dropped; then what still waits, within a second.
pub async fn export(
    queue: SpanQueue,
    config: TracesConfig,
    telemetry: Telemetry,
    stopped: oneshot::Receiver<()>,
) {
    let mut exporter = Exporter {
        queue,
        batch: Vec::with_capacity(MAX_BATCH),
        converter: Converter::new(),
        collector: Collector::new(config),
        telemetry,
    };
    let mut end = End { told: stopped, by: None };
    while exporter.gather(&mut end).await {
        exporter.send(&mut end).await;
    }
}

/// When it ends.
struct End {
    told: oneshot::Receiver<()>,
    /// Once it was told.
    by: Option<Instant>,
}

impl End {
    /// Until it is told to end.
    async fn told(&mut self) {
        if self.by.is_none() {
            // Dropped or told, it is the same.
            (&mut self.told).await.ok();
            self.by = Some(clock::now() + FLUSH);
        }
    }

    /// Until it must have ended.
    async fn over(&mut self) {
        self.told().await;
        if let Some(by) = self.by {
            sleep_until(by).await;
        }
    }
}

struct Exporter {
    queue: SpanQueue,
    #[allow(clippy::vec_box, reason = "they come out of a queue that is small with them boxed")]
    batch: Vec<Box<SpanRecord>>,
    converter: Converter,
    collector: Collector,
    telemetry: Telemetry,
}

impl Exporter {
    /// Waits for the next batch; false when there is none any more.
    async fn gather(&mut self, end: &mut End) -> bool {
        let spans = &mut self.queue.spans;
        if end.by.is_none() {
            tokio::select! {
                biased;
                () = end.told() => {}
                _ = spans.recv_many(&mut self.batch, MAX_BATCH) => {}
            }
        }
        let full_by = clock::now() + BATCH_DELAY;
        while self.batch.len() < MAX_BATCH {
            let room = MAX_BATCH - self.batch.len();
            if end.by.is_some() {
                // Closed, it gives what is there and then nothing.
                spans.close();
                match spans.recv_many(&mut self.batch, room).await {
                    0 => break,
                    _ => continue,
                }
            }
            tokio::select! {
                biased;
                () = end.told() => {}
                more = timeout_at(full_by, spans.recv_many(&mut self.batch, room)) => {
                    if more.is_err() {
                        break;
                    }
                }
            }
        }
        !self.batch.is_empty()
    }

    /// Sends the batch. It is not kept where that fails: what comes after it would be dropped instead.
    async fn send(&mut self, end: &mut End) {
        let count = self.batch.len() as u64;
        let spans = std::mem::replace(&mut self.batch, Vec::with_capacity(MAX_BATCH));
        let batch = self.converter.convert(spans);
        let result = tokio::select! {
            biased;
            result = self.collector.export(batch) => result,
            () = end.over() => Err(ExportError::Ended),
        };
        match result {
            Ok(()) => SpansExported { count }.emit(&self.telemetry),
            Err(error) => {
                let (reason, details) = (SpanDrop::ExportFailed, &error.to_string());
                SpansDropped { reason, count, details }.emit(&self.telemetry);
            }
        }
    }
}
