//! Answers of the admin plane as text for people.

use serde_json::Value;

use super::moving;
use crate::cli::text::{one_line, pairs, rows, table, text, word};

/// All flags, a line each.
pub(super) fn list(answer: &Value) -> String {
    let head = [
        "FLAG",
        "PERCENT",
        "STATE",
        "STRATEGY",
        "VERSION",
        "WAITING FOR",
        "CHANGED",
        "BY",
        "REASON",
    ];
    let rows = rows(answer, "flags", |flag| {
        let waiting = moving::waiting_for_in_words(flag);
        vec![
            word(flag, "name"),
            percent(flag, "percent"),
            state(flag),
            word(flag, "strategy"),
            word(flag, "version"),
            if waiting.is_empty() { "-".to_owned() } else { waiting },
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
    let mut lines = vec![
        ("flag", word(flag, "name")),
        ("percent", percent(flag, "percent")),
        ("previous", percent(flag, "previous_percent")),
        ("state", state(flag)),
    ];
    if moving::step(flag).is_some() {
        let since = flag.pointer("/transition/since").map(text);
        lines.extend(since.map(|since| ("since", since)));
    }
    let waiting = moving::waiting_for(flag);
    lines.extend(waiting.into_iter().map(|(id, why)| ("waiting for", format!("{id}, {why}"))));
    lines.extend(moving::gone_past(flag).into_iter().map(|sidecar| ("forced past", sidecar)));
    lines.extend([
        ("version", word(flag, "version")),
        ("entity", word(flag, "entity")),
        ("strategy", word(flag, "strategy")),
        ("on store loss", word(flag, "on_store_loss")),
        ("pinned legacy", pins("legacy")),
        ("pinned fixed", pins("fixed")),
        ("changed", word(flag, "changed_at")),
        ("by", word(flag, "changed_by")),
        ("reason", word(flag, "reason")),
    ]);
    pairs(&lines)
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
    let killed = format!("killed, every entity takes the legacy path ({now} after resume)");
    let undone = match (moving::step(flag), word(flag, "strategy").as_str()) {
        (Some(_), "upstream") => {
            "  an update that was at the fixed app may be undone by a legacy call: it is reported as exposed\n"
        }
        _ => "",
    };
    changed(flag, &killed) + undone
}

/// A flag after a kill was taken back.
pub(super) fn resumed(flag: &Value) -> String {
    let now = percent(flag, "percent");
    let ends = if moving::step(flag).is_some() { " once it is settled" } else { "" };
    let resumed = format!("resumed, {now} of entities take the fixed path{ends}, and pins hold");
    changed(flag, &resumed)
}

/// A flag after its flip was forced.
pub(super) fn forced(flag: &Value) -> String {
    let past = moving::gone_past(flag);
    let forced = match (moving::step(flag), past.is_empty()) {
        (None, true) => "settled, nobody was waited for".to_owned(),
        (None, false) => format!("settled without {}", past.join(", ")),
        (Some(step), true) => format!("{step}, goes on without sidecars that are silent"),
        (Some(step), false) => format!("{step}, goes on without {}", past.join(", ")),
    };
    let exposed = match past.is_empty() {
        true => "",
        false => {
            "  updates are reported as exposed (silent_sidecar) until these are back or forgotten\n"
        }
    };
    changed(flag, &forced) + exposed
}

/// What a change has come to, and where a flip is under way, whom it waits for and how to follow it.
fn changed(flag: &Value, what: &str) -> String {
    let name = word(flag, "name");
    let mut told = format!("{name}: {what}, version {}\n", word(flag, "version"));
    if let Some(step) = moving::step(flag) {
        let waiting = moving::waiting_for(flag);
        let lines = waiting.into_iter().map(|(id, why)| format!("  waiting for {id}, {why}\n"));
        told.extend(lines);
        told += &format!("  still {step}: `interlock flag get {name}` shows how far it is\n");
    }
    told
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

fn state(flag: &Value) -> String {
    let step = flag.pointer("/transition/step").map(text);
    match (is_killed(flag), moving::step(flag)) {
        (true, None) => "killed".to_owned(),
        (true, Some(step)) => format!("killed, {step}"),
        (false, _) => step.unwrap_or_else(|| "-".to_owned()),
    }
}

fn is_killed(flag: &Value) -> bool {
    flag.get("killed") == Some(&Value::Bool(true))
}

/// A percentage at a key.
pub(super) fn percent(value: &Value, key: &str) -> String {
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

    /// A killed flag that waits for a call.
    fn waiting(strategy: &str) -> Value {
        json!({"name": "a", "percent": 25, "previous_percent": 5, "version": 3, "killed": true,
               "strategy": strategy, "transition": {"step": "guarding", "since": "then",
               "waiting_for": [{"sidecar": "pod-x", "why": "3 calls running, the oldest for 2.1 s"}]}})
    }

    #[test]
    fn a_change_that_waits_says_for_whom_and_how_to_follow_it() {
        let shown = killed(&waiting("serialize"));

        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], "  waiting for pod-x, 3 calls running, the oldest for 2.1 s");
        assert_eq!(lines[2], "  still guarding: `interlock flag get a` shows how far it is");
        assert_eq!(lines.len(), 3, "{shown}");
    }

    #[test]
    fn a_kill_says_what_it_may_undo_at_a_fixed_app() {
        let settled = json!({"name": "a", "strategy": "upstream", "killed": true,
                             "transition": {"step": "settled"}});

        assert!(killed(&waiting("upstream")).contains("undone"));
        assert!(!killed(&waiting("serialize")).contains("undone"));
        assert!(!killed(&settled).contains("undone"));
    }

    #[test]
    fn a_flag_on_the_move_is_shown_with_whom_it_waits_for() {
        let mut moving = waiting("serialize");
        moving["transition"]["forced"] = json!(["pod-y"]);

        let (one, all) = (flag(&moving), list(&json!({"flags": [moving]})));

        let line = "waiting for    pod-x, 3 calls running, the oldest for 2.1 s\n";
        for expected in ["state          killed, guarding\nsince          then\n", line] {
            assert!(one.contains(expected), "{expected} in {one}");
        }
        assert!(one.contains("forced past    pod-y\n"), "{one}");
        assert!(all.contains("killed, guarding") && all.contains("pod-x, 3 calls"), "{all}");
    }

    #[test]
    fn a_forced_flip_says_whom_it_left_out_and_what_that_costs() {
        let flag = |step: &str, past: &[&str]| {
            let transition = json!({"step": step, "forced": past});
            json!({"name": "a", "version": 4, "transition": transition})
        };

        let settled = forced(&flag("settled", &["pod-x"]));

        assert!(settled.starts_with("a: settled without pod-x, version 4\n"), "{settled}");
        assert!(settled.contains("silent_sidecar"), "{settled}");
        let nobody = forced(&flag("settled", &[]));
        assert_eq!(nobody, "a: settled, nobody was waited for, version 4\n");
        assert!(forced(&flag("guarding", &[])).contains("goes on without sidecars"));
    }

    #[test]
    fn a_history_names_what_was_pinned() {
        let entry = json!({"version": 2, "at": "now", "by": "ann", "reason": "vip",
                           "change": "pin", "entity": "journey:7", "from": null, "to": "fixed"});

        let shown = history(&json!({"history": [entry]}));

        assert!(shown.contains("pin journey:7  -     fixed  vip"), "{shown}");
    }

    #[test]
    fn a_history_shows_what_was_forced() {
        let entry = json!({"version": 2, "at": "now", "by": "ann", "reason": "node 7 is dead",
                           "change": "forced", "from": false, "to": true});

        let shown = history(&json!({"history": [entry]}));

        assert!(shown.contains("forced  false  true  node 7 is dead"), "{shown}");
    }
}
