//! The head of a message, parsed strictly: what is not exactly RFC 9112 is an error.

use super::reader::{Framing, ReadError};

/// Header fields in the order in which they came. Bytes above 0x7F stand as the Latin-1 characters they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// The values of a field, in their order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a field that stands there once, if at all.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} stands there more than once: {values:?}");
        values.first().copied()
    }

    /// The elements of a list field, over all its lines.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let lines = self.all(name);
        let elements = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
        elements.filter(|e| !e.is_empty()).map(str::to_owned).collect()
    }

    /// Whether a field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// How the body that follows is framed, when there can be one; `None` where neither field says anything.
    pub(crate) fn framing(&self) -> Result<Option<Framing>, ReadError> {
        let malformed = |what: &str| Err(ReadError::Malformed(what.to_owned()));
        match (self.all("transfer-encoding").as_slice(), self.all("content-length").as_slice()) {
            ([], []) => Ok(None),
            ([te], []) if te.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
            ([], [cl]) if !cl.is_empty() && cl.bytes().all(|b| b.is_ascii_digit()) => {
                cl.parse().map(|n| Some(Framing::Length(n))).or_else(|_| malformed("huge length"))
            }
            both => malformed(&format!("ambiguous framing: {both:?}")),
        }
    }

    /// Parses header lines, each without its CRLF.
    pub(crate) fn parse<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Result<Self, ReadError> {
        let mut headers = Self::default();
        for line in lines {
            let text = latin1(line);
            let malformed = || ReadError::Malformed(format!("header line {text:?}"));
            let (name, value) = text.split_once(':').ok_or_else(malformed)?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(malformed());
            }
            headers.0.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        Ok(headers)
    }
}

/// The start line and the header fields of a head that ends in its blank line.
pub(crate) fn parse_head(head: &[u8]) -> Result<(String, Headers), ReadError> {
    let text = head.strip_suffix(b"\r\n\r\n").unwrap_or(head);
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    if let Some(bad) = lines.iter().find(|line| line.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')))
    {
        return Err(ReadError::Malformed(format!("control byte in {:?}", latin1(bad))));
    }
    let start = latin1(lines[0]);
    Ok((start, Headers::parse(lines[1..].iter().copied())?))
}

/// Bytes as text, one character each.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
