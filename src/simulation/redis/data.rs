//! What the store holds, and the commands that read and change it: those that the scripts use, and no others.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::super::documents::{Stored, Write};
use super::protocol::Reply;

/// Everything that is stored. A clone is a copy that was taken at one instant.
#[derive(Clone, Default)]
pub(in crate::simulation) struct Data {
    entries: BTreeMap<Vec<u8>, Entry>,
    /// All that was written to documents, as far as it is not forgotten.
    pub(super) writes: Vec<Rc<Write>>,
}

#[derive(Clone)]
struct Entry {
    value: Value,
    /// By the store's clock, in milliseconds.
    expires: Option<u64>,
}

#[derive(Clone)]
enum Value {
    String(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    List(VecDeque<Vec<u8>>),
    Stream(Vec<(StreamId, Vec<Vec<u8>>)>),
}

/// Milliseconds, and a number among those of the same one.
type StreamId = (u64, u64);

/// Why a command is answered with an error.
pub(super) enum Refusal {
    /// The key holds something else.
    WrongType,
    /// The server says so.
    Error(String),
    /// It is not simulated: the simulation has to be extended.
    NotSimulated(String),
}

type Outcome = Result<Reply, Refusal>;

const COMMANDS: &[(&str, bool)] = &[
    ("DEL", true),
    ("EXISTS", false),
    ("GET", false),
    ("HDEL", true),
    ("HGET", false),
    ("HGETALL", false),
    ("HKEYS", false),
    ("HLEN", false),
    ("HSET", true),
    ("HSETNX", true),
    ("HSTRLEN", false),
    ("INCR", true),
    ("INCRBY", true),
    ("LINDEX", false),
    ("LLEN", false),
    ("LPOP", true),
    ("LPOS", false),
    ("LPUSH", true),
    ("LRANGE", false),
    ("LREM", true),
    ("LTRIM", true),
    ("PEXPIRE", true),
    ("PTTL", false),
    ("RPUSH", true),
    ("SET", true),
    ("STRLEN", false),
    ("TYPE", false),
    ("XADD", true),
    ("XREVRANGE", false),
];

/// Whether a command of a key writes; `None` where there is no such command.
pub(super) fn writes(name: &str) -> Option<bool> {
    COMMANDS.iter().find(|(known, _)| *known == name).map(|(_, writes)| *writes)
}

impl Data {
    /// Runs one command on one key.
    pub(super) fn run(&mut self, now_ms: u64, name: &str, words: &[Vec<u8>]) -> Outcome {
        let Some((key, rest)) = words.split_first() else {
            return not_simulated(name, words);
        };
        let dead = |entry: &Entry| entry.expires.is_some_and(|at| at <= now_ms);
        if self.entries.get(key).is_some_and(dead) {
            self.entries.remove(key);
        }
        let args: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
        match name {
            "DEL" => Ok(flag(self.entries.remove(key).is_some())),
            "EXISTS" => Ok(flag(self.entries.contains_key(key))),
            "TYPE" => Ok(Reply::Status(self.kind(key).to_owned())),
            "PTTL" => Ok(Reply::Integer(self.entries.get(key).map_or(-2, |entry| {
                entry.expires.map_or(-1, |at| i64::try_from(at - now_ms).unwrap())
            }))),
            "PEXPIRE" => {
                let at = now_ms + number(args[0])?;
                let entry = self.entries.get_mut(key);
                Ok(flag(entry.map(|entry| entry.expires = Some(at)).is_some()))
            }
            "GET" | "SET" | "STRLEN" | "INCR" | "INCRBY" => {
                self.of_string(now_ms, name, key, &args)
            }
            "XADD" | "XREVRANGE" => self.of_stream(now_ms, name, key, &args),
            _ if name.starts_with('H') => self.of_hash(name, key, &args),
            _ => self.of_list(name, key, &args),
        }
    }

    /// A document as it is stored, whether it has expired or not.
    pub(super) fn document(&self, key: &[u8]) -> Option<Stored> {
        let entry = self.entries.get(key)?;
        let Value::String(bytes) = &entry.value else { return None };
        Some(Stored { bytes: bytes.clone(), expires: entry.expires })
    }

    /// The same, with the flags of another one.
    pub(in crate::simulation) fn with_flags_of(mut self, other: &Self) -> Self {
        let is_flags = |key: &Vec<u8>| {
            let key = String::from_utf8_lossy(key);
            [":flags", ":revision", ":history:"].iter().any(|part| key.contains(part))
        };
        self.entries.retain(|key, _| !is_flags(key));
        let flags = other.entries.iter().filter(|(key, _)| is_flags(key));
        self.entries.extend(flags.map(|(key, entry)| (key.clone(), entry.clone())));
        self
    }

    fn kind(&self, key: &[u8]) -> &'static str {
        match self.entries.get(key).map(|entry| &entry.value) {
            None => "none",
            Some(Value::String(_)) => "string",
            Some(Value::Hash(_)) => "hash",
            Some(Value::List(_)) => "list",
            Some(Value::Stream(_)) => "stream",
        }
    }

    /// What is at a key; a new one where nothing is.
    fn at(&mut self, key: &[u8], new: Value) -> &mut Value {
        let entry = || Entry { value: new, expires: None };
        &mut self.entries.entry(key.to_vec()).or_insert_with(entry).value
    }

    fn of_string(&mut self, now_ms: u64, name: &str, key: &[u8], args: &[&[u8]]) -> Outcome {
        let stored = match self.entries.get(key).map(|entry| &entry.value) {
            None => None,
            Some(Value::String(bytes)) => Some(bytes.clone()),
            Some(_) if name == "SET" => None,
            Some(_) => return Err(Refusal::WrongType),
        };
        match (name, args) {
            ("STRLEN", []) => Ok(count(stored.map_or(0, |bytes| bytes.len()))),
            ("GET", []) => Ok(stored.map_or(Reply::Nil, Reply::Bulk)),
            ("INCR" | "INCRBY", by) => {
                let by = by.first().map_or(Ok(1), |by| number(by))?;
                let sum = stored.as_deref().map_or(Ok(0), number)? + by;
                *self.at(key, Value::String(Vec::new())) =
                    Value::String(sum.to_string().into_bytes());
                Ok(Reply::Integer(i64::try_from(sum).unwrap()))
            }
            ("SET", [value, how @ ..]) => {
                let expires = match how {
                    [] => None,
                    [b"NX"] if self.entries.contains_key(key) => return Ok(Reply::Nil),
                    [b"NX"] => None,
                    [b"KEEPTTL"] => self.entries.get(key).and_then(|entry| entry.expires),
                    [b"PX", time] => Some(now_ms + number(time)?),
                    _ => return not_simulated(name, args),
                };
                let entry = Entry { value: Value::String(value.to_vec()), expires };
                self.entries.insert(key.to_vec(), entry);
                Ok(Reply::ok())
            }
            _ => not_simulated(name, args),
        }
    }

    fn of_hash(&mut self, name: &str, key: &[u8], args: &[&[u8]]) -> Outcome {
        if !name.starts_with("HSET") && !self.entries.contains_key(key) {
            return Ok(match name {
                "HGET" => Reply::Nil,
                "HGETALL" | "HKEYS" => Reply::Array(Vec::new()),
                _ => Reply::Integer(0),
            });
        }
        let Value::Hash(hash) = self.at(key, Value::Hash(BTreeMap::new())) else {
            return Err(Refusal::WrongType);
        };
        let bulk = |bytes: &Vec<u8>| Reply::Bulk(bytes.clone());
        let reply = match (name, args) {
            ("HGET", [field]) => hash.get(*field).map_or(Reply::Nil, bulk),
            ("HGETALL", []) => {
                let pairs = hash.iter().flat_map(|(field, value)| [bulk(field), bulk(value)]);
                Reply::Array(pairs.collect())
            }
            ("HKEYS", []) => Reply::Array(hash.keys().map(bulk).collect()),
            ("HLEN", []) => count(hash.len()),
            ("HSTRLEN", [field]) => count(hash.get(*field).map_or(0, Vec::len)),
            ("HSET", [field, value]) => flag(hash.insert(field.to_vec(), value.to_vec()).is_none()),
            ("HSETNX", [field, _]) if hash.contains_key(*field) => flag(false),
            ("HSETNX", [field, value]) => {
                hash.insert(field.to_vec(), value.to_vec());
                flag(true)
            }
            ("HDEL", [field]) => flag(hash.remove(*field).is_some()),
            _ => return not_simulated(name, args),
        };
        if hash.is_empty() {
            self.entries.remove(key);
        }
        Ok(reply)
    }

    fn of_list(&mut self, name: &str, key: &[u8], args: &[&[u8]]) -> Outcome {
        if !name.ends_with("PUSH") && !self.entries.contains_key(key) {
            return Ok(match name {
                "LREM" | "LLEN" => Reply::Integer(0),
                "LRANGE" => Reply::Array(Vec::new()),
                "LTRIM" => Reply::ok(),
                _ => Reply::Nil,
            });
        }
        let Value::List(list) = self.at(key, Value::List(VecDeque::new())) else {
            return Err(Refusal::WrongType);
        };
        let reply = match (name, args) {
            ("LINDEX", [b"0"]) => list.front().cloned().map_or(Reply::Nil, Reply::Bulk),
            ("LPOP", []) => list.pop_front().map_or(Reply::Nil, Reply::Bulk),
            ("LPOS", [element]) => {
                let place = list.iter().position(|it| it == element);
                place.map_or(Reply::Nil, count)
            }
            ("LREM", [b"0", element]) => {
                let before = list.len();
                list.retain(|it| it != element);
                count(before - list.len())
            }
            ("LLEN", []) => count(list.len()),
            ("LRANGE", [b"0", b"-1"]) => {
                Reply::Array(list.iter().cloned().map(Reply::Bulk).collect())
            }
            ("LTRIM", [first, b"-1"]) => {
                let first = usize::try_from(number(first)?).unwrap();
                list.drain(..first.min(list.len()));
                Reply::ok()
            }
            ("LPUSH", [element]) => {
                list.push_front(element.to_vec());
                count(list.len())
            }
            ("RPUSH", [element]) => {
                list.push_back(element.to_vec());
                count(list.len())
            }
            _ => return not_simulated(name, args),
        };
        if list.is_empty() {
            self.entries.remove(key);
        }
        Ok(reply)
    }

    fn of_stream(&mut self, now_ms: u64, name: &str, key: &[u8], args: &[&[u8]]) -> Outcome {
        if name == "XREVRANGE" && !self.entries.contains_key(key) {
            return Ok(Reply::Array(Vec::new()));
        }
        let Value::Stream(stream) = self.at(key, Value::Stream(Vec::new())) else {
            return Err(Refusal::WrongType);
        };
        match (name, args) {
            // Trimming about so is allowed to trim nothing.
            ("XADD", [b"MAXLEN", b"~", _, b"*", fields @ ..]) => {
                let last = stream.last().map_or((0, 0), |(id, _)| *id);
                let id = if last.0 >= now_ms { (last.0, last.1 + 1) } else { (now_ms, 0) };
                stream.push((id, fields.iter().map(|it| it.to_vec()).collect()));
                Ok(Reply::text(&format!("{}-{}", id.0, id.1)))
            }
            ("XREVRANGE", [from, b"-", b"COUNT", most]) => {
                let before = match *from {
                    b"+" => (u64::MAX, 0),
                    from => stream_id(from)?,
                };
                let entry = |(id, fields): &(StreamId, Vec<Vec<u8>>)| {
                    let fields = fields.iter().map(|field| Reply::Bulk(field.clone()));
                    let id = Reply::text(&format!("{}-{}", id.0, id.1));
                    Reply::Array(vec![id, Reply::Array(fields.collect())])
                };
                let most = usize::try_from(number(most)?).unwrap();
                let found = stream.iter().rev().filter(|(id, _)| *id < before).take(most);
                Ok(Reply::Array(found.map(entry).collect()))
            }
            _ => not_simulated(name, args),
        }
    }
}

/// An id that is not part of what is asked for: it begins with a bracket.
fn stream_id(text: &[u8]) -> Result<StreamId, Refusal> {
    let parts = text.strip_prefix(b"(").and_then(|id| {
        let at = id.iter().position(|byte| *byte == b'-')?;
        Some((number(&id[..at]).ok()?, number(&id[at + 1..]).ok()?))
    });
    parts.ok_or_else(|| Refusal::Error("ERR Invalid stream ID".to_owned()))
}

fn flag(value: bool) -> Reply {
    Reply::Integer(i64::from(value))
}

fn count(value: usize) -> Reply {
    Reply::Integer(i64::try_from(value).unwrap())
}

fn number(text: &[u8]) -> Result<u64, Refusal> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Refusal::Error("ERR value is not an integer or out of range".to_owned()))
}

fn not_simulated(name: &str, words: &[impl AsRef<[u8]>]) -> Outcome {
    let words: Vec<_> = words.iter().map(|it| String::from_utf8_lossy(it.as_ref())).collect();
    Err(Refusal::NotSimulated(format!("{name} {}", words.join(" "))))
}
