//! Divergence records as text for people.

use serde_json::Value;

use crate::cli::text::{one_line, pairs, rows, table, text, word};

/// A list of records, a line each.
pub(super) fn list(answer: &Value) -> String {
    let head = ["ID", "AT", "FLAG", "ROUTE", "ENTITY", "PATH", "CAUSE", "WHERE", "TRACE"];
    let rows = rows(answer, "divergences", |record| {
        vec![
            word(record, "id"),
            word(record, "at"),
            word(record, "flag"),
            word(record, "route"),
            word(record, "entity"),
            word(record, "path"),
            word(record, "cause"),
            first_of(record, "pointers"),
            first_of(record, "trace_ids"),
        ]
    });
    if rows.is_empty() {
        return format!("none, {}\n", origin(answer));
    }
    let more = match answer.get("next").and_then(Value::as_str) {
        None => String::new(),
        Some(id) => format!("; more with --after {}", one_line(id)),
    };
    table(&head, &rows) + &format!("{}{more}\n", origin(answer))
}

/// One record: the facts, what differs, what happened in which order, and how to look on.
pub(super) fn record(record: &Value) -> String {
    let facts = [
        ("id", word(record, "id")),
        ("at", word(record, "at")),
        ("flag", word(record, "flag")),
        ("route", word(record, "route")),
        ("entity", word(record, "entity")),
        ("path", word(record, "path")),
        ("cause", word(record, "cause").replace('_', " ")),
        ("contended", if is(record, "contended") { "yes" } else { "no" }.to_owned()),
        ("read", origin(record)),
    ];
    [
        pairs(&facts),
        differences(record),
        timeline(record.get("timeline").unwrap_or(&Value::Null)),
        look_on(record),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("\n")
}

/// The diagram alone, for a file.
pub(super) fn diagram(answer: &Value) -> String {
    let text = answer.get("mermaid").and_then(Value::as_str).unwrap_or_default();
    text.lines().map(|line| one_line(line) + "\n").collect()
}

fn differences(record: &Value) -> String {
    let head = ["WHERE", "DIFFERENCE", "EXPECTED", "FOUND", "EXCUSED"];
    let rows = rows(record, "differences", |difference| {
        let place = match difference.get("pointer").and_then(Value::as_str) {
            Some("") => "(the whole body)".to_owned(),
            _ => word(difference, "pointer"),
        };
        let [expected, found] = ["expected", "found"].map(|key| word(difference, key));
        vec![place, word(difference, "kind"), expected, found, word(difference, "excused")]
    });
    if rows.is_empty() {
        return String::new();
    }
    let more = if is(record, "truncated") { "and more that were not kept; " } else { "" };
    table(&head, &rows) + more + "-: nothing is there, or it is redacted\n"
}

fn timeline(timeline: &Value) -> String {
    let head = ["AFTER", "CALLER", "WHAT HAPPENED", "PATH", "SIDECAR", "TRACE"];
    let rows = rows(timeline, "steps", |step| {
        let trace = match step.get("trace_id").and_then(Value::as_str) {
            Some("") => "-".to_owned(),
            _ => word(step, "trace_id"),
        };
        let [caller, path, sidecar] = ["caller", "path", "sidecar"].map(|key| word(step, key));
        vec![after(step), caller, what_happened(step), path, sidecar, trace]
    });
    if rows.is_empty() {
        return String::new();
    }
    let cut = if is(timeline, "truncated") { "earlier steps are left out\n" } else { "" };
    cut.to_owned() + &table(&head, &rows)
}

fn what_happened(step: &Value) -> String {
    let field = match step.get("field").and_then(Value::as_str) {
        Some("") => "the document".to_owned(),
        _ => word(step, "field"),
    };
    let written = match step.get("value") {
        None => format!("{field} (redacted)"),
        Some(value) => format!("{field} = {}", text(value)),
    };
    let what = match step.get("what").and_then(Value::as_str).unwrap_or_default() {
        "sent" => "reads the document".to_owned(),
        "acknowledged" => format!("writes {written}"),
        "rejected" => format!("is answered with an error, not {written}"),
        "unknown" => format!("is given up, may write {written}"),
        "read" => format!("finds {written}"),
        other => format!("{} {written}", one_line(other)),
    };
    let is_writing = step.get("what").and_then(Value::as_str) == Some("acknowledged");
    if is_writing && is(step, "lost") { what + ": LOST" } else { what }
}

/// Milliseconds since the first step.
fn after(step: &Value) -> String {
    match step.get("at_us").and_then(Value::as_u64) {
        None => "-".to_owned(),
        Some(us) => format!("{:>5}.{:03} ms", us / 1000, us % 1000),
    }
}

fn look_on(record: &Value) -> String {
    let traces = record.get("trace_ids").and_then(Value::as_array);
    let mut lines: Vec<String> =
        traces.into_iter().flatten().map(|id| format!("trace    {}\n", text(id))).collect();
    if record.get("timeline").is_some_and(|timeline| !timeline.is_null()) {
        let id = word(record, "id");
        lines.push(format!("diagram  interlock divergence show {id} --mermaid\n"));
    }
    match lines.is_empty() {
        true => String::new(),
        false => format!("look on\n{}", lines.concat()),
    }
}

/// The first text of a list, and how many follow.
fn first_of(record: &Value, key: &str) -> String {
    let list = record.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match list {
        [] => "-".to_owned(),
        [only] => text(only),
        [first, others @ ..] => format!("{} +{}", text(first), others.len()),
    }
}

fn origin(answer: &Value) -> String {
    match answer.get("from").and_then(Value::as_str) {
        Some("store") => "from the fleet's store".to_owned(),
        Some("memory") => "from this sidecar's memory".to_owned(),
        _ => word(answer, "from"),
    }
}

fn is(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}
