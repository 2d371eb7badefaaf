//! What hyper doesn't tell of the bytes that a client sends.
//!
//! hyper takes a request that carries both `Content-Length` and `Transfer-Encoding` as chunked and drops the former
//! before anybody sees it (RFC 9112 section 6.3 allows that). A sidecar must not guess which of the two the next server
//! would have taken, so this follows the messages on the wire just closely enough to see that both were there, and to know
//! whether a header block has begun and not yet ended. hyper still judges everything else.

/// The longest header line that is looked at across two reads; the two names of interest and any honest value of them are
/// far shorter. A longer one of them ends the connection.
const LINE_MAX: usize = 64;

/// Follows the requests on one connection.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    state: State,
    line: Line,
    head: Head,
    /// How many header blocks have begun.
    pub(crate) heads: u32,
    /// Bytes of the present request line, and of the header lines after it.
    request_line: usize,
    header_lines: usize,
    /// A field that frames a body was too long to be followed: nothing after it can be told apart.
    pub(crate) lost: bool,
    /// Some request so far had both framings. Never taken back: the connection is not to be trusted any more.
    pub(crate) conflict: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two messages.
    #[default]
    Between,
    Head,
    Sized(u64),
    ChunkSize(u64),
    /// The rest of a chunk-size line after the digits.
    ChunkExtension(u64),
    ChunkData(u64),
    Trailer,
    /// Nothing that can be followed: hyper refuses it and closes.
    Lost,
}

/// What a header block said about the body.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    /// Past the request line.
    in_fields: bool,
    length: Option<u64>,
    coded: bool,
}

/// The start of a line that a read ended inside.
#[derive(Debug)]
struct Line {
    bytes: [u8; LINE_MAX],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; LINE_MAX], len: 0 }
    }
}

impl Line {
    fn push(&mut self, part: &[u8]) {
        let room = LINE_MAX - self.len;
        let part = part.get(..room).unwrap_or(part);
        if let Some(to) = self.bytes.get_mut(self.len..self.len + part.len()) {
            to.copy_from_slice(part);
            self.len += part.len();
        }
    }
}

impl Tap {
    /// Whether a header block has begun and not yet ended.
    pub(crate) fn inside_head(&self) -> bool {
        self.state == State::Head
    }

    /// Whether the request line is what made the header block long.
    pub(crate) fn long_request_line(&self) -> bool {
        self.request_line > self.header_lines
    }

    /// Whether more of a body is to come.
    pub(crate) fn inside_body(&self) -> bool {
        !matches!(self.state, State::Between | State::Head | State::Lost)
    }

    /// Whether nothing but empty lines has come since the last message.
    pub(crate) fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Takes the next bytes off the wire.
    pub(crate) fn observe(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Between => self.between(bytes),
                State::Head | State::Trailer => self.lines(bytes),
                State::Sized(left) => self.skip(bytes, left, State::Sized, State::Between),
                State::ChunkData(left) => {
                    self.skip(bytes, left, State::ChunkData, State::ChunkSize(0))
                }
                State::ChunkSize(size) => self.chunk_size(bytes, size),
                State::ChunkExtension(size) => self.chunk_extension(bytes, size),
                State::Lost => return,
            };
        }
    }

    fn between<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'));
        let Some(rest) = start.and_then(|at| bytes.get(at..)) else {
            return &[];
        };
        self.state = State::Head;
        self.head = Head::default();
        self.line.len = 0;
        self.heads = self.heads.wrapping_add(1);
        self.request_line = 0;
        self.header_lines = 0;
        rest
    }

    fn lines<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some((line, rest)) = memchr::memchr(b'\n', bytes)
            .and_then(|end| Some((bytes.get(..end)?, bytes.get(end + 1..)?)))
        else {
            self.line.push(bytes);
            self.count(bytes.len());
            return &[];
        };
        self.count(line.len());
        if self.line.len == 0 {
            self.end_of_line(line);
        } else {
            self.line.push(line);
            let held = std::mem::take(&mut self.line);
            self.lost |= held.len == LINE_MAX && frames(&held.bytes);
            self.end_of_line(held.bytes.get(..held.len).unwrap_or_default());
        }
        rest
    }

    fn count(&mut self, bytes: usize) {
        let counter =
            if self.head.in_fields { &mut self.header_lines } else { &mut self.request_line };
        *counter = counter.saturating_add(bytes);
    }

    fn end_of_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            if self.state == State::Head && self.head.in_fields {
                self.head.read(line);
            }
            self.head.in_fields = true;
            return;
        }
        self.state = match (self.state, self.head) {
            (State::Trailer, _) => State::Between,
            (_, Head { coded: true, length, .. }) => {
                self.conflict |= length.is_some();
                State::ChunkSize(0)
            }
            (_, Head { length: None | Some(0), .. }) => State::Between,
            (_, Head { length: Some(length), .. }) => State::Sized(length),
        };
    }

    fn skip<'b>(
        &mut self,
        bytes: &'b [u8],
        left: u64,
        more: fn(u64) -> State,
        done: State,
    ) -> &'b [u8] {
        match usize::try_from(left).ok().and_then(|left| bytes.get(left..)) {
            Some(rest) => {
                self.state = done;
                rest
            }
            None => {
                self.state = more(left.saturating_sub(bytes.len() as u64));
                &[]
            }
        }
    }

    fn chunk_size<'b>(&mut self, bytes: &'b [u8], size: u64) -> &'b [u8] {
        let Some((&byte, rest)) = bytes.split_first() else {
            return &[];
        };
        let digit = char::from(byte).to_digit(16).map(u64::from);
        match digit {
            Some(digit) => {
                let grown = size.checked_mul(16).and_then(|size| size.checked_add(digit));
                self.state = grown.map_or(State::Lost, State::ChunkSize);
                rest
            }
            None => {
                self.state = State::ChunkExtension(size);
                bytes
            }
        }
    }

    fn chunk_extension<'b>(&mut self, bytes: &'b [u8], size: u64) -> &'b [u8] {
        let Some(rest) = memchr::memchr(b'\n', bytes).and_then(|end| bytes.get(end + 1..)) else {
            return &[];
        };
        self.line.len = 0;
        self.state = match size {
            0 => State::Trailer,
            // The data is followed by CR LF.
            _ => State::ChunkData(size.saturating_add(2)),
        };
        rest
    }
}

impl Head {
    fn read(&mut self, line: &[u8]) {
        if let Some(value) = value_of(line, b"content-length:") {
            let digits = value.trim_ascii();
            let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            self.length = Some(length.unwrap_or(0));
        } else if value_of(line, b"transfer-encoding:").is_some() {
            self.coded = true;
        }
    }
}

fn frames(line: &[u8]) -> bool {
    value_of(line, b"content-length:").is_some() || value_of(line, b"transfer-encoding:").is_some()
}

fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tap(bytes: &[u8]) -> Tap {
        let mut tap = Tap::default();
        tap.observe(bytes);
        tap
    }

    #[test]
    fn both_framings_in_one_head_are_a_conflict_in_either_order() {
        let length_first =
            b"PUT / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        let coding_first =
            b"PUT / HTTP/1.1\r\ntransfer-ENCODING:chunked\r\ncontent-length:5\r\n\r\n";

        assert!(tap(length_first).conflict);
        assert!(tap(coding_first).conflict);
    }

    #[test]
    fn one_framing_each_in_two_requests_is_none() {
        let tap = tap(b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
            PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n\
            GET / HTTP/1.1\r\n\r\n");

        assert!(!tap.conflict);
        assert_eq!((tap.heads, tap.state), (3, State::Between));
    }

    #[test]
    fn header_lines_inside_a_body_are_not_headers() {
        let body = b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut message =
            format!("PUT / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        message.extend_from_slice(body);

        let tap = tap(&message);

        assert_eq!((tap.conflict, tap.heads, tap.state), (false, 1, State::Between));
    }

    #[test]
    fn a_head_is_open_from_its_first_byte_to_its_empty_line() {
        let mut tap = Tap::default();

        tap.observe(b"\r\n");
        assert!(!tap.inside_head(), "empty lines before a request are no head");
        tap.observe(b"G");
        assert!(tap.inside_head());
        tap.observe(b"ET / HTTP/1.1\r\n\r");
        assert!(tap.inside_head());
        tap.observe(b"\n");
        assert!(!tap.inside_head());
    }

    #[test]
    fn a_conflict_is_remembered() {
        let mut tap = tap(
            b"PUT / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        );

        tap.observe(b"GET / HTTP/1.1\r\n\r\n");

        assert!(tap.conflict);
    }

    #[derive(Clone, Debug)]
    enum Message {
        Bare,
        Sized(Vec<u8>),
        Chunked(Vec<Vec<u8>>),
        Both,
    }

    impl Message {
        fn bytes(&self) -> Vec<u8> {
            let mut bytes = b"PUT /x HTTP/1.1\r\nHost: a\r\n".to_vec();
            match self {
                Self::Bare => bytes.extend_from_slice(b"\r\n"),
                Self::Sized(body) => {
                    bytes.extend_from_slice(
                        format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(),
                    );
                    bytes.extend_from_slice(body);
                }
                Self::Chunked(chunks) => {
                    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                        bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                        bytes.extend_from_slice(chunk);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\nX: y\r\n\r\n");
                }
                Self::Both => bytes.extend_from_slice(
                    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
                ),
            }
            bytes
        }
    }

    fn message() -> impl Strategy<Value = Message> {
        let body = || proptest::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            3 => Just(Message::Bare),
            3 => body().prop_map(Message::Sized),
            3 => proptest::collection::vec(body(), 0..4).prop_map(Message::Chunked),
            1 => Just(Message::Both),
        ]
    }

    proptest! {
        #[test]
        fn however_the_bytes_arrive_it_sees_the_same(
            messages in proptest::collection::vec(message(), 0..8), cut in 1usize..40
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(Message::bytes).collect();
            let mut tap = Tap::default();
            for piece in bytes.chunks(cut) {
                tap.observe(piece);
            }

            prop_assert_eq!(tap.heads as usize, messages.len());
            prop_assert_eq!(tap.state, State::Between);
            prop_assert_eq!(tap.conflict, messages.iter().any(|m| matches!(m, Message::Both)));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            tap(&bytes);
        }
    }
}
