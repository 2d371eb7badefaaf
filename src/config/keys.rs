//! What a key of the configuration is, and how one is found by its place.
//!
//! The keys themselves stand in [`table`] and [`flag_table`]: one table drives the check for unknown keys, the built-in
//! defaults, the check of every value and the page `docs/configuration.md`.

use std::time::Duration;

use super::{flag_table, table};

/// Tables that may be left out as a whole, which has a meaning of its own. What stands in them is required, or has its
/// default, where they are written.
const OPTIONAL_TABLES: [&str; 4] =
    ["admin.tls", "flags.*.verify", "flags.*.routes[].effect", "flags.*.routes[].atomic"];

/// One key: its place, what may stand there, its default and what it is for.
#[derive(Debug)]
pub(super) struct Key {
    /// Its place: dots between tables, `*` for a name that the user chooses, `[]` after an array of tables.
    pub(super) place: &'static str,
    /// What may stand there.
    pub(super) kind: Kind,
    /// What stands there when nobody writes it.
    pub(super) presence: Presence,
    /// One sentence for the reference page.
    pub(super) doc: &'static str,
}

/// What may stand at a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// An IP address and port to listen on.
    Address,
    /// An upstream's URL.
    Upstream,
    /// A collector's URL.
    Collector,
    /// A store's URL.
    StoreUrl,
    /// A file's path.
    File,
    /// A name that is safe in labels and keys.
    Name,
    /// A `tracing` filter.
    LogFilter,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer { min: u64, max: u64 },
    /// A number of bytes.
    Size { min: u64, max: u64 },
    /// A duration.
    Duration { min: Duration, max: Duration },
    /// 0.0 to 1.0.
    Ratio,
    /// 0 to 100, with two decimals.
    Percent,
    /// One of a closed set.
    Choice(&'static [&'static str]),
    /// Some of a closed set.
    Choices(&'static [&'static str]),
    /// An entity's template.
    Entity,
    /// A path's template.
    Path,
    /// HTTP methods.
    Methods,
    /// Where a value stands in a request.
    Source,
    /// The field of a document that an update writes.
    Pointer,
    /// Places in documents.
    Patterns,
    /// Names of headers.
    HeaderNames,
    /// The template of an answer, in JSON.
    Answer,
}

/// Whether a key must be written; the text is TOML.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presence {
    /// This is its value when it is left out.
    Default(&'static str),
    /// It must stand there where its table does; this is an example.
    Required(&'static str),
    /// It may be left out, which has a meaning of its own; this is an example.
    Optional(&'static str),
}

/// What a place in the tree holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node {
    /// A value.
    Leaf(&'static Key),
    /// A table.
    Table,
    /// An array of tables.
    Tables,
}

impl Key {
    pub(super) const fn new(
        place: &'static str,
        kind: Kind,
        presence: Presence,
        doc: &'static str,
    ) -> Self {
        Self { place, kind, presence, doc }
    }

    /// The place of the table that it stands in, and its own name.
    pub(super) fn split(&self) -> (&'static str, &'static str) {
        self.place.rsplit_once('.').unwrap_or(("", self.place))
    }

    /// Its default, where the built-in defaults hold one.
    pub(super) fn built_in(&self) -> Option<&'static str> {
        match self.presence {
            Presence::Default(toml) => Some(toml),
            Presence::Required(_) | Presence::Optional(_) => None,
        }
    }

    /// Whether it stands in a table that may be left out as a whole: it has a default only where that is written.
    pub(super) fn in_optional_table(&self) -> bool {
        OPTIONAL_TABLES.contains(&self.split().0)
    }
}

impl Kind {
    /// What may stand there, with its article, for a value of another TOML type.
    pub(super) const fn expects(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Integer { .. } => "a whole number",
            Self::Size { .. } => "a size, such as \"1MiB\" or 65536",
            Self::Duration { .. } => "a duration in quotes, such as \"50ms\"",
            Self::Ratio => "a number from 0 to 1",
            Self::Percent => "a percentage, such as 25 or \"12.5%\"",
            Self::Choices(_) => "a list of words, such as [\"probes\"]",
            Self::Methods => "a list of methods, such as [\"PUT\"]",
            Self::Patterns => "a list of places, such as [\"/segments/*/updatedAt\"]",
            Self::HeaderNames => "a list of headers, such as [\"content-type\"]",
            Self::Answer => "JSON in quotes, such as '{\"status\":\"{value}\"}'",
            _ => "text in quotes",
        }
    }
}

/// All keys, in the order of the reference page.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    table::KEYS.iter().chain(flag_table::KEYS)
}

/// What stands at a place; `None` for an unknown one.
pub(super) fn node(place: &str) -> Option<Node> {
    if place.is_empty() {
        return Some(Node::Table);
    }
    all().find_map(|key| match key.place.strip_prefix(place)?.as_bytes().first() {
        None => Some(Node::Leaf(key)),
        Some(b'.') => Some(Node::Table),
        Some(b'[') if !place.ends_with(']') => Some(Node::Tables),
        Some(_) => None,
    })
}

/// The place of `name` inside the table at `place`; `None` for a name that only looks like a place, such as a quoted
/// `"lease.wait"`.
pub(super) fn child_place(place: &str, name: &str) -> Option<String> {
    let at = |name: &str| {
        if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
    };
    let any = at("*");
    if node(&any).is_some() {
        Some(any)
    } else {
        (!name.contains(['.', '[', ']', '*'])).then(|| at(name))
    }
}

/// The path of `name` inside the table at `path`, as a person would write it.
pub(super) fn child_path(path: &str, name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let name = if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        toml::Value::from(name).to_string()
    };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// The names that may stand in the table at `place`, each once, in the order of the table of keys.
pub(super) fn names_in(place: &str) -> Vec<String> {
    let prefix = if place.is_empty() { String::new() } else { format!("{place}.") };
    let mut names: Vec<String> = Vec::new();
    for key in all() {
        let Some(rest) = key.place.strip_prefix(&prefix) else {
            continue;
        };
        let name = rest.split(['.', '[']).next().unwrap_or(rest);
        if name != "*" && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The keys that stand directly in the table at `place`.
pub(super) fn keys_in(place: &str) -> impl Iterator<Item = &'static Key> {
    all().filter(move |key| key.split().0 == place)
}

/// The one of `known` that `name` is most likely a slip of.
pub(super) fn suggestion(name: &str, known: &[String]) -> Option<String> {
    /// Below it names merely share letters.
    const LEAST_SIMILARITY: f64 = 0.7;

    let wanted = name.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|known| {
            (strsim::normalized_damerau_levenshtein(&wanted, &known.to_lowercase()), known)
        })
        .filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_value_a_table_or_unknown() {
        assert!(matches!(node(""), Some(Node::Table)));
        assert!(matches!(node("proxy"), Some(Node::Table)));
        assert!(
            matches!(node("proxy.listen"), Some(Node::Leaf(key)) if key.place == "proxy.listen")
        );
        assert!(matches!(node("flags.*"), Some(Node::Table)));
        assert!(matches!(node("flags.*.routes"), Some(Node::Tables)));
        assert!(matches!(node("flags.*.routes[]"), Some(Node::Table)));
        assert!(matches!(node("flags.*.routes[].path"), Some(Node::Leaf(_))));
        for unknown in ["prox", "proxy.liste", "proxy.listen.x", "flags.*.route", "flags[]"] {
            assert!(node(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn names_that_the_user_chooses_become_a_star() {
        assert_eq!(child_place("flags", "journey").as_deref(), Some("flags.*"));
        assert_eq!(child_place("flags", "a.b").as_deref(), Some("flags.*"));
        assert_eq!(child_place("proxy", "listen").as_deref(), Some("proxy.listen"));
        assert_eq!(child_place("", "proxy").as_deref(), Some("proxy"));
        assert_eq!(child_place("flags.*", "lease.wait"), None);
    }

    #[test]
    fn a_path_quotes_what_toml_would_quote() {
        assert_eq!(child_path("flags", "journey-updates"), "flags.journey-updates");
        assert_eq!(child_path("flags", "a.b"), "flags.\"a.b\"");
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = names_in("proxy");

        assert_eq!(suggestion("listne", &known).as_deref(), Some("listen"));
        assert_eq!(suggestion("max-body", &known).as_deref(), Some("max_body"));
        assert_eq!(suggestion("colour", &known), None);
    }

    #[test]
    fn every_place_stands_once_in_the_table() {
        for key in all() {
            assert_eq!(all().filter(|other| other.place == key.place).count(), 1, "{}", key.place);
            assert!(key.doc.ends_with('.'), "{}", key.place);
        }
    }
}
