//! A call's key, and the digests by which records know keys and payloads: no record holds either.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request};
use sha2::{Digest, Sha256};

/// The header that carries a key (draft-ietf-httpapi-idempotency-key-header-07).
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key, in characters.
pub(crate) const LONGEST: usize = 255;

/// Why a call's key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    /// More than one.
    Several,
    /// It is not 1 to [`LONGEST`] visible characters, bare or as a structured field's string.
    Malformed,
}

/// The key of a call, where it has one. In quotes or bare, it is the same key.
///
/// # Errors
/// When there are several, or it is no key.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, KeyFault> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(KeyFault::Several);
    }
    let text = value.to_str().map_err(|_| KeyFault::Malformed)?.trim_matches([' ', '\t']);
    let key = match text.strip_prefix('"') {
        Some(rest) => Cow::Owned(unquoted(rest).ok_or(KeyFault::Malformed)?),
        None => Cow::Borrowed(text),
    };
    let fits = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(Some(key)) } else { Err(KeyFault::Malformed) }
}

/// What stands behind an opening quote, up to the closing one, which has to be the end (RFC 9651 section 4.2.5).
fn unquoted(text: &str) -> Option<String> {
    let (mut key, mut characters) = (String::new(), text.chars());
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            other => key.push(other),
        }
    }
    characters.as_str().is_empty().then_some(key)
}

/// A record's name: the digest of a flag and a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecordName([u8; 32]);

/// The digest of all that has to be the same when a key comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload([u8; 32]);

impl RecordName {
    /// Of a flag's key.
    pub(crate) fn of(flag: &str, key: &str) -> Self {
        Self(digest(&[flag.as_bytes(), key.as_bytes()]))
    }
}

impl Payload {
    /// Of a call whose body is held: its method, path and query, body, and `Authorization`, so that nobody is handed the
    /// answer to another caller.
    pub(crate) fn of<B>(request: &Request<B>, body: &[Bytes]) -> Self {
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let mut callers: Vec<&[u8]> = vec![request.method().as_str().as_bytes(), target.as_bytes()];
        callers
            .extend(request.headers().get_all(AUTHORIZATION).iter().map(|value| value.as_bytes()));
        let mut hash = Sha256::new();
        hash.update(digest(&callers));
        body.iter().for_each(|piece| hash.update(piece));
        Self(hash.finalize().into())
    }
}

/// Parts with their lengths: no two lists of parts give the same bytes.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

fn hexadecimal(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read_of(values: &[&str]) -> Result<Option<String>, KeyFault> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        read(&headers).map(|key| key.map(Cow::into_owned))
    }

    #[test]
    fn a_key_is_the_same_in_quotes_and_bare() {
        assert_eq!(read_of(&[]), Ok(None));
        for (value, key) in [
            ("8e03978e", "8e03978e"),
            (" 8e03978e\t", "8e03978e"),
            ("\"8e03978e\"", "8e03978e"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            ("a,b;c=d", "a,b;c=d"),
        ] {
            assert_eq!(read_of(&[value]), Ok(Some(key.to_owned())), "{value}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let longest = "k".repeat(LONGEST);
        assert_eq!(read_of(&[&longest]), Ok(Some(longest.clone())));
        let (too_long, quoted) = (format!("{longest}k"), format!("\"{longest}k\""));
        for value in [
            "",
            "\"\"",
            "\"",
            "\"open",
            "\"a\"b",
            "\"a\";p=1",
            "\"a\\n\"",
            "a b",
            "\"a b\"",
            "\u{e9}",
            &too_long,
            &quoted,
        ] {
            assert_eq!(read_of(&[value]), Err(KeyFault::Malformed), "{value}");
        }
        assert_eq!(read_of(&["a", "a"]), Err(KeyFault::Several));
    }

    #[test]
    fn flags_do_not_share_keys() {
        assert_ne!(RecordName::of("a", "bc"), RecordName::of("ab", "c"));
        assert_eq!(RecordName::of("a", "b").to_string().len(), 64);
    }

    #[test]
    fn all_that_makes_a_payload_counts() {
        let payload = |method: &str, target: &str, authorization: &str, body: &[&'static [u8]]| {
            let request = Request::builder().method(method).uri(target);
            let request = request.header(AUTHORIZATION, authorization).body(()).unwrap();
            let body: Vec<Bytes> = body.iter().map(|piece| Bytes::from_static(piece)).collect();
            Payload::of(&request, &body)
        };
        let first = payload("PUT", "/a?b", "x", &[b"one", b"two"]);

        assert_eq!(payload("PUT", "/a?b", "x", &[b"onetwo"]), first);
        for other in [
            payload("POST", "/a?b", "x", &[b"onetwo"]),
            payload("PUT", "/a?c", "x", &[b"onetwo"]),
            payload("PUT", "/a?b", "y", &[b"onetwo"]),
            payload("PUT", "/a?b", "x", &[b"onetwo!"]),
        ] {
            assert_ne!(other, first);
        }
    }
}
