//! Who calls, and what they may do.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use http::header::{self, HeaderMap};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::files::{FileError, FileFault, Recipe};
use super::guard::only;
use super::problem::Refusal;
use crate::telemetry::labels::AdminFile;

/// The most tokens: every call that carries one is compared with all.
const MAX_TOKENS: usize = 64;

/// The longest name of a token, in bytes: it stands in every history entry.
const MAX_NAME_BYTES: usize = 64;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 1024;

/// The name in the history of whoever changes a flag where no tokens are configured.
const ANONYMOUS: &str = "anonymous";

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reading.
    Viewer,
    /// Reading and changing.
    Operator,
}

impl Role {
    /// As it is written in a tokens file.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// `admin.tokens_file`.
#[derive(Clone, Debug)]
pub struct TokensFile {
    /// Where it is.
    pub path: PathBuf,
}

impl Recipe for TokensFile {
    type Made = Tokens;

    const FILE: AdminFile = AdminFile::Tokens;

    fn paths(&self) -> Vec<(&'static str, &Path)> {
        vec![(TOKENS_FILE, &self.path)]
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<Tokens, FileError> {
        let bytes = contents.first().map_or(&[][..], Vec::as_slice);
        let text = std::str::from_utf8(bytes).map_err(|_| TokensError::NotText);
        let tokens = text.and_then(Tokens::from_toml);
        let path = self.path.clone();
        let refused = |fault: TokensError| Box::new(FileFault::from(fault));
        tokens.map_err(|fault| FileError { key: TOKENS_FILE, path, fault: refused(fault) })
    }
}

const TOKENS_FILE: &str = "admin.tokens_file";

/// The tokens that are valid. Only their digests are known here.
#[derive(Clone, Debug)]
pub struct Tokens {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    role: Role,
    sha256: [u8; 32],
}

/// Why a tokens file is refused.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// Not text.
    #[error("is no text in UTF-8")]
    NotText,
    /// Not TOML, or not `[[tokens]]` with `name`, `role` and `sha256`.
    #[error(
        "is no list of tokens: write [[tokens]] with name, role = \"viewer\" or \"operator\", and sha256"
    )]
    Malformed(#[from] toml::de::Error),
    /// Nobody could get in.
    #[error("has no token: add a [[tokens]] entry")]
    Empty,
    /// More than can be compared at every call.
    #[error("has {count} tokens, and {MAX_TOKENS} are allowed")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A name that can't stand in the history.
    #[error("token {position}: a name has 1 to {MAX_NAME_BYTES} bytes and no control characters")]
    BadName {
        /// Which entry, from 1.
        position: usize,
    },
    /// Not 64 hexadecimal digits.
    #[error(
        "token \"{name}\": sha256 is not 64 hexadecimal digits: take `printf %s TOKEN | sha256sum`"
    )]
    BadDigest {
        /// The token's name.
        name: String,
    },
    /// The digest of nothing, as comes of a file that was not there: whoever shows an empty token would be in.
    #[error(
        "token \"{name}\": sha256 is that of an empty text: see that the token's file is there, and take its digest anew"
    )]
    EmptyToken {
        /// The token's name.
        name: String,
    },
    /// One token under two names: the history could not say who it was.
    #[error(
        "tokens \"{first}\" and \"{second}\" have the same sha256: give each a token of its own"
    )]
    SharedDigest {
        /// The name of the earlier one.
        first: String,
        /// The name of the later one.
        second: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    #[serde(default)]
    tokens: Vec<RawToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    name: String,
    role: Role,
    sha256: String,
}

/// Whoever makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) role: Role,
}

impl Caller {
    pub(super) fn is_viewer(&self) -> bool {
        self.role == Role::Viewer
    }

    pub(super) fn check_may_change(&self) -> Result<(), Refusal> {
        match self.role {
            Role::Operator => Ok(()),
            Role::Viewer => Err(Refusal::ViewerMayNotChange),
        }
    }
}

impl Tokens {
    /// Reads the text of a tokens file. Two tokens may share a name, so that one can take over from the other.
    ///
    /// # Errors
    /// Anything but a list of valid entries; see [`TokensError`].
    pub fn from_toml(text: &str) -> Result<Self, TokensError> {
        let RawTokens { tokens } = toml::from_str(text)?;
        let count = tokens.len();
        if count == 0 {
            return Err(TokensError::Empty);
        }
        if count > MAX_TOKENS {
            return Err(TokensError::TooMany { count });
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        for (token, position) in tokens.into_iter().zip(1..) {
            let RawToken { name, role, sha256 } = token;
            let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
            if !fits || name.chars().any(char::is_control) {
                return Err(TokensError::BadName { position });
            }
            let Some(sha256) = digest(&sha256) else {
                return Err(TokensError::BadDigest { name });
            };
            if sha256 == <[u8; 32]>::from(Sha256::digest("")) {
                return Err(TokensError::EmptyToken { name });
            }
            if let Some(first) = entries.iter().find(|entry| entry.sha256 == sha256) {
                let first = first.name.clone();
                return Err(TokensError::SharedDigest { first, second: name });
            }
            entries.push(Entry { name, role, sha256 });
        }
        Ok(Self { entries })
    }

    /// The names, one for each token.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Looks at every entry whether or not one fits, so that the time tells nothing.
    fn find(&self, token: &str) -> Option<&Entry> {
        let presented: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for entry in &self.entries {
            if equal(&entry.sha256, &presented) {
                found = Some(entry);
            }
        }
        found
    }
}

/// Who calls, by the bearer token.
pub(super) fn caller(tokens: Option<&Tokens>, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let Some(tokens) = tokens else {
        return Ok(Caller { name: ANONYMOUS.to_owned(), role: Role::Operator });
    };
    let value = only(headers, &header::AUTHORIZATION).map_err(|()| Refusal::BadToken)?;
    let value = value.ok_or(Refusal::NoToken)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::BadToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::BadToken);
    }
    let entry = tokens.find(token.trim()).ok_or(Refusal::BadToken)?;
    Ok(Caller { name: entry.name.clone(), role: entry.role })
}

fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |acc, (a, b)| black_box(acc | (a ^ b)));
    black_box(difference) == 0
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, role: &str, token: &str) -> String {
        let sha256 = Sha256::digest(token);
        format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256:x}\"\n")
    }

    fn headers(authorization: &str) -> HeaderMap {
        [(header::AUTHORIZATION, authorization.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_token_tells_who_calls() {
        let text = entry("ann", "operator", "s3cret") + &entry("bob", "viewer", "other");
        let tokens = Tokens::from_toml(&text).unwrap();
        let who = |value: &str| caller(Some(&tokens), &headers(value)).map(|c| (c.name, c.role));

        assert_eq!(who("Bearer s3cret").unwrap(), ("ann".to_owned(), Role::Operator));
        assert_eq!(who("bearer other").unwrap(), ("bob".to_owned(), Role::Viewer));
        for wrong in ["Bearer nobody", "Basic s3cret", "s3cret", "Bearer "] {
            assert!(matches!(who(wrong), Err(Refusal::BadToken)), "{wrong}");
        }
        assert!(matches!(caller(Some(&tokens), &HeaderMap::new()), Err(Refusal::NoToken)));
    }

    #[test]
    fn a_tokens_file_that_would_let_the_wrong_ones_in_or_nobody_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = Tokens::from_toml(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };

        check("", "has no token");
        check("tokens = 1", "no list of tokens");
        check(&entry("ann", "admin", "s3cret"), "no list of tokens");
        check(&format!("{}secret = 1", entry("ann", "viewer", "s3cret")), "no list of tokens");
        check(&entry("", "viewer", "s3cret"), "token 1");
        check("[[tokens]]\nname = \"ann\"\nrole = \"viewer\"\nsha256 = \"s3cret\"", "64 hex");
        check(&entry("ann", "viewer", ""), "\"ann\": sha256 is that of an empty text");
        let shared = entry("ann", "viewer", "s3cret") + &entry("bob", "viewer", "s3cret");
        check(&shared, "\"ann\" and \"bob\"");
    }
}
