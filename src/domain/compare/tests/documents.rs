//! Documents made up for properties: written in many ways, changed at places, looked into by pointers.
//!
//! Nothing here uses what it tests: documents are written and looked into by code of their own.

use proptest::prelude::*;

/// A document, members in no order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doc {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Doc>),
    Object(Vec<(String, Doc)>),
}

/// Where something is in a document: the position of each member or element, from the root.
pub(super) type Way = Vec<usize>;

/// Never made up, so it differs from all that is.
pub(super) const PLANTED: &str = "planted";

/// Names with everything that a pointer has to escape; none is a wildcard.
const NAMES: [&str; 12] =
    ["a", "b", "at", "id", "", "0", "01", "a/b", "m~n", "~1", "é\u{1f600}", "\"\\\n"];

const NUMBERS: [&str; 12] =
    ["0", "-0", "1", "2", "-1", "10", "11", "12.5", "12.50", "850.5", "1e2", "100"];

/// Any document, some 30 values large.
pub(super) fn any_doc() -> impl Strategy<Value = Doc> {
    let leaf = prop_oneof![
        Just(Doc::Null),
        any::<bool>().prop_map(Doc::Bool),
        prop::sample::select(NUMBERS.as_slice()).prop_map(|text| Doc::Number(text.to_owned())),
        "[a-c\"\\\\/\u{1}é]{0,3}".prop_map(Doc::Text),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let member = (prop::sample::select(NAMES.as_slice()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Doc::Array),
            prop::collection::vec(member, 0..5).prop_map(|members| {
                let mut object: Vec<(String, Doc)> = Vec::new();
                for (name, value) in members {
                    if object.iter().all(|(known, _)| known != name) {
                        object.push((name.to_owned(), value));
                    }
                }
                Doc::Object(object)
            }),
        ]
    })
}

impl Doc {
    /// The ways to all values, the root first.
    pub(super) fn ways(&self) -> Vec<Way> {
        let mut ways = vec![Vec::new()];
        for (i, child) in self.children().into_iter().enumerate() {
            ways.extend(child.ways().into_iter().map(|way| [vec![i], way].concat()));
        }
        ways
    }

    fn children(&self) -> Vec<&Doc> {
        match self {
            Doc::Array(elements) => elements.iter().collect(),
            Doc::Object(members) => members.iter().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn at(&self, way: &[usize]) -> &Doc {
        way.iter().fold(self, |doc, step| doc.children()[*step])
    }

    pub(super) fn at_mut(&mut self, way: &[usize]) -> &mut Doc {
        way.iter().fold(self, |doc, step| match doc {
            Doc::Array(elements) => &mut elements[*step],
            Doc::Object(members) => &mut members[*step].1,
            _ => panic!("nothing is inside of a {doc:?}"),
        })
    }

    /// The pointer to what is at the end of a way.
    pub(super) fn pointer(&self, way: &[usize]) -> String {
        let mut pointer = String::new();
        for (depth, step) in way.iter().enumerate() {
            let token = match self.at(&way[..depth]) {
                Doc::Object(members) => members[*step].0.replace('~', "~0").replace('/', "~1"),
                _ => step.to_string(),
            };
            pointer = format!("{pointer}/{token}");
        }
        pointer
    }

    /// What a pointer leads to, by RFC 6901.
    pub(super) fn resolve(&self, pointer: &str) -> Option<&Doc> {
        let mut doc = self;
        for token in pointer.split('/').skip(1) {
            let name = token.replace("~1", "/").replace("~0", "~");
            doc = match doc {
                Doc::Object(members) => &members.iter().find(|(known, _)| *known == name)?.1,
                Doc::Array(elements) => elements.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        (pointer.is_empty() || pointer.starts_with('/')).then_some(doc)
    }

    /// The same document with its members, or its elements too, in another order.
    pub(super) fn shuffled(&self, random: &mut fastrand::Rng, with_elements: bool) -> Doc {
        match self {
            Doc::Array(elements) => {
                let mut elements: Vec<_> = elements
                    .iter()
                    .map(|element| element.shuffled(random, with_elements))
                    .collect();
                if with_elements {
                    random.shuffle(&mut elements);
                }
                Doc::Array(elements)
            }
            Doc::Object(members) => {
                let inside = |(name, value): &(String, Doc)| {
                    (name.clone(), value.shuffled(random, with_elements))
                };
                let mut members: Vec<_> = members.iter().map(inside).collect();
                random.shuffle(&mut members);
                Doc::Object(members)
            }
            other => other.clone(),
        }
    }

    /// As JSON: blanks and escapes as they fall.
    pub(super) fn written(&self, random: &mut fastrand::Rng) -> String {
        let blank = ["", "", " ", "\n\t"][random.usize(..4)];
        let inside = match self {
            Doc::Null => "null".to_owned(),
            Doc::Bool(value) => value.to_string(),
            Doc::Number(text) => text.clone(),
            Doc::Text(text) => quoted(text, random),
            Doc::Array(elements) => {
                let elements: Vec<_> =
                    elements.iter().map(|element| element.written(random)).collect();
                format!("[{}{blank}]", elements.join(","))
            }
            Doc::Object(members) => {
                let mut written = Vec::new();
                for (name, value) in members {
                    written.push(format!(
                        "{blank}{}{blank}:{}",
                        quoted(name, random),
                        value.written(random)
                    ));
                }
                format!("{{{}{blank}}}", written.join(","))
            }
        };
        format!("{blank}{inside}{blank}")
    }
}

fn quoted(text: &str, random: &mut fastrand::Rng) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() || random.u8(..4) == 0 => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    quoted.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
