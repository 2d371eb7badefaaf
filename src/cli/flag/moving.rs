//! A flip under way: whom it waits for, and waiting until it is settled.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::flag_target;
use crate::cli::admin::failure::{AdminError, WAIT};
use crate::cli::admin::get;
use crate::cli::client::Client;
use crate::cli::text::{text, word};
use crate::clock;
use crate::domain::transition::SILENT_AFTER_MS;

/// Between two looks at whether all sidecars have applied a change, which takes them milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Between two looks at a flip that is under way.
const POLL: Duration = Duration::from_millis(100);

/// How far a flag's flip has come; `None` where all is settled.
pub(super) fn step(flag: &Value) -> Option<String> {
    let step = flag.pointer("/transition/step").filter(|step| *step != "settled")?;
    Some(text(step))
}

/// Whom a flag's flip waits for, and why.
pub(super) fn waiting_for(flag: &Value) -> Vec<(String, String)> {
    let waiting = flag.pointer("/transition/waiting_for").and_then(Value::as_array);
    waiting.into_iter().flatten().map(|it| (word(it, "sidecar"), word(it, "why"))).collect()
}

/// The same in words; empty where nobody is waited for.
pub(super) fn waiting_for_in_words(flag: &Value) -> String {
    let words = |(sidecar, why): (String, String)| format!("{sidecar}, {why}");
    waiting_for(flag).into_iter().map(words).collect::<Vec<_>>().join("; ")
}

/// Sidecars that a forced flip went on without, and that have not come back.
pub(super) fn gone_past(flag: &Value) -> Vec<String> {
    let forced = flag.pointer("/transition/forced").and_then(Value::as_array);
    forced.into_iter().flatten().map(text).collect()
}

/// Looks at a flag until its flip is settled, and every sidecar that is heard of has applied it. Says on `notes` whom it
/// waits for, when that changes. A change that somebody makes meanwhile is not this one's success.
pub(super) async fn settled(
    client: &Client,
    name: &str,
    mut flag: Value,
    notes: &mut impl Write,
) -> Result<Value, AdminError> {
    let give_up = clock::now() + WAIT;
    let mut told = String::new();
    let version = version_of(&flag);
    while let Some(step) = step_of(version, &flag) {
        let waiting = waiting_for_in_words(&flag);
        if clock::now() > give_up {
            return Err(AdminError::NotSettled { step, waiting, name: name.to_owned() });
        }
        let line = match waiting.as_str() {
            "" => step,
            _ => format!("{step}: waiting for {waiting}"),
        };
        tell(notes, &mut told, line);
        sleep(POLL).await;
        flag = client.call(get(flag_target(name))).await?;
        if version_of(&flag) > version {
            let by = word(&flag, "changed_by");
            return Err(AdminError::Overtaken { name: name.to_owned(), version, by });
        }
    }
    loop {
        let fleet = client.call(get("/api/v1/fleet".to_owned())).await?;
        let behind = behind(&fleet, name, version);
        if behind.is_empty() {
            return Ok(flag);
        }
        if clock::now() > give_up {
            return Err(AdminError::NotEverywhere { behind });
        }
        tell(notes, &mut told, format!("settled: waiting for {} to apply it", behind.join(", ")));
        sleep(LOOK_AGAIN).await;
    }
}

fn version_of(flag: &Value) -> u64 {
    flag.get("version").and_then(Value::as_u64).unwrap_or_default()
}

/// How far the flip of this version has come; `None` where all is settled.
fn step_of(version: u64, flag: &Value) -> Option<String> {
    match version_of(flag) < version {
        // Another sidecar answered, which has not heard of it yet.
        true => Some("announced".to_owned()),
        false => step(flag),
    }
}

/// Writes a line that differs from the one before in more than its times.
fn tell(notes: &mut impl Write, told: &mut String, line: String) {
    let is_time =
        |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    let timeless: Vec<&str> = line.split(' ').filter(|word| !is_time(word)).collect();
    let timeless = timeless.join(" ");
    if *told != timeless {
        // Whoever closed it does not want to know; what is waited for is waited for all the same.
        drop(writeln!(notes, "{line}"));
        *told = timeless;
    }
}

/// The sidecars that have not applied a version of a flag. One that has fallen silent is told of by `interlock fleet`.
fn behind(fleet: &Value, name: &str, version: u64) -> Vec<String> {
    let sidecars = fleet.get("sidecars").and_then(Value::as_array);
    let heard_of = sidecars.into_iter().flatten().filter(|sidecar| {
        let silent_ms = sidecar.get("silent_ms").and_then(Value::as_u64).unwrap_or_default();
        silent_ms <= SILENT_AFTER_MS
    });
    let has_not = |sidecar: &&Value| {
        let applied =
            sidecar.get("flags").and_then(|flags| flags.get(name)).and_then(Value::as_u64);
        // A sidecar that does not have the flag has nothing to apply.
        applied.is_some_and(|applied| applied < version)
    };
    heard_of.filter(has_not).map(|sidecar| word(sidecar, "id")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_when_more_than_a_time_changes() {
        let (mut notes, mut told) = (Vec::new(), String::new());
        let lines = [
            "guarding: waiting for a, 2 calls running, the oldest for 1.0 s",
            "guarding: waiting for a, 2 calls running, the oldest for 1.1 s",
            "guarding: waiting for a, a call running for 1.2 s",
            "guarding: waiting for a, a call running for 1.3 s",
            "switching",
        ];

        lines.iter().for_each(|line| tell(&mut notes, &mut told, (*line).to_owned()));

        let expected = [lines[0], lines[2], lines[4]].map(|line| format!("{line}\n")).concat();
        assert_eq!(String::from_utf8(notes).unwrap(), expected);
    }
}
