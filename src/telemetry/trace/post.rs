//! OTLP over HTTP: posts what OpenTelemetry's exporter made, over one kept connection.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};

use crate::net;

/// Where `http://` is served when no port is written.
const HTTP: u16 = 80;

/// The longest answer that is read, in bytes: one to an export says next to nothing.
const MAX_ANSWER: usize = 64 * 1024;

/// Posts to a collector.
#[derive(Default)]
pub(super) struct Poster {
    /// Between two exports; they come one after the other.
    idle: Mutex<Option<SendRequest<Full<Bytes>>>>,
    /// Why the last post failed: the exporter that posts through this keeps it to itself.
    failure: Mutex<Option<String>>,
}

/// Why a post has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("the endpoint has no host")]
    NoHost,
    #[error("can't connect: {0}")]
    Connect(#[source] io::Error),
    #[error("no answer: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("its answer can't be read: {0}")]
    Answer(#[source] HttpError),
}

impl Poster {
    /// Why a post failed, once.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn post(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, PostError> {
        let mut sender = self.sender(request.uri()).await?;
        let authority = request.uri().authority().map(|it| HeaderValue::from_str(it.as_str()));
        let host = authority.and_then(Result::ok).ok_or(PostError::NoHost)?;
        request.headers_mut().insert(HOST, host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
        let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(PostError::Answer)?;
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    async fn sender(&self, to: &Uri) -> Result<SendRequest<Full<Bytes>>, PostError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = dial(to).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // How it ended is told to whoever waits for an answer.
            connection.await.ok();
        });
        Ok(sender)
    }
}

/// Connects to where a URL leads.
pub(super) async fn dial(to: &Uri) -> Result<net::TcpStream, PostError> {
    let host = to.host().ok_or(PostError::NoHost)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    net::dial(host, to.port_u16().unwrap_or(HTTP)).await.map_err(PostError::Connect)
}

#[async_trait]
impl HttpClient for Poster {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.post(request).await.map_err(|error| {
            let text = error.to_string();
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            error.into()
        })
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").finish_non_exhaustive()
    }
}
