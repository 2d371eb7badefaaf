//! What can go wrong with a call, whose fault it is, and the one table that turns it into an answer.
//!
//! Every answer of our own is `application/problem+json` (RFC 9457) and says whether sending the call again is safe:
//! `"retry": "safe"` when nothing was sent to the app, `"unknown"` when it may have acted. 503 always means "not applied".

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use super::body::ResponseBody;
use super::keyed::KeyedError;
use crate::idempotency::key;
use crate::lease::LeaseError;
use crate::telemetry::labels::{ClientError, EditRefusal, LabelValue, UpstreamError};

/// Says on an answer that the call was sent and nobody knows whether it took effect.
pub(crate) const OUTCOME: HeaderName = HeaderName::from_static("interlock-outcome");

/// The methods that are passed on, as far as they have names of their own.
const ALLOWED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Why a call was not served as it came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// The client's fault: nothing was sent.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The client's fault, when part of its message had been sent already.
    #[error("{0}")]
    BrokenOff(Refusal),
    /// No connection to the upstream within its time: nothing was sent.
    #[error("the upstream can't be reached: {0}")]
    Unreachable(#[from] ConnectError),
    /// It was sent, at least in part, and not answered.
    #[error("the upstream didn't answer: {0}")]
    Unanswered(#[from] Unanswered),
    /// The entity's lease was not to be had: nothing was sent.
    #[error("{0}")]
    Busy(#[from] LeaseError),
    /// The declared edit can't be made safely, and the flag says to refuse then: nothing was written.
    #[error(
        "the edit that the route declares can't be made safely: {}; nothing was written", .0.word()
    )]
    EditRefused(EditRefusal),
    /// The edit was sent to the store, and whether it was made could not be found out.
    #[error("the store did not tell within {within:?} whether the edit was made")]
    EditUnknown { within: Duration },
    /// An earlier call had its key: nothing was sent.
    #[error("{0}")]
    Keyed(#[from] KeyedError),
}

/// Why a client's message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the request has both Content-Length and Transfer-Encoding")]
    LengthConflict,
    #[error("the only transfer coding understood is chunked, once")]
    TransferCoding,
    #[error("the request has no Host, or more than one")]
    HostCount,
    #[error("the Host is not a valid host and port")]
    HostSyntax,
    #[error("the request target is not one that a gateway serves")]
    Target,
    #[error("this method is not served by a gateway")]
    Method,
    #[error("the only expectation understood is 100-continue")]
    Expectation,
    #[error("the body is larger than the {limit} bytes that can be held (proxy.max_body)")]
    BodyTooLarge { limit: usize },
    #[error("too many bodies are held at present")]
    BodyMemory,
    #[error("the body stopped arriving")]
    BodyTimeout,
    #[error("the body broke off or is malformed")]
    BodyBroken,
    #[error("the request has more than one Idempotency-Key")]
    SeveralKeys,
    #[error(
        "an Idempotency-Key is 1 to {} visible ASCII characters, bare or in double quotes",
        key::LONGEST
    )]
    KeySyntax,
}

/// Why there is no connection to an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{attempts} attempts within {within:?}, the last one: {last}")]
    Failed { attempts: u32, within: Duration, last: io::Error },
    #[error("no answer to the connect within {within:?}")]
    Silent { within: Duration },
}

/// Why a call that was sent has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("no header of an answer within {within:?}")]
    Timeout { within: Duration },
    #[error("it closed the connection")]
    Closed { source: Option<hyper::Error> },
    #[error("its answer is not HTTP/1.1")]
    Protocol { source: Option<hyper::Error> },
}

impl ProxyError {
    /// What the client sees. A method that only reads (RFC 9110 section 9.2.1) is always safe to repeat.
    pub(crate) fn into_response(self, method: &Method) -> Response<ResponseBody> {
        let detail = self.to_string();
        let (status, closes) = self.status();
        let sent = matches!(
            self,
            Self::Unanswered(_)
                | Self::BrokenOff(_)
                | Self::EditUnknown { .. }
                | Self::Keyed(KeyedError::Unknown)
        );
        let unknown = sent && !method.is_safe();
        let retry = if unknown { "unknown" } else { "safe" };
        let mut response = problem(status, &detail, retry);
        let headers = response.headers_mut();
        if unknown {
            headers.insert(OUTCOME, HeaderValue::from_static("unknown"));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, ALLOWED);
        }
        if closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The status, and whether the client's connection can't be used any more.
    fn status(&self) -> (StatusCode, bool) {
        match self {
            Self::Refused(refusal) | Self::BrokenOff(refusal) => (refusal.status(), true),
            Self::Unreachable(_) | Self::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, false),
            Self::EditRefused(_) => (StatusCode::UNPROCESSABLE_ENTITY, false),
            Self::Unanswered(Unanswered::Timeout { .. }) | Self::EditUnknown { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, false)
            }
            Self::Unanswered(_) => (StatusCode::BAD_GATEWAY, false),
            Self::Keyed(error) => (error.status(), false),
        }
    }
}

impl KeyedError {
    fn status(self) -> StatusCode {
        match self {
            Self::Running => StatusCode::CONFLICT,
            Self::OtherPayload => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unknown => StatusCode::GATEWAY_TIMEOUT,
            Self::StoreLost => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::LengthConflict
            | Self::HostCount
            | Self::HostSyntax
            | Self::Target
            | Self::BodyBroken
            | Self::SeveralKeys
            | Self::KeySyntax => StatusCode::BAD_REQUEST,
        }
    }

    /// The label it is counted under.
    pub(crate) fn label(self) -> ClientError {
        match self {
            Self::LengthConflict => ClientError::LengthConflict,
            Self::TransferCoding => ClientError::UnsupportedTransferCoding,
            Self::HostCount | Self::HostSyntax => ClientError::BadHost,
            Self::Target | Self::BodyBroken => ClientError::Malformed,
            Self::Method => ClientError::MethodRefused,
            Self::Expectation => ClientError::Expectation,
            Self::BodyTooLarge { .. } => ClientError::BodyTooLarge,
            Self::BodyMemory => ClientError::HeldBodies,
            Self::BodyTimeout => ClientError::BodyTimeout,
            Self::SeveralKeys | Self::KeySyntax => ClientError::IdempotencyKey,
        }
    }
}

impl Unanswered {
    /// The label it is counted under.
    pub(crate) fn label(&self) -> UpstreamError {
        match self {
            Self::Timeout { .. } => UpstreamError::Timeout,
            Self::Closed { .. } => UpstreamError::Reset,
            Self::Protocol { .. } => UpstreamError::Protocol,
        }
    }
}

fn problem_json(status: StatusCode, detail: &str, retry: &str) -> String {
    serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
        "retry": retry,
    })
    .to_string()
}

fn problem(status: StatusCode, detail: &str, retry: &str) -> Response<ResponseBody> {
    let mut response =
        Response::new(ResponseBody::full(Bytes::from(problem_json(status, detail, retry))));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The answer to `OPTIONS` that may not travel further (RFC 9110 section 7.6.2).
pub(crate) fn options_here() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, ALLOWED);
    response
}

fn raw(status: StatusCode, detail: &str) -> Vec<u8> {
    let body = problem_json(status, detail, "safe");
    let retry_after =
        if status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n{retry_after}connection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}

/// For a client whose header block doesn't end.
pub(crate) static RAW_HEADER_TIMEOUT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    raw(StatusCode::REQUEST_TIMEOUT, "the header block took longer than proxy.header_timeout")
});

/// For a client past `proxy.max_connections`.
pub(crate) static RAW_TOO_MANY_CONNECTIONS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    raw(StatusCode::SERVICE_UNAVAILABLE, "proxy.max_connections connections are open already")
});

/// For a client whose header block is no HTTP/1.1.
pub(crate) static RAW_MALFORMED: LazyLock<Vec<u8>> =
    LazyLock::new(|| raw(StatusCode::BAD_REQUEST, "the request is not valid HTTP/1.1"));

static RAW_HEADERS_TOO_LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "the header block is larger than proxy.max_headers, or has more than 100 fields";
    raw(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
});

static RAW_TARGET_TOO_LONG: LazyLock<Vec<u8>> = LazyLock::new(|| {
    raw(StatusCode::URI_TOO_LONG, "the request line alone is longer than proxy.max_headers allows")
});

/// Whether an answer changes the protocol of its connection.
pub(crate) fn switches(status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS
}

/// Whether an answer has no body whatever its head says (RFC 9112 section 6.3).
pub(crate) fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether an app's answer says that something behind it did not answer: then a write of that may still land.
pub(crate) fn leaves_outcome_open(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
}

/// Whether an interim answer asks for the body.
pub(crate) fn asks_for_body(status: StatusCode) -> bool {
    status == StatusCode::CONTINUE
}

/// What to count and to say in place of the bare answers that hyper gives by itself to a header block that it can't read;
/// `None` for any other bytes.
pub(crate) fn instead_of_hypers(
    bytes: &[u8],
    long_request_line: bool,
) -> Option<(ClientError, &'static [u8])> {
    let code = bytes.strip_prefix(b"HTTP/1.1 4").or_else(|| bytes.strip_prefix(b"HTTP/1.0 4"))?;
    let code = code.get(..2)?;
    let bare = |line: &[u8]| {
        line.is_empty()
            || line == b"connection: close"
            || line == b"content-length: 0"
            || line.starts_with(b"date: ")
    };
    let mut lines =
        bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if !lines.by_ref().skip(1).all(bare) {
        return None;
    }
    match code {
        b"00" => Some((ClientError::Malformed, &RAW_MALFORMED)),
        b"31" if !long_request_line => Some((ClientError::HeadersTooLarge, &RAW_HEADERS_TOO_LARGE)),
        b"31" | b"14" => Some((ClientError::UriTooLong, &RAW_TARGET_TOO_LONG)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'r>(response: &'r Response<ResponseBody>, name: &str) -> Option<&'r str> {
        response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    #[test]
    fn an_update_without_an_answer_is_unknown_and_a_read_is_safe_to_repeat() {
        let timeout = || ProxyError::from(Unanswered::Timeout { within: Duration::from_secs(5) });

        let update = timeout().into_response(&Method::PUT);
        let read = timeout().into_response(&Method::GET);

        assert_eq!(update.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(header(&update, "interlock-outcome"), Some("unknown"));
        assert_eq!(header(&read, "interlock-outcome"), None);
    }

    #[test]
    fn what_was_not_sent_is_503_and_says_when_to_come_back() {
        let busy =
            ProxyError::from(LeaseError::QueueFull { waiters: 7 }).into_response(&Method::PUT);

        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(header(&busy, "retry-after"), Some("1"));
        assert_eq!(header(&busy, "content-type"), Some("application/problem+json"));
        assert_eq!(header(&busy, "interlock-outcome"), None);
    }

    #[test]
    fn only_hypers_own_bare_answers_are_replaced() {
        let replaced = |bytes: &[u8]| instead_of_hypers(bytes, false).is_some();

        assert!(replaced(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n"));
        assert!(replaced(b"HTTP/1.1 431 x\r\ncontent-length: 0\r\n\r\n"));
        assert!(!replaced(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx: y\r\n\r\n"));
        assert!(!replaced(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
        assert!(!replaced(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!replaced(b""));
    }

    #[test]
    fn raw_answers_are_whole_messages() {
        for raw in [&RAW_HEADER_TIMEOUT, &RAW_TOO_MANY_CONNECTIONS, &RAW_MALFORMED] {
            let text = String::from_utf8(raw.to_vec()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();

            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        }
    }
}
