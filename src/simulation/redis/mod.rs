//! A Redis in memory: it speaks the real protocol over simulated connections, and runs the real scripts by simulated time.
//!
//! What is not simulated is told in [`Redis::faults`], and answered with an error: a run in which that happens has failed.

mod connection;
mod data;
mod protocol;
mod scripts;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::documents::{Hand, LIVES_MS, PREFIX, Stored, Write};
use crate::clock;
use crate::watch;
use connection::serve;
use data::Refusal;
use protocol::Reply;
use scripts::{Host, Scripts};

pub(super) use data::Data;

/// The server. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Redis {
    inner: Rc<Inner>,
}

struct Inner {
    state: Rc<State>,
    scripts: Scripts,
}

/// What connections and scripts share.
struct State {
    data: RefCell<Data>,
    run: Cell<u64>,
    /// How far its clock was set, in microseconds.
    set_by: Cell<i64>,
    /// Whether it runs, or stands still, or is gone.
    mode: watch::Sender<Mode>,
    connections: RefCell<BTreeMap<u64, Subscriber>>,
    next_connection: Cell<u64>,
    faults: RefCell<Vec<String>>,
    /// All that was ever written to documents.
    writes: RefCell<Vec<Rc<Write>>>,
    /// Leaves all but the asking sidecar out of every register that is read: a negative test.
    hides_others: Cell<bool>,
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Running,
    /// It is there and does nothing.
    Stalled,
    /// Nobody listens.
    Down,
}

/// A connection, as whoever publishes sees it.
struct Subscriber {
    channels: Vec<Vec<u8>>,
    out: mpsc::UnboundedSender<Vec<u8>>,
}

impl Redis {
    pub(crate) fn new() -> Self {
        let state = Rc::new(State {
            data: RefCell::default(),
            run: Cell::new(1),
            set_by: Cell::new(0),
            mode: watch::Sender::new(Mode::Running),
            connections: RefCell::default(),
            next_connection: Cell::new(0),
            faults: RefCell::default(),
            writes: RefCell::default(),
            hides_others: Cell::new(false),
        });
        let scripts = Scripts::new(Rc::clone(&state) as Rc<dyn Host>);
        Self { inner: Rc::new(Inner { state, scripts }) }
    }

    /// Serves a connection until it ends, or the server does.
    pub(super) async fn serve(self, stream: DuplexStream) {
        serve(&self.inner, stream).await;
    }

    pub(super) fn mode(&self) -> watch::Receiver<Mode> {
        self.inner.state.mode.subscribe()
    }

    /// Stalls, goes on, or goes away. Connections end with [`Mode::Down`].
    pub(super) fn set_mode(&self, mode: Mode) {
        self.inner.state.mode.send_replace(mode);
    }

    /// Goes on as another run, with this data.
    pub(super) fn start_with(&self, data: Data) {
        let state = &self.inner.state;
        state.run.set(state.run.get() + 1);
        *state.data.borrow_mut() = data;
        self.inner.scripts.forget();
        self.set_mode(Mode::Running);
    }

    /// Which run it is: another one each time that it starts.
    pub(super) fn which_run(&self) -> u64 {
        self.inner.state.run.get()
    }

    /// Forgets everything, as it goes on.
    pub(crate) fn forget(&self) {
        *self.inner.state.data.borrow_mut() = Data::default();
    }

    /// Its clock is set.
    pub(crate) fn set_clock(&self, micros: i64) {
        let set_by = &self.inner.state.set_by;
        set_by.set(set_by.get() + micros);
    }

    /// The time that it shows, in microseconds.
    pub(crate) fn now_us(&self) -> u64 {
        self.inner.state.now_us()
    }

    /// Makes a script known; its name.
    pub(crate) fn load(&self, text: &str) -> String {
        self.inner.scripts.load(text)
    }

    /// Runs a script at once, for whoever has a network of his own; what the server answers, as it is written.
    pub(crate) fn run_script(&self, name: &str, keys: &[String], arguments: &[&[u8]]) -> Vec<u8> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.clone().into_bytes()).collect();
        let arguments: Vec<Vec<u8>> = arguments.iter().map(|word| word.to_vec()).collect();
        let reply = self.inner.scripts.run(name, &keys, &arguments);
        let mut bytes = Vec::new();
        reply.unwrap_or(Reply::Nil).write(&mut bytes);
        bytes
    }

    /// Writes a value.
    pub(crate) fn write(&self, command: &str, words: &[&[u8]]) {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        let written = self.inner.state.run(command, &words);
        assert!(written.is_ok(), "{command} is not simulated");
    }

    /// What it holds now.
    pub(super) fn copy(&self) -> Data {
        self.inner.state.data.borrow().clone()
    }

    /// A document as an app reads it with a client of its own; `None` also where nobody answers.
    pub(super) fn document(&self, key: &str) -> Option<Stored> {
        let state = &self.inner.state;
        let runs = *state.mode.borrow() == Mode::Running;
        runs.then(|| state.data.borrow().document(key.as_bytes())).flatten()
    }

    /// Writes a document as an app does, whatever is there; false where nobody answers. One that is there keeps its time to live.
    pub(super) fn put_document(&self, key: &str, text: String, hand: Hand) -> bool {
        let state = &self.inner.state;
        if *state.mode.borrow() != Mode::Running {
            return false;
        }
        let lives = LIVES_MS.to_string();
        let how: &[&str] = match hand {
            Hand::Maker => &["PX", &lives],
            Hand::App(_) | Hand::Edit => &["KEEPTTL"],
        };
        let words = [&[key, &text], how].concat();
        let words: Vec<Vec<u8>> = words.into_iter().map(|word| word.into()).collect();
        state.observed(key.as_bytes(), hand, || state.run("SET", &words).is_ok())
    }

    /// All that was written to documents, but for what was forgotten.
    pub(super) fn writes(&self) -> Vec<Rc<Write>> {
        self.inner.state.data.borrow().writes.clone()
    }

    /// All that was ever written to documents.
    pub(super) fn all_writes(&self) -> Vec<Rc<Write>> {
        self.inner.state.writes.borrow().clone()
    }

    /// Takes something out of each script that has it: a negative test.
    pub(super) fn change_scripts(&self, changes: &'static [(&'static str, &'static str)]) {
        self.inner.scripts.change(changes);
    }

    /// What somebody wanted that is not simulated.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.inner.state.faults.borrow().clone()
    }

    /// From here on each sidecar finds itself alone in the register.
    pub(super) fn hide_others(&self) {
        self.inner.state.hides_others.set(true);
    }
}

impl Inner {
    /// Runs a command of a client.
    fn execute(&self, connection: u64, words: Vec<Vec<u8>>) -> Reply {
        let upper = |word: &Vec<u8>| String::from_utf8_lossy(word).to_ascii_uppercase();
        let names: Vec<String> = words.iter().take(2).map(upper).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["HELLO", "3"] => Reply::Map(vec![(Reply::text("proto"), Reply::Integer(3))]),
            ["CLIENT", "SETNAME"] => Reply::ok(),
            ["PING"] => Reply::Status("PONG".to_owned()),
            ["INFO", "SERVER"] => Reply::text(&format!("run_id:{}\r\n", self.state.run.get())),
            ["INFO", "REPLICATION"] => Reply::text("role:master\r\n"),
            ["SUBSCRIBE", ..] => self.subscribe(connection, &words[1..]),
            ["EVAL" | "EVALSHA", ..] => self.evaluate(names[0] == "EVAL", &words[1..]),
            _ => {
                let words: Vec<_> = words.iter().map(|it| String::from_utf8_lossy(it)).collect();
                self.state.not_simulated(&words.join(" "));
                Reply::Error("ERR unknown command".to_owned())
            }
        }
    }

    fn evaluate(&self, by_text: bool, words: &[Vec<u8>]) -> Reply {
        let text = String::from_utf8(words[0].clone()).unwrap();
        let name = if by_text { self.scripts.load(&text) } else { text };
        let keys: usize = std::str::from_utf8(&words[1]).unwrap().parse().unwrap();
        let (mut keys, mut arguments) = words[2..].split_at(keys);
        // A step looks at the register too: whoever is hidden is not there either.
        if self.state.hides_others.get() && keys.len() == 4 && keys[3].ends_with(b":sidecars") {
            (keys, arguments) = (&keys[..3], &arguments[..7]);
        }
        let run = || self.scripts.run(&name, keys, arguments);
        let reply = match keys.first() {
            Some(key) => self.state.observed(key, Hand::Edit, run),
            None => run(),
        };
        let reply = reply.unwrap_or_else(|| Reply::Error("NOSCRIPT No matching script.".into()));
        if self.state.hides_others.get() && keys[0].ends_with(b":sidecars") {
            return alone(reply, &arguments[0]);
        }
        reply
    }

    fn subscribe(&self, connection: u64, channels: &[Vec<u8>]) -> Reply {
        let mut connections = self.state.connections.borrow_mut();
        let subscriber = connections.get_mut(&connection).unwrap();
        let mut confirmed = Vec::new();
        for (count, channel) in (1..).zip(channels) {
            subscriber.channels.push(channel.clone());
            let parts = [Reply::text("subscribe"), Reply::Bulk(channel.clone())];
            confirmed.push(Reply::Push([&parts[..], &[Reply::Integer(count)]].concat()));
        }
        // One for each channel, and no answer besides.
        let mut bytes = Vec::new();
        confirmed.pop().into_iter().for_each(|last| {
            confirmed.iter().for_each(|reply| reply.write(&mut bytes));
            confirmed = vec![last];
        });
        subscriber.out.send(bytes).ok();
        confirmed.remove(0)
    }
}

/// A register's answer with this sidecar alone in it.
fn alone(reply: Reply, me: &[u8]) -> Reply {
    let Reply::Array(mut parts) = reply else { return reply };
    if let Some(Reply::Array(pairs)) = parts.last_mut() {
        let own = pairs.iter().position(|it| *it == Reply::Bulk(me.to_vec()));
        *pairs = own.map(|at| pairs[at..at + 2].to_vec()).unwrap_or_default();
    }
    Reply::Array(parts)
}

impl State {
    /// Does something, and notes whether a document changed by it.
    fn observed<T>(&self, key: &[u8], hand: Hand, does: impl FnOnce() -> T) -> T {
        let document = std::str::from_utf8(key).ok().filter(|key| key.starts_with(PREFIX));
        let Some(document) = document else { return does() };
        let before = self.data.borrow().document(key);
        let done = does();
        let after = self.data.borrow().document(key);
        if before != after {
            let write = Write::of(
                document,
                (hand, self.run.get(), self.now_ms()),
                before.as_ref(),
                after.as_ref(),
            );
            self.data.borrow_mut().writes.push(Rc::clone(&write));
            self.writes.borrow_mut().push(write);
        }
        done
    }

    fn now_ms(&self) -> u64 {
        self.now_us() / 1000
    }
}

impl Host for State {
    fn now_us(&self) -> u64 {
        let wall: Duration = clock::wall();
        let passed = u64::try_from(wall.as_micros()).unwrap();
        passed.saturating_add_signed(self.set_by.get())
    }

    fn run(&self, name: &str, words: &[Vec<u8>]) -> Result<Reply, Refusal> {
        self.data.borrow_mut().run(self.now_ms(), name, words)
    }

    fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        let parts = [&b"message"[..], channel, message].map(|part| Reply::Bulk(part.to_vec()));
        let mut bytes = Vec::new();
        Reply::Push(parts.to_vec()).write(&mut bytes);
        let connections = self.connections.borrow();
        let hears = |it: &&Subscriber| it.channels.iter().any(|name| name == channel);
        connections.values().filter(hears).filter(|it| it.out.send(bytes.clone()).is_ok()).count()
    }

    fn not_simulated(&self, what: &str) {
        self.faults.borrow_mut().push(what.to_owned());
    }
}
