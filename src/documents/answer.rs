//! What the scripts answer.

use std::sync::Arc;

use bytes::Bytes;
use redis::Value;

use super::{Read, Written};

/// Another answer than a script gives.
#[derive(Debug, thiserror::Error)]
#[error("the store's answer to a document's script has another form than expected")]
pub(super) struct BadAnswer;

impl Read {
    /// The answer of a look.
    pub(super) fn of(value: Value) -> Result<Self, BadAnswer> {
        Self::of_parts(parts(value)?.into_iter())
    }

    fn of_parts(mut parts: impl Iterator<Item = Bytes>) -> Result<Self, BadAnswer> {
        let mut next = || parts.next().ok_or(BadAnswer);
        Ok(match &*next()? {
            b"document" => {
                let (bytes, fence) = (next()?, next()?);
                Self::Document { bytes, fence, holder: holder(&next()?)? }
            }
            b"missing" => Self::Missing { holder: holder(&next()?)? },
            b"wrong_type" => Self::WrongType,
            b"too_large" => Self::TooLarge,
            b"done" => Self::Done,
            b"replaced" => Self::Replaced,
            _ => return Err(BadAnswer),
        })
    }
}

impl Written {
    /// The answer to an edit.
    pub(super) fn of(value: Value) -> Result<Self, BadAnswer> {
        let mut parts = parts(value)?.into_iter();
        Ok(match &*parts.next().ok_or(BadAnswer)? {
            b"applied" => Self::Applied,
            b"already" => Self::Already,
            b"held" => Self::Held,
            b"too_large" => Self::TooLarge,
            b"replaced" => Self::Replaced,
            b"changed" => Self::Changed(Read::of_parts(parts)?),
            _ => return Err(BadAnswer),
        })
    }
}

/// Nobody holds the lease where the text is empty.
fn holder(owner: &Bytes) -> Result<Option<Arc<str>>, BadAnswer> {
    let owner = std::str::from_utf8(owner).map_err(|_| BadAnswer)?;
    Ok((!owner.is_empty()).then(|| owner.into()))
}

fn parts(value: Value) -> Result<Vec<Bytes>, BadAnswer> {
    let Value::Array(parts) = value else { return Err(BadAnswer) };
    let bytes = |part| match part {
        Value::BulkString(bytes) => Ok(Bytes::from(bytes)),
        _ => Err(BadAnswer),
    };
    parts.into_iter().map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn array(parts: &[&str]) -> Value {
        let bulk = |part: &&str| Value::BulkString(part.as_bytes().to_vec());
        Value::Array(parts.iter().map(bulk).collect())
    }

    #[test]
    fn answers_are_read_and_others_refused() {
        let document = Read::of(array(&["document", "{}", "7", "a/1/2/3"])).unwrap();
        let Read::Document { bytes, fence, holder: Some(holder) } = document else {
            panic!("{document:?}");
        };
        assert_eq!((&*bytes, &*fence, &*holder), (&b"{}"[..], &b"7"[..], "a/1/2/3"));
        assert!(matches!(Read::of(array(&["missing", ""])), Ok(Read::Missing { holder: None })));
        assert!(matches!(Written::of(array(&["applied"])), Ok(Written::Applied)));
        let changed = Written::of(array(&["changed", "missing", ""])).unwrap();
        assert!(matches!(changed, Written::Changed(Read::Missing { holder: None })));

        for bad in [array(&[]), array(&["document", "{}"]), array(&["granted"]), Value::Nil] {
            assert!(Read::of(bad.clone()).is_err(), "{bad:?}");
            assert!(Written::of(bad.clone()).is_err(), "{bad:?}");
        }
        assert!(Written::of(array(&["changed"])).is_err());
    }

    proptest! {
        #[test]
        fn no_answer_panics(parts in prop::collection::vec("[a-z]{0,9}|document|changed|missing", 0..6)) {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            Read::of(array(&parts)).ok();
            Written::of(array(&parts)).ok();
        }
    }
}
