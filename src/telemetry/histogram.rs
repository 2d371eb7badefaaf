//! A histogram that counts in place: two atomic additions a sample, no memory beyond its buckets.
//!
//! The exporter's own histograms keep every sample until a page is rendered, so their memory follows the traffic, and
//! a sample recorded while they are emptied can be lost; these count each sample exactly once.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NANOS_PER_SECOND: f64 = 1e9;

/// Counts of samples in seconds, by upper bound.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// One per bound, and one for what lies above them all.
    counts: Box<[AtomicU64]>,
    /// Enough for five centuries of waiting in all.
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// An empty one; `bounds` ascend.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum_nanos: AtomicU64::new(0) }
    }

    /// Counts one sample.
    pub(super) fn record(&self, sample: Duration) {
        let seconds = sample.as_secs_f64();
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Writes its lines; `labels` are ready to stand between braces, or empty.
    pub(super) fn write(&self, page: &mut String, name: &str, labels: &str) -> std::fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (place, count) in self.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            write!(page, "{name}_bucket{{{labels}{comma}le=\"")?;
            match self.bounds.get(place) {
                Some(bound) => write!(page, "{bound}")?,
                None => page.push_str("+Inf"),
            }
            writeln!(page, "\"}} {total}")?;
        }
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let sum = self.sum_nanos.load(Ordering::Relaxed) as f64 / NANOS_PER_SECOND;
        writeln!(page, "{name}_sum{braced} {sum}")?;
        writeln!(page, "{name}_count{braced} {total}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn page(histogram: &Histogram, labels: &str) -> String {
        let mut page = String::new();
        histogram.write(&mut page, "h", labels).unwrap();
        page
    }

    #[test]
    fn a_sample_counts_under_every_bound_that_is_not_below_it() {
        let histogram = Histogram::new(&[0.25, 1.0]);

        for millis in [125, 250, 500, 2000] {
            histogram.record(Duration::from_millis(millis));
        }

        assert_eq!(
            page(&histogram, "a=\"b\""),
            "h_bucket{a=\"b\",le=\"0.25\"} 2\nh_bucket{a=\"b\",le=\"1\"} 3\nh_bucket{a=\"b\",le=\"+Inf\"} 4\n\
             h_sum{a=\"b\"} 2.875\nh_count{a=\"b\"} 4\n"
        );
    }

    #[test]
    fn no_sample_is_lost_while_pages_are_rendered() {
        const SAMPLES: u64 = 50_000;
        const HALF: Duration = Duration::from_millis(500);
        let histogram = Arc::new(Histogram::new(&[0.25, 1.0]));

        let writers: Vec<_> = (0..4)
            .map(|_| {
                let histogram = Arc::clone(&histogram);
                std::thread::spawn(move || (0..SAMPLES).for_each(|_| histogram.record(HALF)))
            })
            .collect();
        while !writers.iter().all(std::thread::JoinHandle::is_finished) {
            page(&histogram, "");
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());

        assert!(page(&histogram, "").ends_with("h_count 200000\n"));
    }
}
