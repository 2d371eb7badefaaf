//! Runs the store's scripts, as they are, in the Lua that a Redis has.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use mlua::{Function, IntoLua, Lua, MultiValue, Table, Value};
use serde_json::Value as Json;

use super::data::{self, Refusal};
use super::protocol::Reply;

/// What a script reaches.
pub(super) trait Host {
    /// The store's time, in microseconds.
    fn now_us(&self) -> u64;
    /// Runs a command on a key.
    fn run(&self, name: &str, words: &[Vec<u8>]) -> Result<Reply, Refusal>;
    /// Tells a channel something; how many heard it.
    fn publish(&self, channel: &[u8], message: &[u8]) -> usize;
    /// A script wants what is not simulated.
    fn not_simulated(&self, what: &str);
}

/// The scripts that the server knows, and what they run in.
pub(super) struct Scripts {
    lua: Lua,
    known: RefCell<BTreeMap<String, Known>>,
    call: Rc<RefCell<Call>>,
    host: Rc<dyn Host>,
    /// What is changed in the text of each: a negative test.
    changes: Cell<&'static [(&'static str, &'static str)]>,
}

/// A script.
#[derive(Clone)]
struct Known {
    body: Function,
    writes: bool,
}

/// The script that runs.
#[derive(Default)]
struct Call {
    keys: Vec<Vec<u8>>,
    may_write: bool,
}

impl Scripts {
    pub(super) fn new(host: Rc<dyn Host>) -> Self {
        let lua = Lua::new();
        let call = Rc::<RefCell<Call>>::default();
        let redis = lua.create_table().unwrap();
        for (name, raises) in [("call", true), ("pcall", false)] {
            let (call, host) = (Rc::clone(&call), Rc::clone(&host));
            let run = move |lua: &Lua, words: MultiValue| {
                let reply = command(&call.borrow(), &*host, words)?;
                match reply {
                    Reply::Error(text) if raises => Err(mlua::Error::runtime(text)),
                    reply => into_lua(lua, reply),
                }
            };
            redis.set(name, lua.create_function(run).unwrap()).unwrap();
        }
        let cjson = lua.create_table().unwrap();
        cjson.set("decode", lua.create_function(decode).unwrap()).unwrap();
        lua.globals().set("redis", redis).unwrap();
        lua.globals().set("cjson", cjson).unwrap();
        Self { lua, known: RefCell::default(), call, host, changes: Cell::default() }
    }

    /// Forgets all of them, as a server does that starts.
    pub(super) fn forget(&self) {
        self.known.borrow_mut().clear();
    }

    /// Replaces something in each script that is made known from here on.
    pub(super) fn change(&self, changes: &'static [(&'static str, &'static str)]) {
        self.changes.set(changes);
    }

    /// Makes a script known; its name.
    pub(super) fn load(&self, text: &str) -> String {
        let name = redis::Script::new(text).get_hash().to_owned();
        let (first, body) = text.split_once('\n').unwrap();
        let flags = first.strip_prefix("#!lua").unwrap().trim();
        let writes = match flags {
            "" | "flags=allow-oom" => true,
            "flags=no-writes" => false,
            other => panic!("a script's flags are not simulated: {other}"),
        };
        let change = |body: String, (from, to): &(&str, &str)| body.replace(from, to);
        let body = self.changes.get().iter().fold(body.to_owned(), change);
        let body = self.lua.load(body).set_name("script").into_function().unwrap();
        self.known.borrow_mut().insert(name.clone(), Known { body, writes });
        name
    }

    /// Runs a script by its name; `None` where it is not known.
    pub(super) fn run(&self, name: &str, keys: &[Vec<u8>], arguments: &[Vec<u8>]) -> Option<Reply> {
        let Known { body, writes } = self.known.borrow().get(name)?.clone();
        self.call.replace(Call { keys: keys.to_vec(), may_write: writes });
        let globals = self.lua.globals();
        globals.set("KEYS", self.strings(keys)).unwrap();
        globals.set("ARGV", self.strings(arguments)).unwrap();
        Some(match body.call::<Value>(()) {
            Ok(value) => from_lua(&value),
            Err(error) => {
                // Ours never stop at an error, in any store that is well.
                self.host.not_simulated(&format!("a script stopped: {error}"));
                Reply::Error(format!("ERR {error}"))
            }
        })
    }

    fn strings(&self, words: &[Vec<u8>]) -> Table {
        let strings = words.iter().map(|word| self.lua.create_string(word).unwrap());
        self.lua.create_sequence_from(strings).unwrap()
    }
}

fn command(call: &Call, host: &dyn Host, words: MultiValue) -> mlua::Result<Reply> {
    let mut words: Vec<Vec<u8>> = words.iter().map(word).collect();
    if words.is_empty() {
        return Err(mlua::Error::runtime("a command without a name"));
    }
    let name = String::from_utf8(words.remove(0)).unwrap().to_ascii_uppercase();
    match name.as_str() {
        "TIME" => {
            let now = host.now_us();
            let parts = [now / 1_000_000, now % 1_000_000];
            return Ok(Reply::Array(parts.map(|part| Reply::text(&part.to_string())).to_vec()));
        }
        "PUBLISH" => {
            let heard = host.publish(&words[0], &words[1]);
            return Ok(Reply::Integer(i64::try_from(heard).unwrap()));
        }
        _ => {}
    }
    let Some(writes) = data::writes(&name) else {
        host.not_simulated(&name);
        return Ok(Reply::Error(format!("ERR unknown command '{name}'")));
    };
    // A cluster would refuse it.
    if !call.keys.contains(&words[0]) {
        host.not_simulated(&format!("{name} of a key that the script does not name"));
    }
    if writes && !call.may_write {
        host.not_simulated(&format!("{name} in a script that says that it does not write"));
    }
    Ok(match host.run(&name, &words) {
        Ok(reply) => reply,
        Err(Refusal::WrongType) => Reply::Error("WRONGTYPE the key holds something else".into()),
        Err(Refusal::Error(text)) => Reply::Error(text),
        Err(Refusal::NotSimulated(what)) => {
            host.not_simulated(&what);
            Reply::Error(format!("ERR not simulated: {what}"))
        }
    })
}

/// An argument of a command, as a server takes it.
fn word(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Number(number) if number.fract() == 0.0 => format!("{number:.0}").into_bytes(),
        other => panic!("no argument of a command: {other:?}"),
    }
}

fn into_lua(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    match reply {
        Reply::Nil => Ok(Value::Boolean(false)),
        Reply::Integer(number) => number.into_lua(lua),
        Reply::Bulk(bytes) => lua.create_string(&bytes)?.into_lua(lua),
        Reply::Status(text) => lua.create_table_from([("ok", text)])?.into_lua(lua),
        Reply::Error(text) => lua.create_table_from([("err", text)])?.into_lua(lua),
        Reply::Array(replies) => {
            let values: mlua::Result<Vec<Value>> =
                replies.into_iter().map(|reply| into_lua(lua, reply)).collect();
            lua.create_sequence_from(values?)?.into_lua(lua)
        }
        Reply::Map(_) | Reply::Push(_) => Err(mlua::Error::runtime("no answer to a command")),
    }
}

/// What a script gives, as the server answers it: numbers lose their fraction, a list ends at the first nothing.
fn from_lua(value: &Value) -> Reply {
    match value {
        Value::Nil | Value::Boolean(false) => Reply::Nil,
        Value::Boolean(true) => Reply::Integer(1),
        Value::Integer(number) => Reply::Integer(*number),
        #[allow(clippy::cast_possible_truncation, reason = "as the server does it")]
        Value::Number(number) => Reply::Integer(*number as i64),
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Table(table) => {
            if let Ok(Value::String(text)) = table.raw_get("ok") {
                return Reply::Status(text.to_string_lossy());
            }
            if let Ok(Value::String(text)) = table.raw_get("err") {
                return Reply::Error(text.to_string_lossy());
            }
            let values = (1..).map(|place| table.raw_get::<Value>(place).unwrap());
            Reply::Array(
                values.take_while(|value| !value.is_nil()).map(|it| from_lua(&it)).collect(),
            )
        }
        other => panic!("no answer of a script: {other:?}"),
    }
}

fn decode(lua: &Lua, text: mlua::String) -> mlua::Result<Value> {
    let json: Json = serde_json::from_slice(&text.as_bytes()).map_err(mlua::Error::external)?;
    json_to_lua(lua, json)
}

fn json_to_lua(lua: &Lua, json: Json) -> mlua::Result<Value> {
    match json {
        Json::Null => Ok(Value::NULL),
        Json::Bool(value) => Ok(Value::Boolean(value)),
        Json::Number(number) => number.as_f64().into_lua(lua),
        Json::String(text) => text.into_lua(lua),
        Json::Array(values) => {
            let values: mlua::Result<Vec<Value>> =
                values.into_iter().map(|value| json_to_lua(lua, value)).collect();
            lua.create_sequence_from(values?)?.into_lua(lua)
        }
        Json::Object(members) => {
            let table = lua.create_table()?;
            for (name, value) in members {
                table.set(name, json_to_lua(lua, value)?)?;
            }
            table.into_lua(lua)
        }
    }
}
