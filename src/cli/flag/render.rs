//! Answers of the admin plane as text for people.

use serde_json::Value;

use crate::cli::text::{one_line, pairs, rows, table, text, word};

/// All flags, a line each.
pub(super) fn list(answer: &Value) -> String {
    let head = ["FLAG", "PERCENT", "STATE", "STRATEGY", "VERSION", "CHANGED", "BY", "REASON"];
    let rows = rows(answer, "flags", |flag| {
        vec![
            word(flag, "name"),
            percent(flag, "percent"),
            state(flag),
            word(flag, "strategy"),
            word(flag, "version"),
            word(flag, "changed_at"),
            word(flag, "changed_by"),
            word(flag, "reason"),
        ]
    });
    table(&head, &rows)
}

/// One flag, a line for each thing to know.
pub(super) fn flag(flag: &Value) -> String {
    let pins = |path: &str| {
        let pins = flag.pointer(&format!("/pins/{path}")).and_then(Value::as_array);
        let keys: Vec<String> = pins.into_iter().flatten().map(text).collect();
        if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
    };
    pairs(&[
        ("flag", word(flag, "name")),
        ("percent", percent(flag, "percent")),
        ("previous", percent(flag, "previous_percent")),
        ("state", state(flag)),
        ("version", word(flag, "version")),
        ("entity", word(flag, "entity")),
        ("strategy", word(flag, "strategy")),
        ("on store loss", word(flag, "on_store_loss")),
        ("pinned legacy", pins("legacy")),
        ("pinned fixed", pins("fixed")),
        ("changed", word(flag, "changed_at")),
        ("by", word(flag, "changed_by")),
        ("reason", word(flag, "reason")),
    ])
}

/// A flag after its percentage was set, in a line.
pub(super) fn set(flag: &Value) -> String {
    let (now, before) = (percent(flag, "percent"), percent(flag, "previous_percent"));
    let after_resume = if is_killed(flag) { " (takes effect after resume)" } else { "" };
    changed(flag, &format!("{now} (before: {before}), {}{after_resume}", state(flag)))
}

/// A flag after an entity was pinned to a path, or let go.
pub(super) fn pinned(flag: &Value, entity: &str, path: Option<&str>) -> String {
    let (entity, now) = (one_line(entity), percent(flag, "percent"));
    let what = match path {
        Some(path) => format!("{entity} is pinned to the {path} path"),
        None => format!("{entity} is pinned no more and follows the percentage, {now}"),
    };
    let after_resume = if is_killed(flag) { ", once the killed flag is resumed" } else { "" };
    changed(flag, &(what + after_resume))
}

/// A flag after it was killed.
pub(super) fn killed(flag: &Value) -> String {
    let now = percent(flag, "percent");
    changed(flag, &format!("killed, every entity takes the legacy path ({now} after resume)"))
}

/// A flag after a kill was taken back.
pub(super) fn resumed(flag: &Value) -> String {
    let now = percent(flag, "percent");
    changed(flag, &format!("resumed, {now} of entities take the fixed path, and pins hold"))
}

fn changed(flag: &Value, what: &str) -> String {
    format!("{}: {what}, version {}\n", word(flag, "name"), word(flag, "version"))
}

/// Changes of a flag, a line each.
pub(super) fn history(answer: &Value) -> String {
    let head = ["VERSION", "AT", "BY", "CHANGE", "FROM", "TO", "REASON"];
    let rows = rows(answer, "history", |entry| {
        let value = |key| match word(entry, "change").as_str() {
            "percent" => percent(entry, key),
            _ => word(entry, key),
        };
        let change = match entry.get("entity") {
            None => word(entry, "change"),
            Some(entity) => format!("{} {}", word(entry, "change"), text(entity)),
        };
        vec![
            word(entry, "version"),
            word(entry, "at"),
            word(entry, "by"),
            change,
            value("from"),
            value("to"),
            word(entry, "reason"),
        ]
    });
    table(&head, &rows)
}

/// Why an entity takes its path.
pub(super) fn explanation(answer: &Value) -> String {
    let because = match word(answer, "reason").as_str() {
        "killed" => "the flag is killed".to_owned(),
        "pinned" => "it is pinned".to_owned(),
        "static" => format!("the flag is at {}", percent(answer, "percent")),
        _ => {
            let fixed = word(answer, "path") == "fixed";
            let side = if fixed { "below" } else { "not below" };
            let (bucket, threshold) = (word(answer, "bucket"), word(answer, "threshold"));
            format!("its bucket {bucket} is {side} the threshold {threshold}")
        }
    };
    let sentence =
        format!("{} takes the {} path: {because}\n", word(answer, "entity"), word(answer, "path"));
    let facts = [
        ("flag", word(answer, "flag")),
        ("version", word(answer, "version")),
        ("percent", percent(answer, "percent")),
        ("hash", word(answer, "hash")),
        ("bucket", word(answer, "bucket")),
        ("threshold", word(answer, "threshold")),
        ("reason", word(answer, "reason")),
        ("flags are", word(answer, "freshness")),
        ("bucketing", word(answer, "bucketing")),
    ];
    sentence + &pairs(&facts)
}

fn state(flag: &Value) -> String {
    if is_killed(flag) {
        return "killed".to_owned();
    }
    flag.pointer("/transition/step").map_or_else(|| "-".to_owned(), text)
}

fn is_killed(flag: &Value) -> bool {
    flag.get("killed") == Some(&Value::Bool(true))
}

fn percent(value: &Value, key: &str) -> String {
    word(value, key) + "%"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_aligned() {
        let flag = |name: &str, percent: f64| {
            json!({"name": name, "percent": percent, "killed": false, "strategy": "serialize",
                   "version": 3, "transition": {"step": "settled"}, "changed_at": "now",
                   "changed_by": "ann", "reason": "try it"})
        };

        let shown = list(&json!({"flags": [flag("a", 25.5), flag("journey-updates", 0.0)]}));

        let columns: Vec<Option<usize>> =
            shown.lines().map(|line| line.find("settled").or(line.find("STATE"))).collect();
        assert_eq!(columns, [columns[0], columns[0], columns[0]], "{shown}");
        assert!(shown.contains("25.5%"), "{shown}");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        let shown = set(&json!({"name": "\u{1b}[2Jx\n", "percent": 1}));

        assert!(shown.starts_with("\\u{1b}[2Jx\\n: 1%"), "{shown}");
    }

    #[test]
    fn a_change_says_what_holds_now() {
        let flag = |killed| {
            json!({"name": "a", "percent": 25, "previous_percent": 5, "version": 3,
                   "killed": killed, "transition": {"step": "settled"}})
        };

        assert_eq!(set(&flag(false)), "a: 25% (before: 5%), settled, version 3\n");
        assert!(set(&flag(true)).contains("killed (takes effect after resume)"));
        let to_fixed = pinned(&flag(false), "journey:7", Some("fixed"));
        assert_eq!(to_fixed, "a: journey:7 is pinned to the fixed path, version 3\n");
        assert!(pinned(&flag(true), "journey:7", Some("fixed")).contains("resumed"));
        assert!(pinned(&flag(false), "journey:7", None).contains("no more"));
        assert!(killed(&flag(true)).contains("every entity takes the legacy path"));
        assert!(resumed(&flag(false)).contains("25% of entities take the fixed path"));
    }

    #[test]
    fn an_explanation_is_a_sentence_with_its_facts() {
        let answer = json!({"entity": "journey:7", "path": "fixed", "reason": "split",
                            "bucket": 12, "threshold": 2500, "percent": 25});

        let shown = explanation(&answer);

        let sentence =
            "journey:7 takes the fixed path: its bucket 12 is below the threshold 2500\n";
        assert!(shown.starts_with(sentence), "{shown}");
    }

    #[test]
    fn a_history_names_what_was_pinned() {
        let entry = json!({"version": 2, "at": "now", "by": "ann", "reason": "vip",
                           "change": "pin", "entity": "journey:7", "from": null, "to": "fixed"});

        let shown = history(&json!({"history": [entry]}));

        assert!(shown.contains("pin journey:7  -     fixed  vip"), "{shown}");
    }
}
