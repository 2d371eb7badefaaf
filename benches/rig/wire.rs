//! The one exchange that the load and the upstream make: HTTP/1.1 with fixed messages, read with as little work as it
//! takes to be sure that each message is whole and alone.

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest message, in bytes: three times what is sent, so that a proxy may add headers.
const MAX_MESSAGE: usize = 2048;

/// What a message must not be. Each of them ends the run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    #[error("the other side closed inside a message, after {received} bytes of it")]
    Truncated { received: usize },
    #[error("a message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    #[error("a message has no valid Content-Length")]
    NoContentLength,
    #[error("{surplus} bytes came after the end of a message")]
    Surplus { surplus: usize },
}

/// A connection that carries one message at a time in each direction.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

impl Connection {
    /// Takes a connected socket over.
    pub(crate) fn new(stream: TcpStream) -> Result<Self, WireError> {
        stream.set_nodelay(true)?;
        let buffer = vec![0; MAX_MESSAGE].into_boxed_slice();
        Ok(Self { stream, buffer })
    }

    /// Sends a whole message.
    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<(), WireError> {
        Ok(self.stream.write_all(message).await?)
    }

    /// Receives a whole message, or nothing when the other side closed between two.
    pub(crate) async fn receive(&mut self) -> Result<Option<&[u8]>, WireError> {
        let mut received = 0;
        let mut length = None;
        loop {
            if received == MAX_MESSAGE {
                return Err(WireError::TooLong);
            }
            match self.stream.read(&mut self.buffer[received..]).await? {
                0 if received == 0 => return Ok(None),
                0 => return Err(WireError::Truncated { received }),
                more => received += more,
            }
            if length.is_none() {
                length = message_length(&self.buffer[..received])?;
            }
            match length {
                Some(length) if received == length => return Ok(Some(&self.buffer[..length])),
                Some(length) if received > length => {
                    return Err(WireError::Surplus { surplus: received - length });
                }
                _ => {}
            }
        }
    }
}

/// The length of the message that starts here, once its header is whole.
fn message_length(received: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(end) = memmem::find(received, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..end]).map_err(|_| WireError::NoContentLength)?;
    let body: usize = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or(WireError::NoContentLength)?;
    Ok(Some(end + 4 + body))
}
