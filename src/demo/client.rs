//! A plain HTTP/1.1 client: one connection, one call at a time, no retries and no hidden waiting.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use crate::net;

/// For opening a connection on loopback.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// A connection to one server, opened when it is needed and again when it was closed.
#[derive(Debug)]
pub struct Lane {
    server: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer. Whether the call took effect is not known, except when connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection.
    #[error("can't connect to {server}: {source}")]
    Connect {
        /// To whom.
        server: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("the connection to {server} broke: {source}")]
    Broken {
        /// To whom.
        server: SocketAddr,
        /// What the client says.
        source: hyper::Error,
    },
    /// The body broke off or was over a mebibyte.
    #[error("the answer of {server} can't be read whole")]
    Body {
        /// From whom.
        server: SocketAddr,
    },
    /// No whole answer in time.
    #[error("{server} did not answer within {within:?}")]
    Timeout {
        /// Who.
        server: SocketAddr,
        /// How long was waited.
        within: Duration,
    },
}

impl Lane {
    /// A lane to a server; nothing is opened yet.
    pub fn to(server: SocketAddr) -> Self {
        Self { server, connection: None }
    }

    /// Opens the connection unless it is open, so that the next call doesn't have to.
    pub async fn connect(&mut self) -> Result<(), ClientError> {
        let server = self.server;
        if let Some(connection) = &mut self.connection {
            if connection.ready().await.is_ok() {
                return Ok(());
            }
            self.connection = None;
        }
        let refused = |source| ClientError::Connect { server, source };
        let stream = tokio::time::timeout(
            CONNECT_TIMEOUT,
            net::dial(&server.ip().to_string(), server.port()),
        )
        .await
        .map_err(|_| refused(io::ErrorKind::TimedOut.into()))?
        .map_err(refused)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| ClientError::Broken { server, source })?;
        // Its end shows in the sender, which is where it matters.
        tokio::spawn(async move { connection.await.unwrap_or_default() });
        self.connection = Some(sender);
        Ok(())
    }

    /// Makes one call and reads the whole answer, all within a time. After an error the connection is given up, so
    /// that no late answer is taken for the next one.
    pub async fn call(
        &mut self,
        request: Request<Full<Bytes>>,
        within: Duration,
    ) -> Result<Answer, ClientError> {
        let server = self.server;
        let answer = tokio::time::timeout(within, self.exchange(request))
            .await
            .unwrap_or(Err(ClientError::Timeout { server, within }));
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let server = self.server;
        self.connect().await?;
        let Some(connection) = &mut self.connection else {
            return Err(ClientError::Connect {
                server,
                source: io::ErrorKind::NotConnected.into(),
            });
        };
        let response = connection
            .send_request(request)
            .await
            .map_err(|source| ClientError::Broken { server, source })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|_| ClientError::Body { server })?
            .to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// A request with a JSON body, as the demo sends them. Fails where the path is no path.
pub fn json_request(
    method: &str,
    server: SocketAddr,
    path: &str,
    json: String,
) -> Result<Request<Full<Bytes>>, http::Error> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, server.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(json)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::journey::{DocumentStore, JourneyOptions, JourneyService};
    use tokio::io::AsyncReadExt;

    fn get(server: SocketAddr) -> Request<Full<Bytes>> {
        json_request("GET", server, "/api/journeys/J1", String::new()).unwrap()
    }

    #[tokio::test]
    async fn a_lane_opens_again_after_its_server_came_back() {
        let options = JourneyOptions::on_loopback(DocumentStore::in_process());
        let service = JourneyService::start(options.clone()).unwrap();
        let server = service.addr();
        let mut lane = Lane::to(server);
        assert_eq!(lane.call(get(server), CONNECT_TIMEOUT).await.unwrap().status, 404);

        service.stop();
        assert!(lane.call(get(server), CONNECT_TIMEOUT).await.is_err());
        let _again = JourneyService::start(JourneyOptions { listen: server, ..options }).unwrap();

        assert_eq!(lane.call(get(server), CONNECT_TIMEOUT).await.unwrap().status, 404);
    }

    #[tokio::test]
    async fn silence_is_a_timeout() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = silent.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = silent.accept().await.unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.unwrap();
        });

        let within = Duration::from_millis(30);
        let answer = Lane::to(server).call(get(server), within).await;

        assert!(matches!(answer, Err(ClientError::Timeout { .. })), "{answer:?}");
    }
}
