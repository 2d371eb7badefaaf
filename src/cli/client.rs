//! One call to the admin plane: a connection of its own, every wait and the answer's size bounded.

mod trust;
mod url;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::net::{self, TcpStream};

pub(super) use trust::{Trust, TrustArgs, TrustError};
pub(super) use url::AdminUrl;
#[cfg(test)]
use url::AdminUrlError;

/// For a connection: the admin plane is near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// For a whole call, beyond the connection: longer than the admin plane itself waits for its disk.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes: a full history of one flag fits.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What most calls are answered with.
const JSON: &str = "application/json";

/// What the kind of every problem of an admin plane begins with; the proxy's own problems have another.
const PROBLEM: &str = "urn:interlock:problem:";

/// Speaks to one admin plane.
#[derive(Clone, Debug)]
pub(super) struct Client {
    url: AdminUrl,
    authorization: Option<HeaderValue>,
    /// Of `https://`.
    trust: Option<Trust>,
}

/// What to ask for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// The method.
    pub(super) method: Method,
    /// Path and query, percent-encoded.
    pub(super) target: String,
    /// The version that a flag must still have.
    pub(super) if_version: Option<u64>,
    /// The JSON to send.
    pub(super) body: Option<Value>,
}

/// An answer, read whole.
struct Answer {
    status: StatusCode,
    /// Empty where it says none.
    content_type: String,
    body: Bytes,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody listens there, or the name leads nowhere.
    #[error(
        "no admin plane at {url} ({source}): is `interlock run` up, and is --admin (or INTERLOCK_ADMIN) its admin.listen?"
    )]
    Unreachable {
        /// Where.
        url: AdminUrl,
        /// What the system said.
        source: io::Error,
    },
    /// No connection in time.
    #[error(
        "{url} does not take a connection within {CONNECT_TIMEOUT:?}: is --admin (or INTERLOCK_ADMIN) right?"
    )]
    ConnectTimeout {
        /// Where.
        url: AdminUrl,
    },
    /// No whole answer in time. A change may have been made.
    #[error(
        "{url} does not answer within {CALL_TIMEOUT:?}: a change may or may not have been made"
    )]
    CallTimeout {
        /// Where.
        url: AdminUrl,
    },
    /// No whole answer of a probe in time.
    #[error("{url} does not answer within {within:?}")]
    ProbeTimeout {
        /// Where.
        url: AdminUrl,
        /// How long was waited.
        within: Duration,
    },
    /// What came back is no HTTP, or broke off. A change may have been made.
    #[error(
        "{url} gave no proper HTTP answer: is --admin the admin plane, not the proxy, and does it speak http:// or https://?"
    )]
    Transport {
        /// Where.
        url: AdminUrl,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No secure connection: one side does not trust the other, or the name is another, or it speaks no TLS.
    #[error(
        "no secure connection to {url}: {source}; does it speak https://? --ca-file says whom to trust, --client-cert and \
         --client-key what to show"
    )]
    Tls {
        /// Where.
        url: AdminUrl,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The request can't be written as HTTP.
    #[error("the call can't be written as HTTP")]
    BadCall(#[from] http::Error),
    /// The answer is over the bound.
    #[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
    AnswerTooLarge,
    /// The answer is none that an admin plane gives.
    #[error(
        "{url} is no admin plane (it answered {status}): check --admin (or INTERLOCK_ADMIN), is it the proxy?"
    )]
    NoAdminPlane {
        /// Where.
        url: AdminUrl,
        /// The status of the answer.
        status: u16,
    },
    /// The admin plane refused.
    #[error("{title} ({status}): {detail}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The kind of problem, such as `unknown-flag`.
        kind: String,
        /// What is wrong, in short.
        title: String,
        /// What is wrong with this call, and what would help.
        detail: String,
    },
}

impl Client {
    /// A client that shows this bearer token, if any. `None` where the token can't stand in a header.
    pub(super) fn new(url: AdminUrl, token: Option<&str>) -> Option<Self> {
        let bearer = |token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let authorization = match token {
            None => None,
            Some(token) => Some(bearer(token)?),
        };
        Some(Self { url, authorization, trust: None })
    }

    /// One that trusts whom these say, where it speaks TLS.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(super) fn secured_by(self, trust: &TrustArgs) -> Result<Self, TrustError> {
        match self.url.is_tls() {
            true => Ok(Self { trust: Some(trust.read()?), ..self }),
            false => Ok(self),
        }
    }

    /// Makes a call and returns the JSON of the answer.
    ///
    /// # Errors
    /// See [`ClientError`]: no connection, no answer, or a refusal.
    pub(super) async fn call(&self, call: Call) -> Result<Value, ClientError> {
        let answer = self.fetch(call, JSON).await?;
        match serde_json::from_slice(&answer.body).ok() {
            Some(json) if answer.status.is_success() => Ok(json),
            json => Err(self.refused(&answer, json)),
        }
    }

    /// Makes a call and returns the answer as text of this media type.
    ///
    /// # Errors
    /// See [`ClientError`]: no connection, no answer, a refusal, or an answer of another type.
    pub(super) async fn text(
        &self,
        call: Call,
        media_type: &'static str,
    ) -> Result<String, ClientError> {
        let answer = self.fetch(call, media_type).await?;
        let is_it = answer.content_type.split(';').next().is_some_and(|it| it.trim() == media_type);
        match String::from_utf8(answer.body.to_vec()) {
            Ok(text) if answer.status.is_success() && is_it => Ok(text),
            _ => Err(self.refused(&answer, serde_json::from_slice(&answer.body).ok())),
        }
    }

    /// Asks a probe, and returns whether its answer is yes and the whole of it. `word` is what it says yes or no to; an
    /// answer that has none, or another status than goes with it, is not a probe's.
    ///
    /// # Errors
    /// See [`ClientError`]: no connection, no answer, or one that no admin plane gives.
    pub(super) async fn probe(&self, path: &str, word: &str) -> Result<(bool, Value), ClientError> {
        let call =
            Call { method: Method::GET, target: path.to_owned(), if_version: None, body: None };
        let answer = self.fetch(call, JSON).await?;
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let said = json.as_ref().and_then(|json| json.get(word)?.as_bool());
        match (answer.status, said, json) {
            (StatusCode::OK, Some(true), Some(json)) => Ok((true, json)),
            (StatusCode::SERVICE_UNAVAILABLE, Some(false), Some(json)) => Ok((false, json)),
            (_, _, json) => Err(self.refused(&answer, json)),
        }
    }

    async fn fetch(&self, call: Call, accept: &'static str) -> Result<Answer, ClientError> {
        let request = self.request(call, accept)?;
        let stream = self.connect().await?;
        let exchanged = Box::pin(async {
            let Some(trust) = &self.trust else {
                return self.exchange(stream, request).await;
            };
            let secured = trust.secure(self.url.host(), stream).await;
            let failed =
                |error: io::Error| ClientError::Tls { url: self.url.clone(), source: error.into() };
            self.exchange(secured.map_err(failed)?, request).await
        });
        let url = self.url.clone();
        timeout(CALL_TIMEOUT, exchanged).await.map_err(|_| ClientError::CallTimeout { url })?
    }

    fn request(
        &self,
        call: Call,
        accept: &'static str,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.target)
            .header(header::HOST, self.url.authority())
            .header(header::ACCEPT, accept)
            .header(header::CONNECTION, "close");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(version) = call.if_version {
            request = request.header(header::IF_MATCH, format!("\"{version}\""));
        }
        let body = match call.body {
            None => Full::default(),
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, JSON);
                Full::from(json.to_string())
            }
        };
        Ok(request.body(body)?)
    }

    async fn connect(&self) -> Result<TcpStream, ClientError> {
        let url = || self.url.clone();
        timeout(CONNECT_TIMEOUT, net::dial(self.url.host(), self.url.port()))
            .await
            .map_err(|_| ClientError::ConnectTimeout { url: url() })?
            .map_err(|source| ClientError::Unreachable { url: url(), source })
    }

    async fn exchange<S>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| {
            let url = self.url.clone();
            match trust::cause(source.as_ref()).cloned() {
                Some(refused) => ClientError::Tls { url, source: refused.into() },
                None => ClientError::Transport { url, source },
            }
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(e.into()))?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(|e| broken(e.into()))?;
            self.read(response).await
        };
        let mut answered = std::pin::pin!(answered);
        // The connection only moves bytes; what becomes of it shows in the answer.
        tokio::select! {
            answer = answered.as_mut() => answer,
            _moved = connection => answered.await,
        }
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, ClientError> {
        let status = response.status();
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = content_type.to_owned();
        let url = || self.url.clone();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|source| match source.is::<LengthLimitError>() {
            true => ClientError::AnswerTooLarge,
            false => ClientError::Transport { url: url(), source },
        })?;
        Ok(Answer { status, content_type, body: body.to_bytes() })
    }

    /// What an answer says that is not the one that was asked for.
    fn refused(&self, answer: &Answer, json: Option<Value>) -> ClientError {
        let status = answer.status.as_u16();
        let refusal = json.filter(|_| !answer.status.is_success());
        let refusal = refusal.and_then(|json| problem(status, &json));
        refusal.unwrap_or_else(|| ClientError::NoAdminPlane { url: self.url.clone(), status })
    }
}

/// A refusal in the words of the admin plane; `None` where it is somebody else's.
fn problem(status: u16, json: &Value) -> Option<ClientError> {
    let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = text("type")?.strip_prefix(PROBLEM)?.to_owned();
    Some(ClientError::Refused { status, kind, title: text("title")?, detail: text("detail")? })
}

#[cfg(test)]
mod tests;
