//! Scripts that run inside the store.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use redis::Cmd;

use crate::telemetry::labels::StoreOperation;

/// The command that runs a script by its name.
pub(super) const BY_HASH: &str = "EVALSHA";
/// The command that runs a script by its text.
pub(super) const BY_TEXT: &str = "EVAL";

/// A Lua script. One dialect for Redis 7 and 8 and for Valkey; it names all its keys, decides before it writes, and is
/// idempotent by what it is told, so that it may be sent twice. What it refuses it says in its answer, not by an error.
pub(crate) struct Script {
    /// What it is counted as.
    pub(crate) operation: StoreOperation,
    /// The text.
    pub(crate) text: &'static str,
}

/// The names that a server gives to scripts it knows: their SHA-1. Computed once.
#[derive(Default)]
pub(super) struct Hashes {
    by_text: RefCell<BTreeMap<&'static str, Rc<str>>>,
}

impl Hashes {
    /// The name of a script.
    pub(super) fn of(&self, script: &Script) -> Rc<str> {
        let mut known = self.by_text.borrow_mut();
        let compute = || redis::Script::new(script.text).get_hash().into();
        Rc::clone(known.entry(script.text).or_insert_with(compute))
    }
}

/// The command that runs a script that the server should know.
pub(super) fn by_hash(hash: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    command(BY_HASH, hash, keys, arguments)
}

/// The command that runs a script and makes it known.
pub(super) fn by_text(script: &Script, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    command(BY_TEXT, script.text, keys, arguments)
}

fn command(name: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(*key);
    }
    for argument in arguments {
        command.arg(*argument);
    }
    command
}
