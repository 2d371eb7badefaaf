//! Every value on its own: its kind, its bounds, and whether it must be there.

use config::ValueKind;

use super::error::{Fault, Problem};
use super::keys::{self, Key, Node, Presence};
use super::raw;
use super::tree::Branch;
use super::values;
use super::warning::{Notice, Warning};

/// What a check found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

impl Findings {
    /// Whether a problem with this key, a table above it or something within it is known: then what follows from it
    /// would only be noise.
    pub(super) fn covers(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.problems
            .iter()
            .filter(|problem| !problem.key.is_empty())
            .any(|problem| within(path, &problem.key) || within(&problem.key, path))
    }

    pub(super) fn refuse(&mut self, at: &Branch<'_>, fault: impl Into<Fault>) {
        self.problems.push(at.problem(fault));
    }

    pub(super) fn warn(&mut self, at: &Branch<'_>, notice: Notice) {
        let warning = Warning { origin: at.origin(), key: at.path().to_owned(), notice };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// Checks everything in the table at `place`, and that nothing is missing in it.
pub(super) fn table(at: &Branch<'_>, place: &str, findings: &mut Findings) {
    for (name, child) in at.children() {
        let Some(place) = keys::child_place(place, name) else {
            continue;
        };
        match keys::node(&place) {
            Some(Node::Table) => table(&child, &place, findings),
            Some(Node::Tables) => {
                let place = format!("{place}[]");
                for element in child.elements() {
                    table(&element, &place, findings);
                }
            }
            Some(Node::Leaf(key)) => leaf(&child, key, findings),
            None => {}
        }
    }
    for key in keys::keys_in(place) {
        let (_, name) = key.split();
        let child = at.at(name);
        if let (Presence::Required(example), None) = (key.presence, child.value())
            && !findings.covers(child.path())
        {
            let mut missing = at.problem(Fault::Missing { example: format!("{name} = {example}") });
            child.path().clone_into(&mut missing.key);
            findings.problems.push(missing);
        }
    }
}

fn leaf(at: &Branch<'_>, key: &Key, findings: &mut Findings) {
    let Some(value) = at.value() else { return };
    if let Err(fault) = values::check(value, &key.kind) {
        findings.refuse(at, fault);
    }
}

/// Whether the value is what the key would be anyway.
pub(super) fn says_default(at: &Branch<'_>, key: &Key) -> bool {
    let Presence::Default(default) = key.presence else {
        return false;
    };
    let default = raw::literal(raw::BUILT_IN, default);
    let kind = |value: Option<&config::Value>| value.map(|value| value.kind.clone());
    kind(default.as_ref()) == kind(at.value())
}

/// The text at a key, where it is text.
pub(super) fn text<'v>(at: &Branch<'v>) -> Option<&'v str> {
    match &at.value()?.kind {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}
