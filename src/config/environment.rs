//! `INTERLOCK__…` variables: a layer of their own, above every file.
//!
//! A variable's name is resolved against the table of keys and the flags that exist: letter case doesn't matter, `__`
//! stands between levels, and `_` may stand for the `-` or `.` of a flag's name, which most shells refuse in a name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use config::Value;

use super::error::{Fault, Origin, Problem};
use super::keys::{self, Key, Kind, Node};
use super::otel;
use super::raw::{self, Layer};

/// What the names of variables begin with. `INTERLOCK_ADMIN` and its like belong to the command line.
const PREFIX: &str = "INTERLOCK__";

/// The variables of this process that are about the configuration: `INTERLOCK__…`, and the standard `OTEL_*`.
pub fn variables() -> Vec<(String, String)> {
    // A value that is not Unicode is no valid value of any key; its replacement is refused with a message.
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .filter(|(name, _)| suffix(name).is_some() || otel::is_variable(name))
        .collect()
}

/// The layer that these variables make.
pub(super) fn layer(
    env: impl Iterator<Item = (String, String)>,
    flags: &BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::default();
    let mut seen: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let sorted: BTreeMap<String, String> = env.collect();
    for (name, text) in sorted {
        let Some(suffix) = suffix(&name) else {
            continue;
        };
        let origin = otel::origin(&name);
        let target = resolve(suffix, flags).and_then(|target| match seen.get(&target.path) {
            Some(other) => Err(Fault::RepeatedVariable { other: other.clone() }),
            None => Ok(target),
        });
        match target {
            Ok(Target { path, key }) => {
                let value = typed(&origin, &key.kind, text);
                raw::insert(&mut layer.0, path.iter().map(String::as_str), value);
                seen.insert(path, name);
            }
            Err(fault) => {
                // The variable's name is all there is to say where.
                problems.push(Problem {
                    origin: Origin::Layer(origin),
                    key: String::new(),
                    value: None,
                    fault,
                });
            }
        }
    }
    layer
}

fn suffix(name: &str) -> Option<&str> {
    let (prefix, suffix) = name.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(suffix)
}

/// The key that a variable sets.
#[derive(Debug)]
struct Target {
    path: Vec<String>,
    key: &'static Key,
}

fn resolve(suffix: &str, flags: &BTreeSet<String>) -> Result<Target, Fault> {
    let lower = suffix.to_lowercase();
    let Some(of_flag) = lower.strip_prefix("flags__") else {
        let path: Vec<String> = lower.split("__").map(str::to_owned).collect();
        let key = leaf("", &path).ok_or_else(|| unknown(&path, ""))?;
        return Ok(Target { path, key });
    };
    let (flag, rest) = split_flag(of_flag, flags)?;
    let rest: Vec<String> = rest.split("__").map(str::to_owned).collect();
    if rest.first().is_some_and(|name| name == "routes") {
        return Err(Fault::ArrayFromEnvironment);
    }
    let key = leaf("flags.*", &rest).ok_or_else(|| unknown(&rest, "flags.*."))?;
    let path = ["flags".to_owned(), flag.to_owned()].into_iter().chain(rest).collect();
    Ok(Target { path, key })
}

/// The key at a path of names below a place.
fn leaf(place: &str, path: &[String]) -> Option<&'static Key> {
    let step = |place: String, name: &String| keys::child_place(&place, name);
    match keys::node(&path.iter().try_fold(place.to_owned(), step)?)? {
        Node::Leaf(key) => Some(key),
        Node::Table | Node::Tables => None,
    }
}

/// The flag that a name begins with, and what follows it. The longest one wins; one spelled exactly wins over one
/// that `_` stands in for.
fn split_flag<'a, 'f>(
    name: &'a str,
    flags: &'f BTreeSet<String>,
) -> Result<(&'f str, &'a str), Fault> {
    let after = |flag: &str| name.strip_prefix(flag)?.strip_prefix("__");
    let candidates = |spell: fn(&str) -> String| {
        let fitting = flags.iter().filter_map(|flag| Some((flag.as_str(), after(&spell(flag))?)));
        let fitting: Vec<_> = fitting.collect();
        let longest = fitting.iter().map(|(flag, _)| flag.len()).max();
        fitting.into_iter().filter(|(flag, _)| Some(flag.len()) == longest).collect::<Vec<_>>()
    };
    let exact = candidates(str::to_lowercase);
    let fitting = if exact.is_empty() { candidates(as_in_variables) } else { exact };
    match fitting.as_slice() {
        [one] => Ok(*one),
        [] => {
            let wanted = name.split("__").next().unwrap_or(name);
            let known: Vec<String> = flags.iter().cloned().collect();
            Err(Fault::NoSuchFlag { suggestion: keys::suggestion(wanted, &known), known })
        }
        several => Err(Fault::AmbiguousFlag {
            flags: several.iter().map(|(flag, _)| (*flag).to_owned()).collect(),
        }),
    }
}

fn as_in_variables(flag: &str) -> String {
    flag.to_lowercase().replace(['-', '.'], "_")
}

/// What might have been meant in the table at `place`, in the spelling of variables. Where even the section is unknown
/// every key is listed.
fn unknown(path: &[String], place: &str) -> Fault {
    let spelled = |place: &str| place.replace('.', "__").to_uppercase();
    let all: Vec<String> = keys::all()
        .filter_map(|key| key.place.strip_prefix(place))
        .filter(|place| !place.contains(['*', '[']))
        .map(spelled)
        .collect();
    let suggestion = keys::suggestion(&spelled(&path.join(".")), &all);
    let section = path.first().map(|name| spelled(&format!("{name}."))).unwrap_or_default();
    let (near, far): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|name| name.starts_with(&section));
    Fault::UnknownKey { suggestion, known: if near.is_empty() { far } else { near } }
}

/// A variable is always text: numbers, booleans and lists become what a file would have held. What can't stays text, and is
/// refused where its type is checked.
fn typed(origin: &str, kind: &Kind, text: String) -> Value {
    let from_toml = match kind {
        Kind::Integer { .. }
        | Kind::Bool
        | Kind::Ratio
        | Kind::Choices(_)
        | Kind::Patterns
        | Kind::HeaderNames => raw::literal(origin, text.trim()),
        _ => None,
    };
    from_toml.unwrap_or_else(|| Value::new(Some(&origin.to_owned()), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(suffix: &str, flags: &[&str]) -> Result<String, Fault> {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        resolve(suffix, &flags).map(|target| target.path.join("/"))
    }

    #[test]
    fn a_name_finds_its_key_whatever_its_case() {
        let check = |suffix: &str, path: &str| {
            let flags = ["journey-updates", "A.b", "a__b"];
            assert_eq!(resolved(suffix, &flags).unwrap(), path, "{suffix}");
        };

        check("PROXY__LISTEN", "proxy/listen");
        check("proxy__max_body", "proxy/max_body");
        check("FLAGS__JOURNEY-UPDATES__PERCENT", "flags/journey-updates/percent");
        check(
            "FLAGS__JOURNEY_UPDATES__LEASE__MAX_WAITERS",
            "flags/journey-updates/lease/max_waiters",
        );
        check("FLAGS__A_B__PERCENT", "flags/A.b/percent");
        check("FLAGS__A__B__PERCENT", "flags/a__b/percent");
    }

    #[test]
    fn a_name_that_finds_nothing_or_too_much_is_refused() {
        assert!(matches!(
            resolved("PROXY__LISTNE", &[]),
            Err(Fault::UnknownKey { suggestion: Some(name), .. }) if name == "PROXY__LISTEN"
        ));
        assert!(matches!(resolved("PROXY", &[]), Err(Fault::UnknownKey { .. })));
        assert!(matches!(
            resolved("FLAGS__JOURNEY__PERCENT", &["journeys"]),
            Err(Fault::NoSuchFlag { suggestion: Some(name), .. }) if name == "journeys"
        ));
        assert!(matches!(
            resolved("FLAGS__A_B__PERCENT", &["a-b", "a.b"]),
            Err(Fault::AmbiguousFlag { .. })
        ));
        assert_eq!(resolved("FLAGS__A_B__PERCENT", &["a-b", "a_b"]).unwrap(), "flags/a_b/percent");
        assert!(matches!(
            resolved("FLAGS__A__ROUTES__0__PATH", &["a"]),
            Err(Fault::ArrayFromEnvironment)
        ));
    }
}
