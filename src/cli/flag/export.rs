//! Flags as definitions for flagd.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::moving;
use crate::cli::admin::failure::AdminError;
use crate::cli::text::{text, word};
use crate::domain::bucket::BUCKETS;
use crate::domain::percent::Percent;

/// Where flagd publishes what a definition looks like.
const SCHEMA: &str = "https://flagd.dev/schema/v0/flags.json";

/// The definitions of a flag, or of all flags in a list. Says on `notes` which of them are on the move.
pub(super) fn flagd(answer: &Value, notes: &mut impl Write) -> Result<Value, AdminError> {
    let one = std::slice::from_ref(answer);
    let flags = answer.get("flags").and_then(Value::as_array).map_or(one, Vec::as_slice);
    let mut definitions = Map::new();
    for flag in flags {
        if let Some(step) = moving::step(flag) {
            let name = word(flag, "name");
            writeln!(notes, "{name} is {step}: this is its definition once that is settled")?;
        }
        definitions.insert(name(flag)?.to_owned(), definition(flag)?);
    }
    Ok(json!({"$schema": SCHEMA, "flags": definitions}))
}

fn definition(flag: &Value) -> Result<Value, AdminError> {
    let killed = flag.get("killed") == Some(&Value::Bool(true));
    Ok(json!({
        "state": if killed { "DISABLED" } else { "ENABLED" },
        "variants": {"legacy": "legacy", "fixed": "fixed"},
        "defaultVariant": "legacy",
        "targeting": targeting(flag)?,
        "metadata": {"version": flag.get("version"), "bucketing": flag.get("bucketing")},
    }))
}

/// A call without an entity takes legacy, a pinned entity its path, and the others split as they do here.
fn targeting(flag: &Value) -> Result<Value, AdminError> {
    let entity = json!({"var": "targetingKey"});
    let mut rules = vec![json!({"!": [entity]}), json!("legacy")];
    for path in ["legacy", "fixed"] {
        let pins = flag.pointer(&format!("/pins/{path}")).and_then(Value::as_array);
        if let Some(pins) = pins.filter(|pins| !pins.is_empty()) {
            rules.extend([json!({"in": [entity, pins]}), json!(path)]);
        }
    }
    let fixed = percent(flag)?.hundredths();
    let hashed = json!({"cat": [{"var": "$flagd.flagKey"}, "/", entity]});
    let weights = [json!(["fixed", fixed]), json!(["legacy", BUCKETS - fixed])];
    rules.push(json!({"fractional": [hashed, weights[0], weights[1]]}));
    Ok(json!({"if": rules}))
}

fn name(flag: &Value) -> Result<&str, AdminError> {
    let name = flag.get("name").and_then(Value::as_str);
    name.ok_or(AdminError::NoFlag { key: "name", value: word(flag, "name") })
}

fn percent(flag: &Value) -> Result<Percent, AdminError> {
    let value = flag.get("percent").map(text).unwrap_or_default();
    value.parse().map_err(|_| AdminError::NoFlag { key: "percent", value })
}

#[cfg(test)]
mod tests;
