//! `If-Match`: a change that counts only for the version that its author has seen.

use http::header::{self, HeaderMap};

use super::problem::Refusal;

/// The versions that a change may start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// Whatever it is.
    Any,
    /// One of these. Tags that name no version of ours are left out: they match nothing.
    Versions(Vec<u64>),
}

impl IfMatch {
    /// Reads the header's lines as one list, by RFC 9110 section 13.1.1.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut lines = headers.get_all(header::IF_MATCH).iter().peekable();
        if lines.peek().is_none() {
            return Ok(Self::Any);
        }
        let lines: Vec<&str> = lines
            .map(|line| line.to_str())
            .collect::<Result<_, _>>()
            .map_err(|_| Refusal::BadIfMatch)?;
        let list = lines.join(",");
        if list.trim() == "*" {
            return Ok(Self::Any);
        }
        versions(&list).map(Self::Versions).ok_or(Refusal::BadIfMatch)
    }

    /// The version that the store has to compare with, or a refusal where none of the list fits.
    pub(super) fn expected(&self, current: u64) -> Result<Option<u64>, Refusal> {
        match self {
            Self::Any => Ok(None),
            Self::Versions(versions) if versions.contains(&current) => Ok(Some(current)),
            Self::Versions(_) => Err(Refusal::Stale { current }),
        }
    }
}

/// The versions in a list of entity tags; `None` where it is no such list or is empty.
fn versions(list: &str) -> Option<Vec<u64>> {
    let mut rest = list.trim();
    let mut versions = Vec::new();
    let mut tags = 0;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
            continue;
        }
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if tag.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return None;
        }
        tags += 1;
        // A weak tag never matches here: the comparison is the strong one.
        versions.extend(version(tag).filter(|_| !weak));
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
    (tags > 0).then_some(versions)
}

/// The version that a tag stands for, in the one spelling that we give out.
fn version(tag: &str) -> Option<u64> {
    tag.parse().ok().filter(|version: &u64| version.to_string() == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_of_tags() {
        let check = |list: &str, expected: &[u64]| {
            assert_eq!(versions(list).as_deref(), Some(expected), "{list}");
        };

        check("\"3\"", &[3]);
        check(" \"3\" , \"4\",,\"5\" ", &[3, 4, 5]);
        check("W/\"3\"", &[]);
        check("\"abc\", \"007\", \"+3\", \"a,b\"", &[]);
        check("\"\"", &[]);
    }

    #[test]
    fn refuses_what_is_no_list_of_tags() {
        for list in ["3", "\"3", "\"3\" \"4\"", "w/\"3\"", "\"3\",*", "*,*", "", ",", "\"a b\""] {
            assert_eq!(versions(list), None, "{list}");
        }
    }
}
