//! One value as written -> one value of the right type.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use config::{Value, ValueKind};
use http::Method;
use tracing_subscriber::EnvFilter;

use super::collector::CollectorUrl;
use super::error::Fault;
use super::keys::Kind;
use super::lists;
use super::mask::{mask, mask_url};
use super::size;
use super::{StoreUrl, UpstreamUrl};
use crate::domain::percent::Percent;

/// The longest name of a flag, a route or a prefix, in bytes: it is a metric label and part of keys.
pub(super) const MAX_NAME_BYTES: usize = 64;

/// How much of a refused value a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// What metrics call a call that matched no route.
const RESERVED_NAME: &str = "unmatched";

/// Whether `value` may stand at a key of this kind.
pub(super) fn check(value: &Value, kind: &Kind) -> Result<(), Fault> {
    match *kind {
        Kind::Address => address(value).map(drop),
        Kind::Upstream => upstream(value).map(drop),
        Kind::Collector => collector(value).map(drop),
        Kind::StoreUrl => store_url(value).map(drop),
        Kind::File => file(value).map(drop),
        Kind::Name => name(value).map(drop),
        Kind::LogFilter => log_filter(value).map(drop),
        Kind::Bool => boolean(value).map(drop),
        Kind::Integer { min, max } => within(integer(value)?, min, max, |n| n.to_string()),
        Kind::Size { min, max } => within(size(value)?, min, max, size::text),
        Kind::Duration { min, max } => within(duration(value)?, min, max, duration_text),
        Kind::Ratio => within(ratio(value)?, 0.0, 1.0, |bound| bound.to_string()),
        Kind::Percent => percent(value).map(drop),
        Kind::Choice(allowed) => choice(value, allowed),
        Kind::Choices(allowed) => lists::choices(value, allowed).map(drop),
        Kind::Entity => parsed::<crate::domain::entity::EntityTemplate>(value).map(drop),
        Kind::Path => parsed::<crate::domain::route::PathTemplate>(value).map(drop),
        Kind::Methods => methods(value).map(drop),
        Kind::Source => parsed::<crate::domain::source::Source>(value).map(drop),
        Kind::Pointer => parsed::<crate::domain::effects::EffectPointer>(value).map(drop),
        Kind::Patterns => lists::patterns(value).map(drop),
        Kind::HeaderNames => lists::header_names(value).map(drop),
        Kind::Answer => answer(value),
    }
}

fn within<T: PartialOrd>(
    value: T,
    min: T,
    max: T,
    show: impl Fn(T) -> String,
) -> Result<(), Fault> {
    if min <= value && value <= max {
        Ok(())
    } else {
        Err(Fault::OutOfRange { min: show(min), max: show(max) })
    }
}

/// The TOML type of a value, with its article.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value.kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "a boolean",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "a whole number"
        }
        ValueKind::Float(_) => "a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}

pub(super) fn wrong_type(value: &Value, kind: &Kind) -> Fault {
    Fault::WrongType { expected: kind.expects(), found: type_name(value) }
}

fn text<'v>(value: &'v Value, kind: &Kind) -> Result<&'v str, Fault> {
    match &value.kind {
        ValueKind::String(text) => Ok(text),
        _ => Err(wrong_type(value, kind)),
    }
}

fn nonempty<'v>(value: &'v Value, kind: &Kind) -> Result<&'v str, Fault> {
    let text = text(value, kind)?;
    if text.trim().is_empty() { Err(Fault::Empty) } else { Ok(text) }
}

/// Text that a domain type reads.
pub(super) fn parsed<T: FromStr>(value: &Value) -> Result<T, Fault>
where
    Fault: From<T::Err>,
{
    Ok(text(value, &Kind::Path)?.parse::<T>()?)
}

/// The template of an answer; what its placeholders are is known elsewhere.
fn answer(value: &Value) -> Result<(), Fault> {
    let text = text(value, &Kind::Answer)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(source) => Err(Fault::NotJson { source: Arc::new(source) }),
    }
}

/// The text of an answer's template.
pub(super) fn json_text(value: &Value) -> Result<String, Fault> {
    text(value, &Kind::Answer).map(str::to_owned)
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value) -> Result<bool, Fault> {
    match value.kind {
        ValueKind::Boolean(boolean) => Ok(boolean),
        _ => Err(wrong_type(value, &Kind::Bool)),
    }
}

/// A whole number from 0.
pub(super) fn integer(value: &Value) -> Result<u64, Fault> {
    const KIND: Kind = Kind::Integer { min: 0, max: u64::MAX };
    match value.kind {
        // A negative one is out of every range; the range says so better than the type.
        ValueKind::I64(number) => Ok(u64::try_from(number).unwrap_or(u64::MAX)),
        _ => Err(wrong_type(value, &KIND)),
    }
}

/// A number of bytes.
pub(super) fn size(value: &Value) -> Result<u64, Fault> {
    const KIND: Kind = Kind::Size { min: 0, max: u64::MAX };
    match &value.kind {
        ValueKind::String(text) => size::parse(text).ok_or(Fault::NotASize),
        ValueKind::I64(_) => integer(value),
        _ => Err(wrong_type(value, &KIND)),
    }
}

/// A duration.
pub(super) fn duration(value: &Value) -> Result<Duration, Fault> {
    const KIND: Kind = Kind::Duration { min: Duration::ZERO, max: Duration::MAX };
    humantime::parse_duration(text(value, &KIND)?.trim()).map_err(|_| Fault::NotADuration)
}

/// A duration as it would be written.
pub(super) fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A number, which is a ratio from 0 to 1.
pub(super) fn ratio(value: &Value) -> Result<f64, Fault> {
    match value.kind {
        ValueKind::Float(number) => Ok(number),
        ValueKind::I64(0) => Ok(0.0),
        ValueKind::I64(1) => Ok(1.0),
        ValueKind::I64(_) => Ok(f64::NAN),
        _ => Err(wrong_type(value, &Kind::Ratio)),
    }
}

/// A percentage, as a number or text.
pub(super) fn percent(value: &Value) -> Result<Percent, Fault> {
    match &value.kind {
        ValueKind::I64(number) => Ok(number.to_string().parse::<Percent>()?),
        ValueKind::Float(number) => Ok(Percent::try_from(*number)?),
        ValueKind::String(text) => Ok(text.parse::<Percent>()?),
        _ => Err(wrong_type(value, &Kind::Percent)),
    }
}

/// An IP address and port.
pub(super) fn address(value: &Value) -> Result<SocketAddr, Fault> {
    text(value, &Kind::Address)?.trim().parse().map_err(|_| Fault::NotAnAddress)
}

/// An upstream's URL.
pub(super) fn upstream(value: &Value) -> Result<UpstreamUrl, Fault> {
    Ok(text(value, &Kind::Upstream)?.parse::<UpstreamUrl>()?)
}

/// A store's URL.
pub(super) fn store_url(value: &Value) -> Result<StoreUrl, Fault> {
    Ok(nonempty(value, &Kind::StoreUrl)?.parse::<StoreUrl>()?)
}

/// A collector's URL.
pub(super) fn collector(value: &Value) -> Result<CollectorUrl, Fault> {
    Ok(text(value, &Kind::Collector)?.parse::<CollectorUrl>()?)
}

/// A file's path.
pub(super) fn file(value: &Value) -> Result<PathBuf, Fault> {
    nonempty(value, &Kind::File).map(PathBuf::from)
}

/// A name that is safe as a metric label.
pub(super) fn name(value: &Value) -> Result<String, Fault> {
    let name = text(value, &Kind::Name)?;
    check_name(name).map(|()| name.to_owned())
}

/// Whether a text may name a flag or a route.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if name == RESERVED_NAME {
        Err(Fault::ReservedName)
    } else if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        Err(Fault::NotAName { max: MAX_NAME_BYTES })
    } else {
        Ok(())
    }
}

/// A `tracing` filter.
pub(super) fn log_filter(value: &Value) -> Result<String, Fault> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    let filter = nonempty(value, &Kind::LogFilter)?.trim();
    // The parser takes a misspelled level for the name of a target, which would turn everything else off.
    let bare = filter.split(',').filter(|directive| !directive.contains(['=', '[', ':']));
    let levels = bare.map(|level| level.trim().to_ascii_lowercase());
    if !levels.into_iter().all(|level| LEVELS.contains(&level.as_str())) {
        return Err(Fault::NotALogFilter);
    }
    filter.parse::<EnvFilter>().map_err(|_| Fault::NotALogFilter)?;
    Ok(filter.to_owned())
}

fn choice(value: &Value, allowed: &'static [&'static str]) -> Result<(), Fault> {
    let text = text(value, &Kind::Choice(allowed))?;
    if allowed.contains(&text) { Ok(()) } else { Err(Fault::NotOneOf { allowed }) }
}

/// HTTP methods, each once, at least one.
pub(super) fn methods(value: &Value) -> Result<Vec<Method>, Fault> {
    let ValueKind::Array(elements) = &value.kind else {
        return Err(wrong_type(value, &Kind::Methods));
    };
    if elements.is_empty() {
        return Err(Fault::Empty);
    }
    let mut methods = Vec::new();
    for element in elements {
        let ValueKind::String(written) = &element.kind else {
            return Err(wrong_type(element, &Kind::Methods));
        };
        // Methods are case-sensitive: "put" would never match.
        let method = Some(written)
            .filter(|text| !text.bytes().any(|b| b.is_ascii_lowercase()))
            .and_then(|text| Method::from_str(text).ok())
            .ok_or_else(|| Fault::NotAMethod { method: written.clone() })?;
        if methods.contains(&method) {
            return Err(Fault::RepeatedMethod { method: written.clone() });
        }
        methods.push(method);
    }
    Ok(methods)
}

/// A value as a message repeats it: short, and without passwords.
pub(super) fn shown(value: &Value) -> String {
    let whole = match &value.kind {
        ValueKind::String(text) => format!("{:?}", mask(text)),
        ValueKind::Array(elements) => {
            format!("[{}]", elements.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Table(_) => "{ … }".to_owned(),
        _ => value.to_string(),
    };
    shortened(&whole)
}

/// The same of what stands where a URL should be that may hold a password.
pub(super) fn shown_url(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => shortened(&format!("{:?}", mask_url(text))),
        ValueKind::Array(_) => "[ … ]".to_owned(),
        _ => shown(value),
    }
}

/// No more of a text than a message repeats.
pub(super) fn shortened(whole: &str) -> String {
    match whole.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", whole.get(..end).unwrap_or_default()),
        None => whole.to_owned(),
    }
}
