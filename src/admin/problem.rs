//! Every reason to refuse a call, and the one place that turns it into an answer: RFC 9457's `problem+json`.

use http::header::{self, HeaderValue};
use http::{HeaderName, StatusCode};
use serde::Serialize;
use serde_json::Value;

use std::time::Duration;

use crate::domain::flag::ChangeError;
use crate::domain::percent::PercentError;
use crate::store::{PersistError, Place, StoreChangeError};
use crate::telemetry::labels::AdminRefusal;

use super::input::MAX_BODY_BYTES;
use super::router::ROUTES;
use super::{AdminResponse, body_response};

/// The longest offending value that is quoted back, in characters.
const MAX_QUOTED: usize = 128;

/// When to try again while the store is gone, in seconds: about as often as the sidecar itself tries.
const RETRY_AFTER_SECONDS: &str = "1";

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("nothing is here; there are {}", ROUTES.join(", "))]
    UnknownRoute,
    #[error("this method is not for this path: use {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("Host is missing, there twice, no host[:port], or another one than the target names")]
    BadHost,
    #[error("Host names another machine: on loopback use localhost, 127.0.0.1 or [::1]")]
    ForeignHost,
    #[error("send Authorization: Bearer with a token of the tokens file")]
    NoToken,
    #[error("Authorization holds no token of the tokens file")]
    BadToken,
    #[error(
        "Authorization holds no token of the tokens file, and too many such have come from this address: a valid one is let \
         in at any time"
    )]
    TooManyFailures { wait: Duration },
    #[error("a viewer's token reads only: a change needs an operator's")]
    ViewerMayNotChange,
    #[error("a change may not come from another site's page: see Origin and Sec-Fetch-Site")]
    CrossSite,
    #[error("a change is Content-Type: application/json in UTF-8, without Content-Encoding")]
    NotJson,
    #[error("the body is longer than {MAX_BODY_BYTES} bytes")]
    BodyTooLarge,
    #[error("the body took too long to arrive")]
    BodyTooSlow,
    #[error("the body broke off")]
    BodyBroken,
    #[error("the body is not the JSON object that is expected here: {0}")]
    BadJson(#[source] serde_json::Error),
    #[error("\"{key}\"{} {fault}", in_brackets(value.as_ref()))]
    BadField { key: String, value: Option<Value>, fault: Fault },
    #[error("If-Match is *, or a list of versions in quotes as ETag gives them, such as \"3\"")]
    BadIfMatch,
    #[error("no flag is named \"{name}\": GET /api/v1/flags lists them")]
    UnknownFlag { name: String },
    #[error("no sidecar of the fleet has the id \"{id}\": GET /api/v1/fleet lists them")]
    UnknownSidecar { id: String },
    #[error(
        "\"{id}\" was heard of {silent_ms} ms ago: only one that has been silent for more than 3 s can be forgotten; stop it, \
         and it leaves by itself"
    )]
    NotSilent { id: String, silent_ms: u64 },
    #[error(
        "no divergence has the id \"{id}\": GET /api/v1/divergences lists them, and old ones are let go of{}",
        if *in_memory_alone { "; this sidecar's memory alone was looked through" } else { "" }
    )]
    UnknownDivergence { id: String, in_memory_alone: bool },
    #[error("Accept allows nothing that is here: there is {offered}")]
    NotAcceptable { offered: &'static str },
    #[error("the flag is at version {current} by now: read it again, then decide")]
    Stale { current: u64 },
    #[error("there is no room for this change: {0}")]
    NoRoom(StoreChangeError),
    #[error("nothing has changed, as the change could not be written down: {0}")]
    NotPersisted(PersistError),
    #[error(
        "nothing has changed: {0}. Every sidecar keeps the flags as they are until it is back. A kill waits for it too: \
         killed here alone, an entity would have two writers"
    )]
    StoreUnavailable(StoreChangeError),
    #[error(
        "nothing has changed: what stands at {place} in the store is no flag that this version of Interlock can read, \
         and it is not written over. Look at it, then run redis-cli {}: the sidecars write back what they hold",
        place.removal()
    )]
    Unreadable { place: Place },
    #[error("writing takes too long: read the flag to see whether the change took effect")]
    OutcomeUnknown,
    #[error("something is wrong in the sidecar; its log says more")]
    Internal,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("is missing: {0}")]
    Missing(&'static str),
    #[error("is not known here: there are {0}")]
    Unknown(&'static str),
    #[error("is not {0}")]
    Type(&'static str),
    #[error("is {0}")]
    Percent(PercentError),
    #[error("is refused: {0}")]
    Change(ChangeError),
    #[error("has control characters: write plain text")]
    ControlCharacters,
    #[error("stands beside another change: send one at a time")]
    NotAlone,
    #[error("is there twice")]
    Twice,
    #[error("is no entity of this flag: their keys look like {template}, up to 1024 bytes")]
    OtherEntity { template: String },
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    retry: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl Refusal {
    /// A value in the body or the query that can't be used.
    pub(super) fn field(key: &str, value: Option<Value>, fault: Fault) -> Self {
        Self::BadField { key: key.to_owned(), value, fault }
    }

    fn facts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::UnknownRoute => (StatusCode::NOT_FOUND, "unknown-route", "Nothing here"),
            Self::UnknownFlag { .. } => (StatusCode::NOT_FOUND, "unknown-flag", "No such flag"),
            Self::UnknownSidecar { .. } => {
                (StatusCode::NOT_FOUND, "unknown-sidecar", "No such sidecar")
            }
            Self::NotSilent { .. } => (StatusCode::CONFLICT, "not-silent", "The sidecar is there"),
            Self::UnknownDivergence { .. } => {
                (StatusCode::NOT_FOUND, "unknown-divergence", "No such divergence")
            }
            Self::NotAcceptable { .. } => {
                (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Not acceptable")
            }
            Self::MethodNotAllowed { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            Self::BadHost => (StatusCode::BAD_REQUEST, "bad-host", "Bad Host"),
            Self::ForeignHost => (StatusCode::FORBIDDEN, "foreign-host", "Host not allowed"),
            Self::NoToken => (StatusCode::UNAUTHORIZED, "no-token", "A token is needed"),
            Self::BadToken => (StatusCode::UNAUTHORIZED, "bad-token", "The token is not valid"),
            Self::TooManyFailures { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-failures", "Too many wrong tokens")
            }
            Self::ViewerMayNotChange => {
                (StatusCode::FORBIDDEN, "viewer-may-not-change", "Not allowed")
            }
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross-site", "Not from another site"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Not JSON"),
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large")
            }
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body-too-slow", "Body too slow"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body-broken", "Body broken off"),
            Self::BadJson(_) => (StatusCode::BAD_REQUEST, "bad-json", "Bad JSON"),
            Self::BadField { .. } => (StatusCode::BAD_REQUEST, "bad-value", "Bad value"),
            Self::BadIfMatch => (StatusCode::BAD_REQUEST, "bad-if-match", "Bad If-Match"),
            Self::Stale { .. } => {
                (StatusCode::PRECONDITION_FAILED, "stale-version", "Changed by somebody else")
            }
            Self::NoRoom(_) => (StatusCode::CONFLICT, "no-room", "No room"),
            Self::NotPersisted(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-persisted", "Change not written")
            }
            Self::StoreUnavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "The store can't be asked")
            }
            Self::Unreadable { .. } => {
                (StatusCode::CONFLICT, "unreadable-document", "The store holds something else")
            }
            Self::OutcomeUnknown => {
                (StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", "Outcome unknown")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// Whether sending the same again could do harm.
    fn retry(&self) -> &'static str {
        match self {
            Self::OutcomeUnknown | Self::Internal => "unknown",
            _ => "safe",
        }
    }

    /// The answer's status, and the kind of problem without its prefix.
    pub(super) fn kind(&self) -> (StatusCode, &'static str) {
        let (status, slug, _) = self.facts();
        (status, slug)
    }

    /// What it is counted as.
    pub(super) fn counted_as(&self) -> AdminRefusal {
        match self {
            Self::NoToken => AdminRefusal::NoToken,
            Self::BadToken => AdminRefusal::BadToken,
            Self::TooManyFailures { .. } => AdminRefusal::TooManyFailures,
            Self::ViewerMayNotChange => AdminRefusal::NotAllowed,
            Self::ForeignHost => AdminRefusal::ForeignHost,
            Self::CrossSite => AdminRefusal::CrossSite,
            other if other.facts().0.is_server_error() => AdminRefusal::Failed,
            _ => AdminRefusal::BadCall,
        }
    }

    /// The header field that belongs to a refusal.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::MethodNotAllowed { allow } => {
                Some((header::ALLOW, HeaderValue::from_static(allow)))
            }
            Self::NoToken => {
                let challenge = HeaderValue::from_static("Bearer realm=\"interlock\"");
                Some((header::WWW_AUTHENTICATE, challenge))
            }
            Self::BadToken => {
                let challenge = "Bearer realm=\"interlock\", error=\"invalid_token\"";
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))
            }
            Self::Stale { current } => Some((header::ETAG, etag(*current))),
            Self::StoreUnavailable(_) => {
                Some((header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)))
            }
            Self::TooManyFailures { wait } => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Some((header::RETRY_AFTER, HeaderValue::from(seconds)))
            }
            // What is left of such a body can't be read past.
            Self::BodyTooLarge | Self::BodyTooSlow => {
                Some((header::CONNECTION, HeaderValue::from_static("close")))
            }
            _ => None,
        }
    }

    /// The answer.
    pub(super) fn into_response(self) -> AdminResponse {
        let (status, slug, title) = self.facts();
        let (key, value) = match &self {
            Self::BadField { key, value, .. } => (Some(key.as_str()), value.clone()),
            _ => (None, None),
        };
        let problem = Problem {
            r#type: format!("urn:interlock:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: self.to_string(),
            retry: self.retry(),
            key,
            value: value.map(quoted),
        };
        let json = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = body_response(status, "application/problem+json", json.into());
        response.headers_mut().extend(self.header());
        if let Self::TooManyFailures { .. } = self {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// A version as an entity tag.
pub(super) fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn in_brackets(value: Option<&Value>) -> String {
    value.map(|value| format!(" ({})", quoted(value.clone()))).unwrap_or_default()
}

/// A value as it is, or, where it is long, the beginning of its text.
fn quoted(value: Value) -> Value {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => Value::String(format!("{}…", text.get(..end).unwrap_or_default())),
        None => value,
    }
}
