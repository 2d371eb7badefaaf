//! What callers send: bodies and queries, read strictly. What is not understood whole is refused whole.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::domain::flag::{Change, Path};
use crate::domain::percent::Percent;

use super::problem::{Fault, Refusal};

/// The longest body: a change is a few hundred bytes, and an entity's key and a reason have 1 KiB each at most.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// For a whole body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const NO_CHANGE: &str = "send \"percent\": 25, or \"pin\": {\"entity\": …, \"path\": …}";
const NO_REASON: &str = "say why, for the history, as in \"reason\": \"first ten percent\"";

/// A change as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) change: Change,
    pub(super) reason: String,
}

/// Reads a body, bounded in length and time.
pub(super) async fn read_body<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let whole = Box::pin(Limited::new(body, MAX_BODY_BYTES).collect());
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Err(_) => Err(Refusal::BodyTooSlow),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) => Err(Refusal::BodyBroken),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

/// Reads the body of a `PATCH`: a percentage or a pin, and the reason.
pub(super) fn patch(body: &[u8]) -> Result<Request, Refusal> {
    let mut fields = fields(body)?;
    let [percent, pin, reason] = ["percent", "pin", "reason"].map(|key| fields.remove(key));
    refuse_others(fields, "percent, pin, reason")?;
    let change = match (percent, pin) {
        (Some(percent), None) => Change::Percent(percent_of(percent)?),
        (None, Some(pin)) => pin_of(pin)?,
        (Some(_), Some(pin)) => return Err(Refusal::field("pin", Some(pin), Fault::NotAlone)),
        (None, None) => return Err(missing("percent", NO_CHANGE)),
    };
    Ok(Request { change, reason: reason_of(reason)? })
}

/// Reads the body of `kill` and `resume`: the reason.
pub(super) fn switch(body: &[u8], change: Change) -> Result<Request, Refusal> {
    Ok(Request { change, reason: reason_alone(body)? })
}

/// Reads the body of a call about a sidecar: the reason.
pub(super) fn reason(body: &[u8]) -> Result<String, Refusal> {
    let reason = reason_alone(body)?;
    if reason.trim().is_empty() {
        return Err(missing("reason", NO_REASON));
    }
    Ok(reason)
}

/// A reason, with nothing beside it.
fn reason_alone(body: &[u8]) -> Result<String, Refusal> {
    let mut fields = fields(body)?;
    let reason = fields.remove("reason");
    refuse_others(fields, "reason")?;
    reason_of(reason)
}

/// The parameters of a query, each at most once.
pub(super) fn query(query: Option<&str>) -> Result<Vec<(String, String)>, Refusal> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (form_decoded(key)?, form_decoded(value)?);
        if parameters.iter().any(|(known, _)| *known == key) {
            return Err(Refusal::field(&key, Some(value.into()), Fault::Twice));
        }
        parameters.push((key, value));
    }
    Ok(parameters)
}

fn form_decoded(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned());
    decoded.map_err(|_| Refusal::field(text, None, Fault::Type("UTF-8")))
}

fn refuse_others(fields: Map<String, Value>, known: &'static str) -> Result<(), Refusal> {
    match fields.into_iter().next() {
        None => Ok(()),
        Some((key, value)) => Err(Refusal::field(&key, Some(value), Fault::Unknown(known))),
    }
}

fn reason_of(value: Option<Value>) -> Result<String, Refusal> {
    let reason = text("reason", value.ok_or_else(|| missing("reason", NO_REASON))?)?;
    if reason.chars().any(char::is_control) {
        let fault = Fault::ControlCharacters;
        return Err(Refusal::field("reason", Some(reason.into()), fault));
    }
    Ok(reason)
}

fn percent_of(value: Value) -> Result<Percent, Refusal> {
    let number = value.as_f64().map(Percent::try_from);
    let fault = match number {
        Some(Ok(percent)) => return Ok(percent),
        Some(Err(error)) => Fault::Percent(error),
        None => Fault::Type("a JSON number from 0 to 100, such as 25 or 0.5"),
    };
    Err(Refusal::field("percent", Some(value), fault))
}

fn pin_of(value: Value) -> Result<Change, Refusal> {
    let Value::Object(mut pin) = value else {
        let fault = Fault::Type("an object, {\"entity\": \"journey:7\", \"path\": \"fixed\"}");
        return Err(Refusal::field("pin", Some(value), fault));
    };
    let path = pin.remove("path");
    let entity = pin.remove("entity");
    if let Some((key, value)) = pin.into_iter().next() {
        let fault = Fault::Unknown("entity, path");
        return Err(Refusal::field(&format!("pin.{key}"), Some(value), fault));
    }
    let entity = entity.ok_or_else(|| missing("pin.entity", "name the entity's key"))?;
    let entity = text("pin.entity", entity)?;
    let no_path = || missing("pin.path", "legacy, fixed, or null for no pin");
    let path = match path.ok_or_else(no_path)? {
        Value::Null => None,
        value => Some(path_of(value)?),
    };
    Ok(Change::Pin { entity, path })
}

fn path_of(value: Value) -> Result<Path, Refusal> {
    let named = Path::ALL.into_iter().find(|path| value == path.as_str());
    let fault = Fault::Type("\"legacy\", \"fixed\" or null");
    named.ok_or_else(|| Refusal::field("pin.path", Some(value), fault))
}

fn text(key: &str, value: Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        value => Err(Refusal::field(key, Some(value), Fault::Type("a JSON string"))),
    }
}

fn missing(key: &str, remedy: &'static str) -> Refusal {
    Refusal::field(key, None, Fault::Missing(remedy))
}

fn fields(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(body).map_err(Refusal::BadJson)? {
        Strict(Value::Object(fields)) => Ok(fields),
        Strict(_) => Err(Refusal::BadJson(de::Error::custom("it is no object"))),
    }
}

/// JSON in which no object has a key twice: readers differ in which of the two counts.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or(E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!("\"{key}\" is there twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
