//! Lists of `key=value` as the `OTEL_*` variables have them, with the values percent-encoded.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::store_url::Secret;

/// The most pairs in one variable: each goes out with every export.
const MAX_PAIRS: usize = 128;

/// Headers that make the message, which is the exporter's own business.
const RESERVED: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Why a text is no such list. The entries are counted from 1 and never shown: they may hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairsFault {
    /// More than anybody needs.
    #[error("has {count} entries, and at most {MAX_PAIRS} are allowed")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// No `=`, or nothing before it.
    #[error(
        "entry {entry} is not key=value: write key=value,key=value, a comma within a value as %2C"
    )]
    NotAPair {
        /// Which one.
        entry: usize,
    },
    /// Percent-decoded, it is no UTF-8.
    #[error("the value of entry {entry} stands for no UTF-8: percent-encode it")]
    NotUtf8 {
        /// Which one.
        entry: usize,
    },
    /// The key is no header's name.
    #[error("the key of entry {entry} is no header's name: use letters, digits and '-'")]
    NotAHeader {
        /// Which one.
        entry: usize,
    },
    /// The value can't be sent in a header.
    #[error("the value of entry {entry} can't stand in a header: use visible ASCII")]
    NotAHeaderValue {
        /// Which one.
        entry: usize,
    },
    /// It would break the message.
    #[error("has the header {name}, which the exporter sets itself: take it out")]
    Reserved {
        /// Which header.
        name: &'static str,
    },
}

/// Headers by their names in small letters; of two with one name the later.
pub(super) fn headers(text: &str) -> Result<Vec<(String, Secret)>, PairsFault> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (entry, key, value) in pairs(text)? {
        let name: HeaderName = key.parse().map_err(|_| PairsFault::NotAHeader { entry })?;
        if let Some(name) = RESERVED.into_iter().find(|reserved| name == *reserved) {
            return Err(PairsFault::Reserved { name });
        }
        HeaderValue::from_str(&value).map_err(|_| PairsFault::NotAHeaderValue { entry })?;
        headers.retain(|(other, _)| other != name.as_str());
        headers.push((name.as_str().to_owned(), Secret::new(value)));
    }
    Ok(headers)
}

/// Attributes, in the order in which they are written.
pub(super) fn attributes(text: &str) -> Result<Vec<(String, String)>, PairsFault> {
    Ok(pairs(text)?.into_iter().map(|(_, key, value)| (key.to_owned(), value)).collect())
}

/// The pairs with their numbers; a comma too many is none.
fn pairs(text: &str) -> Result<Vec<(usize, &str, String)>, PairsFault> {
    let entries: Vec<&str> =
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if entries.len() > MAX_PAIRS {
        return Err(PairsFault::TooMany { count: entries.len() });
    }
    entries.into_iter().enumerate().map(|(index, entry)| pair(index + 1, entry)).collect()
}

fn pair(entry: usize, written: &str) -> Result<(usize, &str, String), PairsFault> {
    let (key, value) = written.split_once('=').ok_or(PairsFault::NotAPair { entry })?;
    let key = key.trim();
    if key.is_empty() {
        return Err(PairsFault::NotAPair { entry });
    }
    let value = percent_decode_str(value.trim()).decode_utf8();
    Ok((entry, key, value.map_err(|_| PairsFault::NotUtf8 { entry })?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_decoded_and_blanks_are_nothing() {
        let read = attributes(" a = 1 ,b=x%2Cy%20z,, c=p=q,share=100%,a=2,").unwrap();

        let pairs: Vec<_> =
            read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [("a", "1"), ("b", "x,y z"), ("c", "p=q"), ("share", "100%"), ("a", "2")]
        );
        assert_eq!(attributes(" , "), Ok(Vec::new()));
    }

    #[test]
    fn of_two_headers_with_one_name_the_later_counts() {
        let read = headers("X-Key=a,authorization=Basic%20s3cret,x-key=b").unwrap();

        let shown: Vec<_> =
            read.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
        assert_eq!(shown, [("authorization", "Basic s3cret"), ("x-key", "b")]);
    }

    #[test]
    fn what_is_no_list_of_headers_is_refused_by_its_number() {
        let check = |text: &str, fault: PairsFault| assert_eq!(headers(text), Err(fault), "{text}");

        check("a=1,hunter2", PairsFault::NotAPair { entry: 2 });
        check("=1", PairsFault::NotAPair { entry: 1 });
        check("a=%ff", PairsFault::NotUtf8 { entry: 1 });
        check("a b=1", PairsFault::NotAHeader { entry: 1 });
        check("a=1,b=x%0d%0ay", PairsFault::NotAHeaderValue { entry: 2 });
        check("Content-Length=1", PairsFault::Reserved { name: "content-length" });
        check(&"a=1,".repeat(MAX_PAIRS + 1), PairsFault::TooMany { count: MAX_PAIRS + 1 });
    }

    proptest! {
        #[test]
        fn no_text_panics_or_makes_a_header_that_cannot_be_sent(text in "([a-z%0-9]{0,4}=?.{0,6},?){0,4}") {
            drop(attributes(&text));
            for (_, value) in headers(&text).unwrap_or_default() {
                prop_assert!(HeaderValue::from_str(value.reveal()).is_ok());
            }
        }
    }
}
