//! Reading the text format of `/metrics`.

use std::collections::BTreeMap;

use super::sidecar::Sidecar;

/// What one scrape showed.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Vec<Sample>);

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// The series' name, with `_bucket`, `_sum` or `_count` where it is a histogram's.
    pub(crate) name: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its value.
    pub(crate) value: f64,
}

impl Metrics {
    /// Parses a scrape.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(parse_sample).collect())
    }

    /// Every line.
    pub(crate) fn samples(&self) -> &[Sample] {
        &self.0
    }

    /// Whether a metric is there, a histogram by any of its series.
    pub(crate) fn has(&self, name: &str) -> bool {
        let names = ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}"));
        self.0.iter().any(|sample| names.contains(&sample.name))
    }

    /// The sum over all series of a name that carry these labels; `None` when there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matches = |sample: &&Sample| {
            let carries = |(k, v): &(&str, &str)| sample.labels.get(*k).is_some_and(|l| l == v);
            sample.name == name && labels.iter().all(carries)
        };
        let values: Vec<f64> = self.0.iter().filter(matches).map(|sample| sample.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl Sidecar {
    /// The sum over all series of a name that carry these labels; there has to be one.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().sum(name, labels).unwrap_or_else(|| panic!("no {name}{labels:?}"))
    }

    /// Waits until it asks its store for leases, and grants them.
    #[track_caller]
    pub(crate) fn wait_for_leases(&self) {
        self.wait_for_metric("interlock_lease_gate", &[("state", "open")], 1.0);
    }
}

#[track_caller]
fn parse_sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.strip_suffix('}').unwrap_or(labels);
    let parse = |pair: &str| {
        let (key, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("labels of {line:?}"));
        (key.trim_start_matches(',').to_owned(), value.to_owned())
    };
    // No value in these tests has a quote or a backslash, so a quote always ends one.
    let pairs = labels.split_terminator('"').collect::<Vec<_>>();
    let labels = pairs.chunks(2).map(|pair| parse(&pair.join("\""))).collect();
    Sample { name: name.to_owned(), labels, value }
}
