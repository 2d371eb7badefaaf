//! What comparing is held to.

mod answers;
mod bounds;
mod documents;
mod examples;
mod noise;
mod properties;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::*;
use crate::domain::divergence::Excuse;

/// The rules where nothing is configured, but for what is changed.
fn rules(change: impl FnOnce(&mut Rules)) -> Rules {
    let mut rules = Rules::default();
    change(&mut rules);
    rules
}

fn patterns(texts: &[&str]) -> Vec<PointerPattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// Compares two bodies that say they are JSON.
fn compare_json(
    rules: &Rules,
    control: impl AsRef<[u8]>,
    candidate: impl AsRef<[u8]>,
) -> Comparison {
    compare_with(rules, &Noise::default(), &[], control.as_ref(), candidate.as_ref())
}

fn compare_with(
    rules: &Rules,
    noise: &Noise,
    reveal: &[PointerPattern],
    control: &[u8],
    candidate: &[u8],
) -> Comparison {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    let answer = |body| Answer { status: 200, headers: &headers, body };
    compare(rules, noise, reveal, &answer(control), &answer(candidate))
}

/// A difference in short: `changed /a/b`, and `(rule)` or `(noise)` where it is excused.
fn in_short(difference: &Difference) -> String {
    let kind = serde_json::to_value(difference.kind).unwrap();
    let excuse = match difference.excused {
        None => "",
        Some(Excuse::Rule) => " (rule)",
        Some(Excuse::Noise) => " (noise)",
    };
    format!("{} {}{excuse}", kind.as_str().unwrap(), difference.pointer)
}

fn all_in_short(comparison: &Comparison) -> Vec<String> {
    comparison.differences.iter().map(in_short).collect()
}
