//! The app: documents with fields, one of which an update writes.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::reader::{Framing, Reader};
use super::super::wait::take_time;
use super::stage::TIMEOUT;
use super::{document_name, lone_field};

/// How many fields of a document everybody writes.
pub(super) const SHARED_FIELDS: usize = 4;

/// What a field holds that nobody has written.
const UNTOUCHED: &str = "untouched";

/// How long after it was given up an update lands that lands late: well within the time that it has.
const LATE: Duration = Duration::from_millis(150);

/// How long one takes that is slow and in time.
const SLOW: Duration = Duration::from_millis(20);

/// How long a read takes that is slow: sidecars tell of more updates meanwhile.
const SLOW_READ: Duration = Duration::from_millis(300);

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Between reading a document and writing it back whole, where it does that: it then loses updates that are made at once.
    /// Otherwise an update writes its field and nothing else.
    pub(crate) window: Option<Duration>,
    /// Of so many updates one times out, or its connection breaks, or it is answered with an error; 0 for none.
    pub(crate) trouble_every: u64,
    /// Of so many reads one is slow; 0 for none.
    pub(crate) slow_read_every: u64,
}

impl Manner {
    /// Right, with many answers that are late, missing or wrong, and with slow reads.
    pub(crate) fn honest() -> Self {
        Self { window: None, trouble_every: 60, slow_read_every: 4 }
    }

    /// One that loses updates unless they come one after the other, and always answers.
    pub(crate) fn racy() -> Self {
        Self { window: Some(Duration::from_millis(3)), trouble_every: 0, slow_read_every: 0 }
    }
}

/// What becomes of an update and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Prompt,
    SlowBefore,
    SlowAfter,
    LandsLate,
    NeverLands,
    BrokenBefore,
    BrokenAfter,
    ErrorBefore,
    ErrorAfter,
}

impl Fate {
    const TROUBLES: [Self; 6] = [
        Self::LandsLate,
        Self::NeverLands,
        Self::BrokenBefore,
        Self::BrokenAfter,
        Self::ErrorBefore,
        Self::ErrorAfter,
    ];

    fn lands(self) -> bool {
        !matches!(self, Self::NeverLands | Self::BrokenBefore | Self::ErrorBefore)
    }
}

/// The app on a port of the loopback, for as long as the process runs.
pub(crate) struct HonestApp {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    documents: BTreeMap<String, Mutex<BTreeMap<String, String>>>,
    manner: Manner,
    calls: AtomicU64,
    reads: AtomicU64,
    drops: AtomicBool,
    put_back: AtomicUsize,
    /// How often each update took effect, by its id.
    effects: Mutex<HashMap<String, usize>>,
}

impl HonestApp {
    /// With so many documents, and so many fields in all that one update each may write.
    pub(crate) fn start(manner: Manner, documents: usize, lone: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::new(manner, documents, lone));
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on every update to a field of its own is answered 200 and not made.
    pub(crate) fn drop_lone_ones(&self) {
        self.shared.drops.store(true, Ordering::SeqCst);
    }

    /// How often an update took effect.
    pub(crate) fn effects(&self, id: &str) -> usize {
        self.shared.effects.lock().unwrap().get(id).copied().unwrap_or(0)
    }

    /// How many fields a document that was written whole has put back to what they were.
    pub(crate) fn put_back(&self) -> usize {
        self.shared.put_back.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn new(manner: Manner, documents: usize, lone: usize) -> Self {
        let document = |number: usize| {
            let own = (number..lone).step_by(documents).map(lone_field);
            let fields = (0..SHARED_FIELDS).map(|n| format!("f{n}")).chain(own);
            let fields = fields.map(|field| (field, UNTOUCHED.to_owned())).collect();
            (document_name(number), Mutex::new(fields))
        };
        Self {
            documents: (0..documents).map(document).collect(),
            manner,
            calls: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            drops: AtomicBool::new(false),
            put_back: AtomicUsize::new(0),
            effects: Mutex::default(),
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = Reader::new(stream);
        while let Ok((_, start, headers)) = reader.head() {
            let mut body = Vec::new();
            let framing = headers.framing().unwrap().unwrap_or(Framing::Empty);
            if reader.body(framing, &mut |data| body.extend_from_slice(data)).is_err() {
                return;
            }
            let target = start.split(' ').nth(1).unwrap_or_default();
            let place: Vec<&str> = target.split('/').skip(1).collect();
            let answer = match place.as_slice() {
                ["docs", document] => Some((200, self.show(document))),
                ["docs", document, "fields", field] => {
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    let value = body["value"].as_str().unwrap();
                    self.update(document, field, value, headers.get("x-update-id").unwrap())
                }
                _ => Some((404, String::new())),
            };
            let Some((status, body)) = answer else {
                // One that has left already is as good.
                return drop(reader.stream.shutdown(Shutdown::Both));
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n\r\n");
            if reader.stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
        }
    }

    fn show(&self, document: &str) -> String {
        let shown = json!({ "fields": &*self.documents[document].lock().unwrap() }).to_string();
        let (read, every) =
            (self.reads.fetch_add(1, Ordering::SeqCst), self.manner.slow_read_every);
        if every > 0 && read.is_multiple_of(every) {
            take_time(SLOW_READ);
        }
        shown
    }

    /// The answer to an update, or none where the connection breaks.
    fn update(&self, document: &str, field: &str, value: &str, id: &str) -> Option<(u16, String)> {
        let is_lone = field.starts_with("lone");
        if is_lone && self.drops.load(Ordering::SeqCst) {
            return Some((200, "done".to_owned()));
        }
        let fate = if is_lone { Fate::Prompt } else { self.next_fate() };
        match fate {
            Fate::SlowBefore => take_time(SLOW),
            Fate::LandsLate | Fate::NeverLands => take_time(TIMEOUT + LATE),
            _ => {}
        }
        if fate.lands() {
            self.write(document, field, value);
            *self.effects.lock().unwrap().entry(id.to_owned()).or_default() += 1;
        }
        match fate {
            Fate::SlowAfter => take_time(SLOW),
            // One whose caller should have left: where it has not, it must not hear that all is well.
            Fate::NeverLands | Fate::BrokenBefore | Fate::BrokenAfter => return None,
            Fate::ErrorBefore | Fate::ErrorAfter => return Some((500, "no".to_owned())),
            _ => {}
        }
        Some((200, "done".to_owned()))
    }

    fn next_fate(&self) -> Fate {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let every = self.manner.trouble_every;
        if every > 0 && call.is_multiple_of(every) {
            let turn = usize::try_from(call / every).unwrap();
            return Fate::TROUBLES[turn % Fate::TROUBLES.len()];
        }
        match call % 40 {
            7 => Fate::SlowBefore,
            23 => Fate::SlowAfter,
            _ => Fate::Prompt,
        }
    }

    fn write(&self, document: &str, field: &str, value: &str) {
        let document = &self.documents[document];
        let mut fields = document.lock().unwrap();
        let Some(window) = self.manner.window else {
            fields.insert(field.to_owned(), value.to_owned());
            return;
        };
        let mut copy = fields.clone();
        drop(fields);
        take_time(window);
        let mut fields = document.lock().unwrap();
        let differs = |name: &String| name != field && copy[name] != fields[name];
        let put_back = fields.keys().filter(|name| differs(name)).count();
        self.put_back.fetch_add(put_back, Ordering::SeqCst);
        copy.insert(field.to_owned(), value.to_owned());
        *fields = copy;
    }
}
