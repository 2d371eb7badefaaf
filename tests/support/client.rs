//! A client that sends exact bytes and reads answers strictly.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::headers::Headers;
use super::reader::{Body, Framing, ReadError, Reader};
use super::wait::DEADLINE;

/// A `GET`, ready to send.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n").into_bytes()
}

/// A `PUT` of a body with its length, ready to send.
pub(crate) fn put(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("PUT {path} HTTP/1.1\r\nHost: app.test\r\nContent-Length: {length}\r\n\r\n{body}")
        .into()
}

/// One answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Its status.
    pub(crate) status: u16,
    /// `HTTP/1.1`, say.
    pub(crate) version: String,
    /// Its header fields.
    pub(crate) headers: Headers,
    /// How its body was framed.
    pub(crate) framing: Framing,
    /// Its body and trailers.
    pub(crate) body: Body,
}

impl Response {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.bytes).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text:?}"))
    }

    /// Checks that it is an error of the sidecar's own: a problem document that says whether a retry is safe.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, retry: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let kind = self.headers.get("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "content type {kind:?}");
        assert_eq!(self.json()["retry"], retry, "{}", self.text());
        let outcome = (retry == "unknown").then_some("unknown");
        assert_eq!(self.headers.get("interlock-outcome"), outcome, "{self:?}");
    }
}

/// One connection.
pub(crate) struct Raw(Reader);

impl Raw {
    /// Connects; waits up to the deadline.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("connecting")
    }

    /// Connects, or says why not.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        TcpStream::connect_timeout(&address, DEADLINE).map(|stream| Self(Reader::new(stream)))
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("sending");
    }

    /// Sends bytes as they are; the peer may have closed.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.stream.write_all(bytes)
    }

    /// Sends as much of `bytes` as the peer takes before it stops taking any for `patience`; returns how much.
    pub(crate) fn send_until_stalled(&mut self, bytes: &[u8], patience: Duration) -> usize {
        self.0.stream.set_write_timeout(Some(patience)).unwrap();
        let mut sent = 0;
        while let Ok(count) = self.0.stream.write(&bytes[sent..]) {
            sent += count;
            if sent == bytes.len() {
                break;
            }
        }
        self.0.stream.set_write_timeout(Some(DEADLINE)).unwrap();
        sent
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        // The peer may be gone already, which is as good.
        drop(self.0.stream.shutdown(Shutdown::Write));
    }

    /// Another patience for reading.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.0.set_patience(patience);
    }

    /// The next answer.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().unwrap_or_else(|error| panic!("no complete answer: {error:?}"))
    }

    /// The status of the next head, be it interim.
    #[track_caller]
    pub(crate) fn interim(&mut self) -> u16 {
        let (_, start, _) = self.0.head().expect("an interim answer");
        start.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// The next answer, to a `HEAD`.
    #[track_caller]
    pub(crate) fn response_to_head(&mut self) -> Response {
        let mut response =
            self.response_head(true).unwrap_or_else(|error| panic!("no answer: {error:?}"));
        response.framing = Framing::Empty;
        response
    }

    /// The next answer, or why there was none that is complete.
    pub(crate) fn try_response(&mut self) -> Result<Response, ReadError> {
        let mut response = self.response_head(false)?;
        let mut bytes = Vec::new();
        response.body.trailers =
            self.body(response.framing, &mut |data| bytes.extend_from_slice(data))?;
        response.body.bytes = bytes;
        Ok(response)
    }

    /// The head of the next final answer; its body is to be read with [`Self::body`].
    pub(crate) fn response_head(&mut self, to_head: bool) -> Result<Response, ReadError> {
        loop {
            let (_, start, headers) = self.0.head()?;
            let malformed = || ReadError::Malformed(format!("status line {start:?}"));
            let (version, rest) = start.split_once(' ').ok_or_else(malformed)?;
            let status: u16 = rest.get(..3).and_then(|s| s.parse().ok()).ok_or_else(malformed)?;
            if !matches!(version, "HTTP/1.1" | "HTTP/1.0") || !rest[3..].starts_with(' ') {
                return Err(malformed());
            }
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let framing = match status {
                101 | 204 | 304 => Framing::Empty,
                _ if to_head => Framing::Empty,
                _ => headers.framing()?.unwrap_or(Framing::Close),
            };
            let version = version.to_owned();
            let body = Body::default();
            return Ok(Response { status, version, headers, framing, body });
        }
    }

    /// The rest of an answer whose head was read; returns its trailers.
    pub(crate) fn body(
        &mut self,
        framing: Framing,
        on_data: &mut dyn FnMut(&[u8]),
    ) -> Result<Headers, ReadError> {
        self.0.body(framing, on_data)
    }

    /// Exactly `count` bytes, as after an upgrade.
    #[track_caller]
    pub(crate) fn bytes(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.body(Framing::Length(count), &mut |data| bytes.extend_from_slice(data));
        read.unwrap_or_else(|error| panic!("{error:?} after {} of {count} bytes", bytes.len()));
        bytes
    }

    /// Waits for the peer to close the connection without another byte.
    pub(crate) fn closed(&mut self) -> bool {
        self.0.at_end()
    }

    /// One call: sends it and reads the answer.
    #[track_caller]
    pub(crate) fn call(&mut self, request: &[u8]) -> Response {
        self.send(request);
        self.response()
    }
}

/// Calls one address, on one connection for as long as that lasts. Nothing is sent twice.
pub(crate) struct Kept {
    /// Where it calls.
    pub(crate) address: SocketAddr,
    connection: Option<Raw>,
}

impl Kept {
    /// One that connects with its first call.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Sends a call and waits for its answer, whatever becomes of it.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<Response, ReadError> {
        let kept = self.connection.take();
        let connected = kept.map_or_else(|| Raw::try_connect(self.address), Ok);
        let mut connection = connected.map_err(|_| ReadError::Closed)?;
        connection.try_send(request).map_err(|_| ReadError::Closed)?;
        let response = connection.try_response()?;
        let last = response.headers.list("connection").iter().any(|word| word == "close");
        self.connection = (!last).then_some(connection);
        Ok(response)
    }
}
