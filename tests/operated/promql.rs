//! Which series a query asks for, and by which labels it groups.
//!
//! No parser: Prometheus itself checks the syntax. This knows words, strings, brackets and what the language's own words are.

/// What stands before a list of labels.
const CLAUSES: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words between two expressions, or after one.
const OPERATORS: &[&str] = &["and", "or", "unless", "bool", "offset", "atan2"];

/// The part of a query that names things.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Query {
    /// The series.
    pub(crate) selectors: Vec<Selector>,
    /// The labels that series are grouped and matched by.
    pub(crate) grouping: Vec<String>,
}

/// A metric and what its labels have to be.
#[derive(Debug, PartialEq)]
pub(crate) struct Selector {
    /// The metric.
    pub(crate) name: String,
    /// Label, operator and value of each matcher.
    pub(crate) matchers: Vec<(String, String, String)>,
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Symbol(char),
}

impl Token {
    fn is(&self, symbol: char) -> bool {
        *self == Self::Symbol(symbol)
    }
}

/// Reads a query.
pub(crate) fn read(query: &str) -> Query {
    let tokens = tokens(query);
    let mut found = Query::default();
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let Token::Word(word) = token else { continue };
        let opens = |symbol| rest.first().is_some_and(|next| next.is(symbol));
        if CLAUSES.contains(&word.as_str()) {
            if opens('(') {
                let end = rest.iter().position(|token| token.is(')')).unwrap_or(rest.len());
                found.grouping.extend(words(&rest[..end]));
                rest = &rest[end..];
            }
        } else if !OPERATORS.contains(&word.as_str()) && !opens('(') && !before_clause(rest) {
            let end = rest.iter().position(|token| token.is('}')).unwrap_or(0);
            let braced = if opens('{') { &rest[..end] } else { &[] };
            rest = &rest[braced.len()..];
            let matchers = matchers(braced);
            found.selectors.push(Selector { name: word.clone(), matchers });
        }
    }
    found
}

/// Whether an aggregation's clause follows, as in `sum by (le) (…)`.
fn before_clause(rest: &[Token]) -> bool {
    matches!(rest.first(), Some(Token::Word(next)) if next == "by" || next == "without")
}

fn words(tokens: &[Token]) -> impl Iterator<Item = String> {
    tokens.iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.clone()),
        _ => None,
    })
}

fn matchers(tokens: &[Token]) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let (mut label, mut operator) = (String::new(), String::new());
    for token in tokens {
        match token {
            Token::Word(word) => (label, operator) = (word.clone(), String::new()),
            Token::Symbol(symbol) => operator.push(*symbol),
            Token::Text(value) => found.push((label.clone(), operator.clone(), value.clone())),
        }
    }
    found
}

fn tokens(query: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = query.chars().peekable();
    while let Some(first) = rest.next() {
        let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        match first {
            '"' | '\'' => {
                let mut text = String::new();
                while let Some(c) = rest.next().filter(|c| *c != first) {
                    text.push(c);
                    if c == '\\' {
                        text.extend(rest.next());
                    }
                }
                found.push(Token::Text(text));
            }
            // A range, which names nothing.
            '[' => while rest.next().is_some_and(|c| c != ']') {},
            c if c.is_ascii_digit() => while rest.next_if(|c| is_part(c) || *c == '.').is_some() {},
            c if is_part(&c) => {
                let mut word = String::from(c);
                word.extend(std::iter::from_fn(|| rest.next_if(is_part)));
                found.push(Token::Word(word));
            }
            c if c.is_whitespace() => {}
            c => found.push(Token::Symbol(c)),
        }
    }
    found
}

#[test]
fn a_query_s_series_and_labels_are_found() {
    let query = read(
        r#"histogram_quantile(0.99, sum by (le, path) (rate(a_bucket{x="1",y=~"b|c"}[5m] offset 1e3s)))
           > on (path) group_left 1.5 * sum(b:c:d) without (z) and ignoring (k) count(e unless time() - f{g!=""} == 1)"#,
    );

    let names: Vec<_> = query.selectors.iter().map(|selector| selector.name.as_str()).collect();
    assert_eq!(names, ["a_bucket", "b:c:d", "e", "f"]);
    let matcher = |label: &str, operator: &str, value: &str| {
        (label.to_owned(), operator.to_owned(), value.to_owned())
    };
    assert_eq!(query.selectors[0].matchers, [matcher("x", "=", "1"), matcher("y", "=~", "b|c")]);
    assert_eq!(query.selectors[3].matchers, [matcher("g", "!=", "")]);
    assert_eq!(query.grouping, ["le", "path", "path", "z", "k"]);
}
