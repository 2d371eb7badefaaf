//! An answer as it was captured.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use smallvec::SmallVec;

use crate::domain::compare::{Answer, Rules};

/// A piece from this length on, in bytes, is shared with the connection that it came from. A shorter one is copied: it would
/// keep a whole read buffer in memory, which that connection would have to replace.
pub(crate) const WORTH_SHARING: usize = 16 * 1024;

/// A field's value: those that say what a body is are short, and need no memory of their own.
type Value = SmallVec<[u8; 32]>;

/// What is compared of an answer.
#[derive(Default)]
pub(crate) struct Captured {
    status: StatusCode,
    fields: SmallVec<[(HeaderName, Value); 1]>,
    pieces: SmallVec<[Bytes; 1]>,
    /// What comes after the pieces.
    tail: Vec<u8>,
    length: usize,
}

impl Captured {
    /// Begins with the status code.
    pub(crate) fn with_status(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }

    /// Keeps a field of the head, if it is compared or says what the body is.
    pub(crate) fn keep_field(&mut self, rules: &Rules, name: &str, value: &[u8]) {
        for kept in rules.headers.iter().chain([&CONTENT_TYPE, &CONTENT_ENCODING]) {
            let kept_name = kept.as_str();
            if kept_name.len() == name.len() && name.eq_ignore_ascii_case(kept_name) {
                self.fields.push((kept.clone(), Value::from_slice(value)));
                // The rules may name what is kept anyway.
                return;
            }
        }
    }

    /// The fields that were kept.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for (name, value) in &self.fields {
            // It was a field's value before: it is one again.
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        }
        headers
    }

    /// The answer with its headers and its body, for comparing.
    pub(crate) fn answer<'a>(&self, headers: &'a HeaderMap, body: &'a [u8]) -> Answer<'a> {
        Answer { status: self.status.as_u16(), headers, body }
    }

    /// Adds a piece of the body.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.length += data.len();
        self.tail.extend_from_slice(data);
    }

    /// Adds a piece of the body that may be shared with whoever else has it.
    pub(crate) fn push_shared(&mut self, data: &Bytes) {
        if data.len() < WORTH_SHARING {
            return self.push(data);
        }
        self.length += data.len();
        if !self.tail.is_empty() {
            self.pieces.push(Bytes::from(std::mem::take(&mut self.tail)));
        }
        self.pieces.push(data.clone());
    }

    /// The length of the body, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The body where it is in one piece, so that it costs nothing to look at.
    pub(crate) fn in_one_piece(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(&self.tail),
            [only] if self.tail.is_empty() => Some(only),
            _ => None,
        }
    }

    /// The body, put together if need be.
    pub(crate) fn body(&self) -> Cow<'_, [u8]> {
        if let Some(body) = self.in_one_piece() {
            return Cow::Borrowed(body);
        }
        let mut whole = Vec::with_capacity(self.length);
        self.pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
        whole.extend_from_slice(&self.tail);
        Cow::Owned(whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_the_head_only_what_is_compared_is_kept() {
        let headers = vec!["set-cookie".parse().unwrap(), CONTENT_TYPE];
        let rules = Rules { headers, ..Rules::default() };
        let mut captured = Captured::with_status(StatusCode::OK);

        for (name, value) in
            [("ETag", "1"), ("Set-Cookie", "a"), ("set-cookie", "b"), ("Content-Type", "text/x")]
        {
            captured.keep_field(&rules, name, value.as_bytes());
        }

        let kept = captured.headers();
        assert_eq!(kept.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(kept.get_all(CONTENT_TYPE).iter().collect::<Vec<_>>(), ["text/x"]);
        assert_eq!(kept.len(), 3);
    }

    #[test]
    fn a_long_piece_is_shared_and_a_short_one_is_copied() {
        let (long, short) = (Bytes::from(vec![b'x'; WORTH_SHARING]), Bytes::from_static(b"short"));
        let mut shared = Captured::default();
        let mut copied = Captured::default();

        shared.push_shared(&long);
        copied.push_shared(&short);

        assert_eq!(shared.in_one_piece().map(<[u8]>::as_ptr), Some(long.as_ptr()));
        assert_ne!(copied.in_one_piece().map(<[u8]>::as_ptr), Some(short.as_ptr()));
    }

    proptest! {
        #[test]
        fn the_body_is_what_came_in_order(
            pieces in prop::collection::vec(prop_oneof![0..100usize, WORTH_SHARING..WORTH_SHARING + 3], 0..8),
        ) {
            let mut captured = Captured::default();
            let mut came = Vec::new();
            for (number, length) in pieces.into_iter().enumerate() {
                let piece = Bytes::from(vec![b'a' + number as u8; length]);
                came.extend_from_slice(&piece);
                captured.push_shared(&piece);
            }

            prop_assert_eq!(captured.len(), came.len());
            prop_assert_eq!(&*captured.body(), &*came);
            if let Some(one) = captured.in_one_piece() {
                prop_assert_eq!(one, &*came);
            }
        }
    }
}
