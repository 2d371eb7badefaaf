//! A place in the merged tree: reads values and says where they stand when they are wrong.

use config::{Value, ValueKind};

use super::error::{ConfigProblems, Fault, Origin, Problem};
use super::keys::{self, Kind, Node};
use super::raw;
use super::values;

/// A table, an array or a value, with its path. It may be missing.
#[derive(Clone, Debug)]
pub(super) struct Branch<'v> {
    value: Option<&'v Value>,
    path: String,
}

impl<'v> Branch<'v> {
    pub(super) fn root(value: &'v Value) -> Self {
        Self { value: Some(value), path: String::new() }
    }

    /// Where it stands, as a person would write it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn value(&self) -> Option<&'v Value> {
        self.value
    }

    /// What stands at `name`, a path of plain names such as `lease.wait`.
    pub(super) fn at(&self, name: &str) -> Self {
        name.split('.').fold(self.clone(), |branch, name| branch.child(name))
    }

    fn child(&self, name: &str) -> Self {
        let value = match self.value.map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => table.get(name),
            _ => None,
        };
        Self { value, path: keys::child_path(&self.path, name) }
    }

    /// The names and contents of a table, in the order of the names.
    pub(super) fn children(&self) -> Vec<(&'v str, Self)> {
        let Some(ValueKind::Table(table)) = self.value.map(|value| &value.kind) else {
            return Vec::new();
        };
        let mut names: Vec<&str> = table.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter().map(|name| (name, self.child(name))).collect()
    }

    /// The elements of an array.
    pub(super) fn elements(&self) -> Vec<Self> {
        let Some(ValueKind::Array(elements)) = self.value.map(|value| &value.kind) else {
            return Vec::new();
        };
        let path = |index| format!("{}[{index}]", self.path);
        elements
            .iter()
            .enumerate()
            .map(|(index, value)| Self { value: Some(value), path: path(index) })
            .collect()
    }

    /// Reads a value that must be there.
    pub(super) fn get<T>(
        &self,
        name: &str,
        read: fn(&Value) -> Result<T, Fault>,
    ) -> Result<T, ConfigProblems> {
        let branch = self.at(name);
        let missing = || Fault::Missing { example: format!("{name} = …") };
        let value = branch.value.ok_or_else(missing).and_then(read);
        value.map_err(|fault| ConfigProblems::from(branch.problem(fault)))
    }

    /// Reads a value that may be left out.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        read: fn(&Value) -> Result<T, Fault>,
    ) -> Result<Option<T>, ConfigProblems> {
        match self.at(name).value {
            Some(_) => self.get(name, read).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a value whose own faults are reported elsewhere.
    pub(super) fn peek<T>(&self, name: &str, read: fn(&Value) -> Result<T, Fault>) -> Option<T> {
        self.get(name, read).ok()
    }

    /// The layer that it came from.
    pub(super) fn origin(&self) -> Origin {
        self.value.map_or(Origin::Nowhere, raw::origin_of)
    }

    /// Something that is wrong with it.
    pub(super) fn problem(&self, fault: impl Into<Fault>) -> Problem {
        let leaf = |value: &&Value| !matches!(value.kind, ValueKind::Table(_));
        let may_hold_password = matches!(
            keys::node(&self.path),
            Some(Node::Leaf(key)) if matches!(key.kind, Kind::StoreUrl | Kind::Collector)
        );
        let shown = if may_hold_password { values::shown_url } else { values::shown };
        let value = self.value.filter(leaf).map(shown);
        Problem { origin: self.origin(), key: self.path.clone(), value, fault: fault.into() }
    }
}
