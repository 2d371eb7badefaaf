//! HTTP/1.1 on a blocking socket, as much of it as the measurements need: one message at a time, each with its length.
//!
//! Threads that block measure more finely than timers of a runtime, which round to milliseconds.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memmem;

/// The largest message, in bytes: a flag with all its fields fits several times.
const MAX_MESSAGE: usize = 16 * 1024;
/// How long an answer may take until the call counts as failed: longer than any wait that is configured.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Between the header block and the body.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the other side closed the connection")]
    Closed,
    #[error("what came is no message of HTTP with a Content-Length of at most {MAX_MESSAGE} bytes")]
    Unreadable,
    #[error("a call was answered with {status}: {body}")]
    Refused { status: u16, body: String },
}

/// A connection that carries one call at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, HttpError> {
        Self::over(TcpStream::connect(address)?, Some(ANSWER_LIMIT))
    }

    /// Takes a connected socket over; `limit` is the longest silence.
    pub(crate) fn over(stream: TcpStream, limit: Option<Duration>) -> Result<Self, HttpError> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(limit)?;
        Ok(Self { stream, buffer: vec![0; MAX_MESSAGE].into_boxed_slice() })
    }

    /// Sends a request and waits for its answer, whatever its status.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<Message<'_>, HttpError> {
        self.send(request)?;
        self.receive()?.ok_or(HttpError::Closed)
    }

    /// Sends a request and waits for its answer, which has to be 200.
    pub(crate) fn call_ok(&mut self, request: &[u8]) -> Result<Message<'_>, HttpError> {
        let answer = self.call(request)?;
        match answer.status() {
            Some(200) => Ok(answer),
            status => Err(HttpError::Refused {
                status: status.unwrap_or(0),
                body: String::from_utf8_lossy(answer.body).into_owned(),
            }),
        }
    }

    /// Sends a whole message.
    pub(crate) fn send(&mut self, message: &[u8]) -> Result<(), HttpError> {
        Ok(self.stream.write_all(message)?)
    }

    /// Waits for a whole message, or for the other side to close between two.
    pub(crate) fn receive(&mut self) -> Result<Option<Message<'_>>, HttpError> {
        let mut received = 0;
        let mut layout = None;
        loop {
            match self.stream.read(&mut self.buffer[received..])? {
                0 if received == 0 => return Ok(None),
                0 => return Err(HttpError::Closed),
                more => received += more,
            }
            if layout.is_none() {
                layout = header_and_length(&self.buffer[..received])?;
            }
            match layout {
                Some((_, length)) if length > MAX_MESSAGE => return Err(HttpError::Unreadable),
                Some((header, length)) if received == length => {
                    let (header, body) = self.buffer[..length].split_at(header);
                    let header = str::from_utf8(header).map_err(|_| HttpError::Unreadable)?;
                    return Ok(Some(Message { header, body }));
                }
                Some((_, length)) if received < length => {}
                None if received < MAX_MESSAGE => {}
                _ => return Err(HttpError::Unreadable),
            }
        }
    }
}

/// A request or an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    header: &'a str,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The status of an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.header.split(' ').nth(1)?.parse().ok()
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&'a str> {
        field(self.header, name)
    }
}

fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let fields = header.split("\r\n").filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The lengths of the header block and of the whole message that starts here, once the block is there.
fn header_and_length(received: &[u8]) -> Result<Option<(usize, usize)>, HttpError> {
    let Some(end) = memmem::find(received, BLANK_LINE) else {
        return Ok(None);
    };
    let header = str::from_utf8(&received[..end]).map_err(|_| HttpError::Unreadable)?;
    let body = field(header, "content-length").and_then(|length| length.parse::<usize>().ok());
    let header = end + BLANK_LINE.len();
    match body {
        Some(body) => Ok(Some((header, header.saturating_add(body)))),
        // A call without a body needs no length.
        None if received.starts_with(b"GET ") => Ok(Some((header, header))),
        None => Err(HttpError::Unreadable),
    }
}
