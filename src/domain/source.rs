//! Sources: where in a request the values of an entity stand.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use percent_encoding::percent_decode_str;

use super::entity::is_placeholder_name;

/// Where a value stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `path:NAME`, a placeholder of the route's path.
    Path(String),
    /// `query:NAME`, a parameter of the query, percent-decoded; `+` is a space.
    Query(String),
    /// `header:NAME`.
    Header(HeaderName),
    /// `body:/POINTER`, an RFC 6901 JSON Pointer into a JSON body. The only source for which the body is held whole.
    Body(String),
}

/// Why a text is not a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not one of the four kinds.
    #[error("is no source: write path:NAME, query:NAME, header:NAME or body:/JSON/POINTER")]
    UnknownKind,
    /// The part after the colon is empty or malformed.
    #[error(
        "has no valid name after the colon: write path:NAME, query:NAME, header:NAME or body:/JSON/POINTER"
    )]
    BadName,
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (kind, name) = text.split_once(':').ok_or(SourceError::UnknownKind)?;
        match kind {
            "path" if is_placeholder_name(name) => Ok(Self::Path(name.to_owned())),
            "query" if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            "header" => name.parse().map(Self::Header).map_err(|_| SourceError::BadName),
            "body" if name.starts_with('/') => Ok(Self::Body(name.to_owned())),
            "path" | "query" | "body" => Err(SourceError::BadName),
            _ => Err(SourceError::UnknownKind),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(name) => write!(f, "path:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Body(pointer) => write!(f, "body:{pointer}"),
        }
    }
}

/// The value of a query parameter, decoded. `None` when it is missing, empty, or stands there twice with different
/// values: then nobody can tell which one the app will take.
pub fn query_value(query: &str, name: &str) -> Option<String> {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut values = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value));
    let first = values.next().filter(|value| !value.is_empty())?;
    values.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_sources() {
        let check = |text: &str, expected: Result<Source, SourceError>| {
            assert_eq!(text.parse::<Source>(), expected, "{text}");
        };

        check("path:id", Ok(Source::Path("id".into())));
        check("query:id", Ok(Source::Query("id".into())));
        check("header:X-Id", Ok(Source::Header(HeaderName::from_static("x-id"))));
        check("body:/a/b", Ok(Source::Body("/a/b".into())));
        check("body:a", Err(SourceError::BadName));
        check("header:a b", Err(SourceError::BadName));
        check("cookie:id", Err(SourceError::UnknownKind));
        check("id", Err(SourceError::UnknownKind));
    }

    #[test]
    fn an_ambiguous_query_parameter_is_none() {
        assert_eq!(query_value("a=1&id=x%20y", "id").as_deref(), Some("x y"));
        assert_eq!(query_value("i%64=x+y", "id").as_deref(), Some("x y"));
        assert_eq!(query_value("id=1&id=1", "id").as_deref(), Some("1"));
        assert_eq!(query_value("id=1&id=2", "id"), None);
        assert_eq!(query_value("id=", "id"), None);
        assert_eq!(query_value("", "id"), None);
    }

    proptest! {
        #[test]
        fn no_query_panics(query in ".*") {
            query_value(&query, "id");
        }
    }
}
