//! The configuration as written: layers from files and the environment, each checked for its shape while it still
//! knows where it came from, then laid over each other by the `config` crate.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use config::{FileFormat, Format, Map, Source, Value, ValueKind};

use super::environment;
use super::error::{Fault, Origin, Problem};
use super::keys::{self, Node};
use super::values;

/// The most that one configuration file may have, in bytes: enough for every flag and route that is allowed.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The origin of values that nobody wrote.
pub(super) const BUILT_IN: &str = "built-in default";

/// One layer: a tree of values that know their origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(pub(super) Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Reads every layer, reports what has no place in it and gives the rest, merged, as one tree; `above` is over them all.
pub(super) fn read(
    files: &[PathBuf],
    env: impl Iterator<Item = (String, String)>,
    above: &Layer,
    problems: &mut Vec<Problem>,
) -> Value {
    let mut layers = Vec::new();
    for file in files {
        match read_file(file) {
            Ok(layer) => layers.push(layer),
            Err(fault) => problems.push(Problem {
                origin: Origin::Layer(file.display().to_string()),
                key: String::new(),
                value: None,
                fault,
            }),
        }
    }
    for layer in &mut layers {
        prune_table(&mut layer.0, "", "", problems);
    }
    let flags = flag_names(&layers);
    layers.push(environment::layer(env, &flags, problems));
    layers.push(above.clone());
    merge(defaults(&flags, &layers), layers)
}

fn merge(defaults: Layer, layers: Vec<Layer>) -> Value {
    let empty = config::Config::builder().add_source(defaults);
    let merged = layers.into_iter().fold(empty, |under, layer| under.add_source(layer)).build();
    // `Layer::collect` can't fail, so neither can this.
    merged.map(|merged| merged.cache).unwrap_or_default()
}

fn read_file(path: &Path) -> Result<Layer, Fault> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Fault::Unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(Fault::Unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Fault::FileTooLarge { max: MAX_FILE_BYTES });
    }
    let text = String::from_utf8(bytes)
        .map_err(|cause| Fault::Unreadable(io::Error::new(io::ErrorKind::InvalidData, cause)))?;
    parse(&path.display().to_string(), &text)
}

/// Reads TOML whose values will say that they come from `origin`.
pub(super) fn parse(origin: &str, text: &str) -> Result<Layer, Fault> {
    // A byte-order mark is no part of the text; some editors write one.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    FileFormat::Toml.parse(Some(&origin.to_owned()), text).map(Layer).map_err(|cause| {
        match cause.downcast::<toml::de::Error>() {
            Ok(syntax) => syntax_fault(&syntax, text),
            Err(other) => Fault::Unusable(other),
        }
    })
}

/// The offending line itself stays out of the message: it may hold a secret.
fn syntax_fault(error: &toml::de::Error, text: &str) -> Fault {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Fault::Syntax {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        message: error.message().trim().replace('\n', ", "),
    }
}

/// Takes out of a table what has no place there, and reports it. What stays has the shape of the table of keys.
fn prune_table(
    table: &mut Map<String, Value>,
    place: &str,
    path: &str,
    problems: &mut Vec<Problem>,
) {
    let names: BTreeSet<String> = table.keys().cloned().collect();
    for name in names {
        let Some(value) = table.get_mut(&name) else {
            continue;
        };
        let child_path = keys::child_path(path, &name);
        let known =
            keys::child_place(place, &name).and_then(|place| Some((keys::node(&place)?, place)));
        let pruned = match known {
            Some((node, place)) => prune(value, node, &place, &child_path, problems),
            None => Err(unknown(place, &name)),
        };
        if let Err(fault) = pruned {
            problems.push(Problem {
                origin: origin_of(value),
                key: child_path,
                value: None,
                fault,
            });
            table.remove(&name);
        }
    }
}

fn prune(
    value: &mut Value,
    node: Node,
    place: &str,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Result<(), Fault> {
    let found = values::type_name(value);
    let wrong = |expected| Err(Fault::WrongType { expected, found });
    match (node, &mut value.kind) {
        (Node::Table, ValueKind::Table(table)) => prune_table(table, place, path, problems),
        (Node::Table, _) => return wrong("a table"),
        (Node::Tables, ValueKind::Array(elements)) => {
            let place = format!("{place}[]");
            for (index, element) in elements.iter_mut().enumerate() {
                let path = format!("{path}[{index}]");
                match &mut element.kind {
                    ValueKind::Table(table) => prune_table(table, &place, &path, problems),
                    _ => return wrong("an array of tables"),
                }
            }
        }
        (Node::Tables, _) => return wrong("an array of tables"),
        (Node::Leaf(key), ValueKind::Table(_)) => {
            return wrong(key.kind.expects());
        }
        (Node::Leaf(_), _) => {}
    }
    Ok(())
}

/// Says what may stand in the table at `place` in place of `name`.
fn unknown(place: &str, name: &str) -> Fault {
    let known = keys::names_in(place);
    Fault::UnknownKey { suggestion: keys::suggestion(name, &known), known }
}

/// The layer that a value, or the first value within it, came from.
pub(super) fn origin_of(value: &Value) -> Origin {
    written_origin(value).map_or(Origin::Nowhere, |origin| Origin::Layer(origin.to_owned()))
}

/// Merged tables have no origin of their own, so that of their first written value stands for it.
fn written_origin(value: &Value) -> Option<&str> {
    if let Some(origin) = value.origin() {
        return (origin != BUILT_IN).then_some(origin);
    }
    match &value.kind {
        ValueKind::Table(table) => {
            let mut names: Vec<_> = table.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            names.into_iter().find_map(|(_, value)| written_origin(value))
        }
        ValueKind::Array(elements) => elements.iter().find_map(written_origin),
        _ => None,
    }
}

/// The flags that any of the layers defines.
fn flag_names(layers: &[Layer]) -> BTreeSet<String> {
    layers
        .iter()
        .filter_map(|layer| match &layer.0.get("flags")?.kind {
            ValueKind::Table(flags) => Some(flags.keys().cloned()),
            _ => None,
        })
        .flatten()
        .collect()
}

/// The built-in defaults, for exactly these flags. Those of a table that may be left out stand there only where a layer
/// writes it.
fn defaults(flags: &BTreeSet<String>, layers: &[Layer]) -> Layer {
    let mut layer = Layer::default();
    for key in keys::all() {
        let Some(value) = key.built_in().and_then(|text| literal(BUILT_IN, text)) else {
            continue;
        };
        match key.place.strip_prefix("flags.*.") {
            None => insert(&mut layer.0, key.place.split('.'), value),
            Some(rest) => {
                let table = rest.rsplit_once('.').map_or("", |(table, _)| table);
                let stands = |flag: &&String| {
                    !key.in_optional_table()
                        || layers.iter().any(|layer| has_table(layer, flag, table))
                };
                for flag in flags.iter().filter(stands) {
                    let path = ["flags", flag].into_iter().chain(rest.split('.'));
                    insert(&mut layer.0, path, value.clone());
                }
            }
        }
    }
    layer
}

/// Whether a layer writes this table of a flag.
fn has_table(layer: &Layer, flag: &str, table: &str) -> bool {
    let flag = layer.0.get("flags").and_then(|flags| within(flags, flag));
    let found = table.split('.').fold(flag, |at, name| within(at?, name));
    found.is_some_and(|found| matches!(found.kind, ValueKind::Table(_)))
}

fn within<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match &value.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    }
}

/// One TOML value; `None` when it is none.
pub(super) fn literal(origin: &str, text: &str) -> Option<Value> {
    parse(origin, &format!("value = {text}")).ok()?.0.remove("value")
}

/// Sets the value at a path of names, making tables on the way.
pub(super) fn insert<'a>(
    table: &mut Map<String, Value>,
    mut path: impl Iterator<Item = &'a str>,
    value: Value,
) {
    let Some(first) = path.next() else { return };
    let mut at = table.entry(first.to_owned()).or_default();
    for name in path {
        if !matches!(at.kind, ValueKind::Table(_)) {
            at.kind = ValueKind::Table(Map::new());
        }
        let ValueKind::Table(inner) = &mut at.kind else {
            return;
        };
        at = inner.entry(name.to_owned()).or_default();
    }
    *at = value;
}
