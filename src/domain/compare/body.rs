//! Bodies: by structure where both are JSON, else by bytes.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::Answer;
use super::found::Found;
use super::json::{Unparsed, Value, parse, shown_bytes};
use super::path::Place;
use super::rules::Rules;
use super::walk::Walk;
use crate::domain::divergence::DifferenceKind;

/// What a body is read as.
enum Form<'a> {
    Json(Value<'a>),
    /// It is no JSON, or doesn't say that it is, or is encoded.
    Bytes,
    /// It says that it is JSON, and is too large to be read.
    TooLarge,
}

impl<'a> Form<'a> {
    fn of(answer: &Answer<'a>) -> Self {
        if is_encoded(answer.headers) || !may_be_json(answer.headers) {
            return Self::Bytes;
        }
        match parse(answer.body) {
            Ok(value) => Self::Json(value),
            Err(Unparsed::NotJson) => Self::Bytes,
            Err(Unparsed::TooLarge) => Self::TooLarge,
        }
    }
}

/// Reports what differs between two bodies.
pub(super) fn compare_bodies<'r>(
    rules: &'r Rules,
    found: &mut Found<'r>,
    control: &Answer<'_>,
    candidate: &Answer<'_>,
) {
    if control.body == candidate.body {
        return;
    }
    let kind = match (Form::of(control), Form::of(candidate)) {
        (Form::Json(expected), Form::Json(given)) => {
            if Walk::through(rules, found, &expected, &given).is_ok() {
                return;
            }
            // The rest was not looked at, and the bodies are not the same: so it counts as a difference.
            found.truncate();
            DifferenceKind::Changed
        }
        (Form::TooLarge, _) | (_, Form::TooLarge) => {
            found.truncate();
            DifferenceKind::Changed
        }
        _ if control.body.is_empty() => DifferenceKind::Extra,
        _ if candidate.body.is_empty() => DifferenceKind::Missing,
        (Form::Bytes, Form::Bytes) => DifferenceKind::Changed,
        (Form::Json(_), Form::Bytes) | (Form::Bytes, Form::Json(_)) => DifferenceKind::Type,
    };
    let whole = Place::default();
    let by_rule = rules.ignores(whole.steps());
    found.inside(&whole, kind, by_rule, |is_revealed| {
        let shown = |body: &[u8]| match is_revealed {
            true => shown_bytes(body),
            false => format!("{{\"bytes\":{}}}", body.len()),
        };
        (Some(shown(control.body)), Some(shown(candidate.body)))
    });
}

/// Whether the bytes are not yet the document: what `gzip` makes of one says nothing of where it differs.
fn is_encoded(headers: &HeaderMap) -> bool {
    let is_plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !is_plain(value))
}

/// Whether the type is JSON by its name, or there is none.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let suffix = essence.rsplit(|b| *b == b'+').next().unwrap_or_default();
    essence.eq_ignore_ascii_case(b"application/json")
        || (suffix.len() < essence.len() && suffix.eq_ignore_ascii_case(b"json"))
}
