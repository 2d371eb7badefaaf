//! Patterns of places in a document.

use std::fmt;
use std::str::FromStr;

use super::path::{Step, parse_pointer, push_escaped, unescape};

/// The most tokens of a pattern: half of what a document may be deep, and more than any place that a person names.
pub const MAX_PATTERN_TOKENS: usize = 64;

/// A JSON Pointer (RFC 6901) in which `*` stands for any one token, and `**` for any number of them, none included.
/// `/**` is every place, the whole document among them. A member that is really called `*` can't be told from others.
///
/// RFC 6901's empty pointer is refused: what a template left empty would ignore or reveal everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerPattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A member's name, unescaped, and the index that it is where it stands for an element.
    Literal { name: String, index: Option<usize> },
    /// `*`.
    AnyOne,
    /// `**`.
    AnyNumber,
}

/// Why a text is not a [`PointerPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with a slash.
    #[error("is no pointer: write something like /segments/*/updatedAt")]
    NoLeadingSlash,
    /// `~` is an escape, and only as `~0` or `~1`.
    #[error("\"{token}\" has a ~ that is neither ~0 (for ~) nor ~1 (for /)")]
    BadEscape {
        /// The token as written.
        token: String,
    },
    /// More than [`MAX_PATTERN_TOKENS`].
    #[error("has {count} tokens, and at most {MAX_PATTERN_TOKENS} are allowed")]
    TooManyTokens {
        /// How many it has.
        count: usize,
    },
}

impl PointerPattern {
    /// Whether it stands for the place of a JSON Pointer, or for one that the place is in. `status` and `header:NAME` are in
    /// no document, so no pattern stands for them.
    pub fn covers(&self, pointer: &str) -> bool {
        parse_pointer(pointer).is_some_and(|names| {
            let steps: Vec<_> = names.iter().map(|name| Step::Member(name)).collect();
            self.covers_steps(&steps)
        })
    }

    /// Whether it stands for this very place.
    pub(super) fn is_at(&self, steps: &[Step<'_>]) -> bool {
        self.agrees(steps, false)
    }

    /// Whether it stands for this place, or for one that it is in.
    pub(super) fn covers_steps(&self, steps: &[Step<'_>]) -> bool {
        self.agrees(steps, true)
    }

    /// Walks both at once. Where they part, the latest `**` takes in one step more: an earlier one never has to, as the
    /// latest can take in whatever that would. So it is done in tokens x steps, and keeps nothing but where it stands.
    fn agrees(&self, steps: &[Step<'_>], open_end: bool) -> bool {
        let (mut token, mut step) = (0, 0);
        let mut latest: Option<(usize, usize)> = None;
        loop {
            match (self.tokens.get(token), steps.get(step)) {
                (None, None) => return true,
                (None, Some(_)) if open_end => return true,
                (Some(Token::AnyNumber), _) => {
                    token += 1;
                    latest = Some((token, step));
                    continue;
                }
                (Some(wanted), Some(there)) if wanted.is(there) => {
                    (token, step) = (token + 1, step + 1);
                    continue;
                }
                _ => {}
            }
            match latest {
                Some((after, taken)) if taken < steps.len() => {
                    latest = Some((after, taken + 1));
                    (token, step) = (after, taken + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn parse(written: &str) -> Result<Self, PatternError> {
        match written {
            "*" => Ok(Self::AnyOne),
            "**" => Ok(Self::AnyNumber),
            _ => {
                let name = unescape(written)
                    .ok_or_else(|| PatternError::BadEscape { token: written.to_owned() })?
                    .into_owned();
                let index = name.parse().ok().filter(|index: &usize| index.to_string() == name);
                Ok(Self::Literal { name, index })
            }
        }
    }

    fn is(&self, step: &Step<'_>) -> bool {
        match (self, step) {
            (Self::AnyOne, _) => true,
            (Self::Literal { name, .. }, Step::Member(member)) => name == member,
            (Self::Literal { index, .. }, Step::Index(there)) => *index == Some(*there),
            // Its index says nothing, so no index stands for it.
            (Self::Literal { .. }, Step::Unordered { .. }) | (Self::AnyNumber, _) => false,
        }
    }
}

impl FromStr for PointerPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let rest = text.strip_prefix('/').ok_or(PatternError::NoLeadingSlash)?;
        let count = rest.split('/').count();
        if count > MAX_PATTERN_TOKENS {
            return Err(PatternError::TooManyTokens { count });
        }
        Ok(Self { tokens: rest.split('/').map(Token::parse).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for PointerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.tokens {
            match token {
                Token::AnyOne => f.write_str("/*")?,
                Token::AnyNumber => f.write_str("/**")?,
                Token::Literal { name, .. } => {
                    let mut written = String::with_capacity(name.len() + 1);
                    push_escaped(&mut written, name);
                    write!(f, "/{written}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> PointerPattern {
        text.parse().unwrap_or_else(|error| panic!("{text:?} {error}"))
    }

    #[test]
    fn a_pattern_covers_its_place_and_all_below() {
        let check = |text: &str, covered: &[&str], others: &[&str]| {
            for pointer in covered {
                assert!(pattern(text).covers(pointer), "{text} covers {pointer:?}");
            }
            for pointer in others {
                assert!(!pattern(text).covers(pointer), "{text} does not cover {pointer:?}");
            }
        };

        check("/a", &["/a", "/a/b", "/a/0"], &["", "/b", "/b/a", "/ab"]);
        check("/a/*", &["/a/b", "/a/0/c"], &["/a", "/b/c"]);
        check("/a/*/t", &["/a/0/t", "/a/x/t/y"], &["/a/t", "/a/0/1/t", "/a/0/s"]);
        check("/**/t", &["/t", "/a/t", "/a/0/b/t/x"], &["", "/a", "/a/ta"]);
        check("/a/**/t", &["/a/t", "/a/0/t", "/a/b/c/t"], &["/t", "/b/t"]);
        check("/a/**", &["/a", "/a/b"], &["", "/b"]);
        check("/**", &["", "/a", "/a/b"], &[]);
        check("/", &["/", "//a"], &["", "/a"]);
        check("/a~1b/m~0n", &["/a~1b/m~0n"], &["/a/b/m~0n", "/a~1b/m"]);
        check("/~01", &["/~01"], &["/~1"]);
        check("/a/0", &["/a/0"], &["/a/00", "/a/1"]);
        // What is no place in a document is covered by nothing.
        check("/**", &[], &["status", "header:etag", "/bad~escape"]);
    }

    #[test]
    fn an_index_stands_for_no_element_of_an_unordered_array() {
        let element = [Step::Member("a"), Step::Unordered { control: 3, candidate: 3 }];

        assert!(pattern("/a/*").covers_steps(&element));
        assert!(pattern("/a/**").covers_steps(&element));
        assert!(!pattern("/a/3").covers_steps(&element));
    }

    #[test]
    fn a_pattern_is_at_its_place_alone() {
        let steps = [Step::Member("a"), Step::Index(3)];

        assert!(pattern("/a/3").is_at(&steps) && pattern("/a/*").is_at(&steps));
        assert!(!pattern("/a").is_at(&steps) && !pattern("/a/3/b").is_at(&steps));
        assert!(pattern("/**").is_at(&[]) && !pattern("/").is_at(&[]));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let check = |text: &str, error: PatternError| {
            assert_eq!(text.parse::<PointerPattern>(), Err(error), "{text:?}");
        };
        let bad_escape = |token: &str| PatternError::BadEscape { token: token.to_owned() };

        check("a", PatternError::NoLeadingSlash);
        check("", PatternError::NoLeadingSlash);
        check("/a/b~", bad_escape("b~"));
        check("/~2/c", bad_escape("~2"));
        check(&"/a".repeat(65), PatternError::TooManyTokens { count: 65 });
        assert!("/a".repeat(64).parse::<PointerPattern>().is_ok());
    }

    /// What `**` means, by trying everything.
    fn agrees_slowly(tokens: &[Token], steps: &[Step<'_>]) -> bool {
        match (tokens, steps) {
            ([], _) => steps.is_empty(),
            ([Token::AnyNumber, rest @ ..], _) => {
                (0..=steps.len()).any(|taken| agrees_slowly(rest, &steps[taken..]))
            }
            ([token, tokens @ ..], [step, steps @ ..]) => {
                token.is(step) && agrees_slowly(tokens, steps)
            }
            (_, []) => false,
        }
    }

    fn a_token(literals: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        prop::sample::select(literals)
    }

    proptest! {
        #[test]
        fn matching_is_what_trying_everything_finds(
            tokens in prop::collection::vec(a_token(&["a", "b", "*", "**"]), 1..7),
            names in prop::collection::vec(a_token(&["a", "b"]), 0..7),
        ) {
            let text: String = tokens.iter().map(|token| format!("/{token}")).collect();
            let pattern = pattern(&text);
            let steps: Vec<_> = names.iter().map(|name| Step::Member(name)).collect();

            prop_assert_eq!(pattern.is_at(&steps), agrees_slowly(&pattern.tokens, &steps));
            let covers = (0..=steps.len()).any(|end| agrees_slowly(&pattern.tokens, &steps[..end]));
            prop_assert_eq!(pattern.covers_steps(&steps), covers);
        }

        #[test]
        fn a_pattern_is_shown_as_it_was_written(text in "(/([a-z*é]|~0|~1){0,4}){1,6}") {
            prop_assert_eq!(pattern(&text).to_string(), text);
        }
    }
}
