//! The page that `/metrics` shows, and the making of the handles that fill it.
//!
//! Counters and gauges live in the exporter of the `metrics` crates, histograms in [`Histogram`]s of our own. There is
//! no global recorder: every [`Page`] is its own, so that several sidecars can live in one process.

use std::fmt::Write;
use std::sync::Arc;

use metrics::{Counter, Gauge, Key, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::histogram::Histogram;
use super::names::{CATALOGUE, Kind, Metric};

/// The media type of [`Page::render`].
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The labels of one series.
pub(super) type Labels = [(&'static str, String)];

const METADATA: Metadata<'static> = Metadata::new("interlock", Level::INFO, None);

/// Every family of one sidecar.
pub(super) struct Page {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    histograms: Vec<Family>,
}

struct Family {
    name: &'static str,
    help: &'static str,
    /// By their labels as they are written.
    series: Vec<(String, Arc<Histogram>)>,
}

impl Page {
    /// A page without series, with every family of the catalogue described.
    pub(super) fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for metric in CATALOGUE {
            match metric.kind.exposed_as() {
                "counter" => {
                    recorder.describe_counter(metric.name.into(), None, metric.help.into())
                }
                _ => recorder.describe_gauge(metric.name.into(), None, metric.help.into()),
            }
        }
        Self { handle: recorder.handle(), recorder, histograms: Vec::new() }
    }

    /// The handle of a counter, now at zero; the same one for the same labels.
    pub(super) fn counter(&mut self, metric: &Metric, labels: &Labels) -> Counter {
        let counter = self.recorder.register_counter(&key(metric, labels), &METADATA);
        counter.increment(0);
        counter
    }

    /// The handle of a gauge, now at zero; the same one for the same labels.
    pub(super) fn gauge(&mut self, metric: &Metric, labels: &Labels) -> Gauge {
        let gauge = self.recorder.register_gauge(&key(metric, labels), &METADATA);
        gauge.set(0.0);
        gauge
    }

    /// The handle of a histogram; the same one for the same labels.
    pub(super) fn histogram(&mut self, metric: &Metric, labels: &Labels) -> Arc<Histogram> {
        let Kind::Histogram(bounds) = metric.kind else {
            return Arc::new(Histogram::new(&[]));
        };
        let place = self.histograms.iter().position(|family| family.name == metric.name);
        let place = place.unwrap_or_else(|| {
            let (name, help) = (metric.name, metric.help);
            self.histograms.push(Family { name, help, series: Vec::new() });
            self.histograms.len() - 1
        });
        let labels = written(labels);
        let series = &mut self.histograms[place].series;
        if let Some((_, histogram)) = series.iter().find(|(others, _)| *others == labels) {
            return Arc::clone(histogram);
        }
        let histogram = Arc::new(Histogram::new(bounds));
        series.push((labels, Arc::clone(&histogram)));
        histogram
    }

    /// The page in the text exposition format, families and series in a stable order.
    pub(super) fn render(&self) -> String {
        let exported = self.handle.render();
        let mut families: Vec<String> =
            exported.split("\n\n").filter(|family| !family.is_empty()).map(sorted).collect();
        families.extend(self.histograms.iter().map(Family::render));
        families.sort_unstable();
        families.concat()
    }
}

impl Family {
    fn render(&self) -> String {
        let mut page = format!("# HELP {0} {1}\n# TYPE {0} histogram\n", self.name, self.help);
        for (labels, histogram) in &self.series {
            // Writing to a string can't fail.
            histogram.write(&mut page, self.name, labels).ok();
        }
        page
    }
}

fn key(metric: &Metric, labels: &Labels) -> Key {
    let labels = labels.iter().map(|(name, value)| metrics::Label::new(*name, value.clone()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

/// The exporter lists series in the order of a hash map: sorts those below the two comment lines.
fn sorted(family: &str) -> String {
    let mut lines: Vec<&str> = family.lines().collect();
    lines.sort_by(|a, b| (!a.starts_with('#')).cmp(&!b.starts_with('#')).then_with(|| a.cmp(b)));
    let mut page = lines.join("\n");
    page.push('\n');
    page
}

fn written(labels: &Labels) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a string can't fail.
        write!(text, "{comma}{name}=\"{value}\"").ok();
    }
    text
}
