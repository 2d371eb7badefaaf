//! Reading HTTP/1.1 messages off a socket, strictly and never for ever.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use super::headers::{Headers, latin1, parse_head};
use super::wait::DEADLINE;

/// More head than this is nothing that a test asked for.
const MAX_HEAD: usize = 1 << 20;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The connection's end.
    Close,
}

/// Why a message could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The peer closed or reset the connection before the message's end.
    Closed,
    /// Nothing came for the reader's patience.
    TimedOut,
    /// It is no HTTP/1.1.
    Malformed(String),
}

/// A body that was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    /// Its content, without framing.
    pub(crate) bytes: Vec<u8>,
    /// Its trailers.
    pub(crate) trailers: Headers,
}

/// A socket with what was read ahead of need.
pub(crate) struct Reader {
    /// The socket; writing to it directly is fine.
    pub(crate) stream: TcpStream,
    ahead: Vec<u8>,
}

impl Reader {
    /// Reads with the deadline as patience.
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    /// Another patience for what follows.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// What was read and not asked for yet.
    pub(crate) fn take_ahead(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ahead)
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(ReadError::Closed),
            Ok(count) => {
                self.ahead.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) => Err(of_io(&error)),
        }
    }

    fn take_through(&mut self, mark: &[u8]) -> Result<Vec<u8>, ReadError> {
        let mut searched = 0;
        loop {
            let found = self.ahead[searched..].windows(mark.len()).position(|w| w == mark);
            if let Some(at) = found {
                let rest = self.ahead.split_off(searched + at + mark.len());
                return Ok(std::mem::replace(&mut self.ahead, rest));
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(ReadError::Malformed("endless head".to_owned()));
            }
            searched = (self.ahead.len() + 1).saturating_sub(mark.len());
            self.fill()?;
        }
    }

    /// A head through its blank line: the bytes as they came, the start line, the header fields.
    pub(crate) fn head(&mut self) -> Result<(Vec<u8>, String, Headers), ReadError> {
        let raw = self.take_through(b"\r\n\r\n")?;
        let (start, headers) = parse_head(&raw)?;
        Ok((raw, start, headers))
    }

    /// A body to its end, handed on in pieces; returns its trailers.
    pub(crate) fn body(
        &mut self,
        framing: Framing,
        on_data: &mut dyn FnMut(&[u8]),
    ) -> Result<Headers, ReadError> {
        match framing {
            Framing::Empty => Ok(Headers::default()),
            Framing::Length(length) => self.exactly(length, on_data).map(|()| Headers::default()),
            Framing::Close => self.until_end(on_data).map(|()| Headers::default()),
            Framing::Chunked => self.chunks(on_data),
        }
    }

    fn exactly(&mut self, mut left: u64, on_data: &mut dyn FnMut(&[u8])) -> Result<(), ReadError> {
        while left > 0 {
            if self.ahead.is_empty() {
                self.fill()?;
            }
            let here = usize::try_from(left).map_or(self.ahead.len(), |n| n.min(self.ahead.len()));
            on_data(&self.ahead[..here]);
            self.ahead.drain(..here);
            left -= here as u64;
        }
        Ok(())
    }

    fn until_end(&mut self, on_data: &mut dyn FnMut(&[u8])) -> Result<(), ReadError> {
        loop {
            on_data(&self.take_ahead());
            match self.stream.peek(&mut [0]) {
                Ok(0) => return Ok(()),
                Ok(_) => self.fill()?,
                Err(error) => return Err(of_io(&error)),
            }
        }
    }

    fn chunks(&mut self, on_data: &mut dyn FnMut(&[u8])) -> Result<Headers, ReadError> {
        loop {
            let line = self.line()?;
            let size = line.split(|&b| b == b';').next().map(latin1).unwrap_or_default();
            let malformed = || ReadError::Malformed(format!("chunk size {size:?}"));
            if size.is_empty() || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(malformed());
            }
            let size = u64::from_str_radix(&size, 16).map_err(|_| malformed())?;
            if size == 0 {
                return self.trailers();
            }
            self.exactly(size, on_data)?;
            if !self.line()?.is_empty() {
                return Err(ReadError::Malformed("no CRLF after a chunk".to_owned()));
            }
        }
    }

    fn trailers(&mut self) -> Result<Headers, ReadError> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Headers::parse(lines.iter().map(Vec::as_slice));
            }
            lines.push(line);
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut line = self.take_through(b"\r\n")?;
        line.truncate(line.len() - 2);
        Ok(line)
    }

    /// Waits for the peer to close; `false` when it says something more or stays.
    pub(crate) fn at_end(&mut self) -> bool {
        self.ahead.is_empty() && self.fill() == Err(ReadError::Closed)
    }

    /// Whether the peer has closed already, without waiting and without taking anything.
    pub(crate) fn peer_has_closed(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let closed = match self.stream.peek(&mut [0]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.stream.set_nonblocking(false).unwrap();
        closed
    }
}

fn of_io(error: &io::Error) -> ReadError {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ReadError::TimedOut,
        _ => ReadError::Closed,
    }
}
