//! An answer as it is kept, to be given again.

use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::domain::flag::{Path, Protection};

/// The header fields that are kept: what an answer says of itself. No cookie is among them.
const FIELDS: [HeaderName; 8] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    ETAG,
    LAST_MODIFIED,
    LOCATION,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
];

/// The most bytes of those fields, names and values: a record has to stay small.
const MOST_FIELD_BYTES: usize = 4096;

/// How an update was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// The path that it took.
    pub(crate) path: Path,
    /// The protection that it really had.
    pub(crate) protection: Protection,
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredAnswer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// How its update was served.
    pub(crate) served: Served,
    /// What is kept of its header.
    pub(crate) headers: HeaderMap,
    /// Its body; `None` for one that was too long, or did not come whole.
    pub(crate) body: Option<Bytes>,
}

/// The first line of a record; the body follows.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    path: Path,
    protection: String,
    headers: Vec<(String, String)>,
    body: bool,
}

impl StoredAnswer {
    /// What is kept of an answer.
    pub(crate) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        served: Served,
        body: Option<Bytes>,
    ) -> Self {
        let mut kept = HeaderMap::new();
        let mut room = MOST_FIELD_BYTES;
        for name in FIELDS {
            for value in headers.get_all(&name) {
                let size = name.as_str().len() + value.len();
                // One that is no plain text would not come back as it was.
                if value.to_str().is_ok() && size <= room {
                    room -= size;
                    kept.append(&name, value.clone());
                }
            }
        }
        Self { status, served, headers: kept, body }
    }

    /// How much memory it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        let fields: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        fields + self.body.as_ref().map_or(0, Bytes::len)
    }

    /// As it is written down.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let field = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let head = Head {
            status: self.status.as_u16(),
            path: self.served.path,
            protection: self.served.protection.as_str().to_owned(),
            headers: self.headers.iter().filter_map(field).collect(),
            body: self.body.is_some(),
        };
        // Nothing in it can fail to be written.
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Reads what was written down; `None` for anything else.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let mut bytes = Bytes::from(bytes);
        let head = bytes.split_to(memchr::memchr(b'\n', &bytes)? + 1);
        let head: Head = serde_json::from_slice(&head).ok()?;
        let protection =
            Protection::ALL.into_iter().find(|known| known.as_str() == head.protection)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &head.headers {
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        Some(Self {
            status: StatusCode::from_u16(head.status).ok()?,
            served: Served { path: head.path, protection },
            headers,
            body: head.body.then_some(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVED: Served = Served { path: Path::Fixed, protection: Protection::Local };

    fn answer(headers: &[(&'static str, &str)], body: Option<&'static [u8]>) -> StoredAnswer {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        StoredAnswer::of(StatusCode::CREATED, &all, SERVED, body.map(Bytes::from_static))
    }

    #[test]
    fn what_is_written_down_reads_back() {
        for body in [None, Some(&b""[..]), Some(b"\0\n{}\xff\n")] {
            let answer = answer(&[("etag", "\"v1\""), ("location", "/a")], body);

            assert_eq!(StoredAnswer::from_bytes(answer.to_bytes()), Some(answer));
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for bytes in ["", "{}", "{}\n", "{\"status\":99999}\n", "x\ny"] {
            assert_eq!(StoredAnswer::from_bytes(bytes.into()), None, "{bytes}");
        }
    }

    #[test]
    fn only_what_an_answer_says_of_itself_is_kept_and_no_more_than_fits() {
        let long = "e".repeat(MOST_FIELD_BYTES);
        let kept = answer(
            &[("content-type", "a/b"), ("set-cookie", "s=1"), ("x-own", "1"), ("etag", &long)],
            None,
        );

        let names: Vec<_> = kept.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type"]);
    }
}
