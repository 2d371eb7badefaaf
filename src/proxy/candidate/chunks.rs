//! Chunked bodies, as they come.

use memchr::memchr;

use super::CandidateError;

/// The longest line between chunks, in bytes: a size, and extensions that nobody looks at.
const MAX_LINE: usize = 1024;

/// All lines after the last chunk, in bytes.
const MAX_TRAILERS: usize = 64 * 1024;

/// The most digits of a chunk's size: more would not fit a `u64`.
const MAX_DIGITS: usize = 15;

/// Follows a chunked body.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
    /// A line that has not ended yet.
    line: Vec<u8>,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    /// The end of a chunk's line.
    AfterData,
    Trailers,
    Done,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'d> {
    /// A piece of the body.
    Data(&'d [u8]),
    /// All was looked at, and the body goes on.
    More,
    /// The body has ended; so much follows that is none of it.
    End(usize),
}

impl Chunks {
    /// Takes the next piece from the front of `data`.
    pub(super) fn next<'d>(&mut self, data: &mut &'d [u8]) -> Result<Piece<'d>, CandidateError> {
        loop {
            match self.state {
                State::Done => return Ok(Piece::End(data.len())),
                State::Data(0) => self.state = State::AfterData,
                State::Data(left) => {
                    if data.is_empty() {
                        return Ok(Piece::More);
                    }
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
                    let (piece, rest) = data.split_at(here);
                    *data = rest;
                    self.state = State::Data(left - here as u64);
                    return Ok(Piece::Data(piece));
                }
                State::Size | State::AfterData | State::Trailers => {
                    if !self.take_line(data)? {
                        return Ok(Piece::More);
                    }
                    self.state = self.after_line()?;
                    self.line.clear();
                }
            }
        }
    }

    /// Whether the line is whole now, without its end.
    fn take_line(&mut self, data: &mut &[u8]) -> Result<bool, CandidateError> {
        let end = memchr(b'\n', data);
        let (here, rest) = data.split_at(end.map_or(data.len(), |end| end + 1));
        *data = rest;
        if self.line.len() + here.len() > MAX_LINE {
            return Err(CandidateError::Malformed);
        }
        self.line.extend_from_slice(here);
        if end.is_none() {
            return Ok(false);
        }
        match self.line.strip_suffix(b"\r\n").map(<[u8]>::len) {
            Some(length) => self.line.truncate(length),
            None => return Err(CandidateError::Malformed),
        }
        Ok(true)
    }

    fn after_line(&mut self) -> Result<State, CandidateError> {
        match self.state {
            State::AfterData if self.line.is_empty() => Ok(State::Size),
            State::Size => match size(&self.line) {
                Some(0) => Ok(State::Trailers),
                Some(size) => Ok(State::Data(size)),
                None => Err(CandidateError::Malformed),
            },
            State::Trailers if self.line.is_empty() => Ok(State::Done),
            State::Trailers => {
                self.trailers += self.line.len();
                match self.trailers <= MAX_TRAILERS {
                    true => Ok(State::Trailers),
                    false => Err(CandidateError::Malformed),
                }
            }
            _ => Err(CandidateError::Malformed),
        }
    }
}

/// The size that a line begins with; extensions follow it.
fn size(line: &[u8]) -> Option<u64> {
    let digits = memchr(b';', line).map_or(line, |end| line.get(..end).unwrap_or_default());
    let digits = digits.trim_ascii_end();
    let plain = digits.iter().all(u8::is_ascii_hexdigit) && digits.len() <= MAX_DIGITS;
    u64::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| plain)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body in these bytes, given in pieces of that length, and how much follows; `None` where it goes on.
    fn decode(bytes: &[u8], step: usize) -> Result<Option<(Vec<u8>, usize)>, CandidateError> {
        let mut chunks = Chunks::default();
        let mut body = Vec::new();
        for (number, mut data) in bytes.chunks(step).enumerate() {
            loop {
                match chunks.next(&mut data)? {
                    Piece::Data(piece) => body.extend_from_slice(piece),
                    Piece::More => break,
                    Piece::End(left) => {
                        let later = bytes.len() - ((number + 1) * step).min(bytes.len());
                        return Ok(Some((body, left + later)));
                    }
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read_in_whatever_pieces_they_come() {
        let bytes = b"5;a=b\r\nhello\r\n0A \r\n world\r\n..\r\n000\r\nX-Sum: 1\r\nY: 2\r\n\r\nmore";

        for step in 1..bytes.len() {
            let (body, left) = decode(bytes, step).unwrap().unwrap();
            assert_eq!(body, b"hello world\r\n..");
            assert_eq!(left, 4, "in pieces of {step}");
        }
    }

    #[test]
    fn what_is_no_chunked_body_is_refused() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(MAX_LINE));
        let trailers = format!("0\r\n{}\r\n", "X: 1234567890\r\n".repeat(MAX_TRAILERS / 10));
        for bytes in [
            "zz\r\n",
            "\r\n",
            "-1\r\n",
            "+5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello!\r\n",
            "5\r\nhelloX\n",
            " 5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "fffffffffffffffff\r\n",
            &long,
            &trailers,
        ] {
            assert!(decode(bytes.as_bytes(), 7).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_in_chunks_is_read_back(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
            step in 1..500usize,
        ) {
            let mut bytes = Vec::new();
            for piece in &pieces {
                bytes.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");

            prop_assert_eq!(decode(&bytes, step).unwrap(), Some((pieces.concat(), 0)));
        }

        #[test]
        fn no_bytes_make_it_panic_or_find_more_than_there_is(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), b'0'..=b'9'], 1..200),
            step in 1..50usize,
        ) {
            if let Ok(Some((body, left))) = decode(&bytes, step) {
                prop_assert!(body.len() + left <= bytes.len());
            }
        }
    }
}
