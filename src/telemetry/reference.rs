//! Writes `docs/metrics.md` from the catalogue.

use std::fmt::Write;

use super::names::{CATALOGUE, Kind, Label, Metric, UNMATCHED, Values};

const HEAD: &str = "# Metrics

Generated from `src/telemetry/names.rs`; a test compares the two (`UPDATE_DOCS=1 cargo test --lib telemetry` writes this page anew).

`GET /metrics` on the admin plane shows all of these as `text/plain; version=0.0.4`. Every series is there from the start, at zero;
labels have the values listed here and no others, and none ever comes from a request. A *state* is a gauge that is 1 for the
present value of its last label and 0 for the others, from the start. Counters live as long as the sidecar.
";

/// The page.
pub fn metrics_page() -> String {
    let mut page = String::from(HEAD);
    // Writing to a string can't fail.
    write_page(&mut page).ok();
    page
}

fn write_page(page: &mut String) -> std::fmt::Result {
    page.push_str("\n| name | type | unit | labels |\n|---|---|---|---|\n");
    for Metric { name, kind, unit, labels, .. } in CATALOGUE {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let kind = word(*kind);
        writeln!(page, "| [`{name}`](#{name}) | {kind} | {unit} | {} |", labels.join(", "))?;
    }
    CATALOGUE.iter().try_for_each(|metric| write_section(page, metric))
}

fn write_section(page: &mut String, metric: &Metric) -> std::fmt::Result {
    writeln!(page, "\n## {}\n\n{}\n", metric.name, metric.help)?;
    writeln!(page, "- {}, in {}", word(metric.kind), metric.unit)?;
    for label in metric.labels {
        writeln!(page, "- `{}`: {}", label.name, values(metric, label))?;
    }
    if let Kind::Histogram(bounds) = metric.kind {
        let bounds: Vec<_> = bounds.iter().map(f64::to_string).collect();
        writeln!(page, "- buckets: {}", bounds.join(", "))?;
    }
    writeln!(page, "\n```promql\n{}\n```", metric.hint)
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::StateSet => "state",
        Kind::Info => "info (a gauge, always 1)",
        other => other.exposed_as(),
    }
}

fn values(metric: &Metric, label: &Label) -> String {
    match label.values {
        Values::Closed(words) => {
            words().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Values::Flags
            if metric.labels.iter().any(|other| matches!(other.values, Values::Routes)) =>
        {
            format!("the route's flag; empty for `{UNMATCHED}`")
        }
        Values::Flags => "a configured flag".to_owned(),
        Values::Routes => format!("a configured route, or `{UNMATCHED}`"),
        Values::Build => "fixed when the program was built".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_is_in_step_with_the_catalogue() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, metrics_page()).unwrap();
        }

        let written = std::fs::read_to_string(file).unwrap_or_default();

        assert!(
            written == metrics_page(),
            "docs/metrics.md is out of step with src/telemetry/names.rs; run UPDATE_DOCS=1 cargo test --lib telemetry"
        );
    }
}
