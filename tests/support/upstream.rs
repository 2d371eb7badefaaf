//! An upstream that does as it is told, and remembers exactly what it was sent.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::headers::Headers;
use super::ports::ReservedPort;
use super::reader::{Framing, ReadError, Reader};
use super::wait::{Gate, eventually, until};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Its head, byte for byte.
    pub(crate) head: Vec<u8>,
    /// Its method.
    pub(crate) method: String,
    /// Its target, as it came.
    pub(crate) target: String,
    /// Its version.
    pub(crate) version: String,
    /// Its header fields.
    pub(crate) headers: Headers,
    /// Its body, as far as it was kept.
    pub(crate) body: Vec<u8>,
    /// Its trailers.
    pub(crate) trailers: Headers,
    /// Whether it was read to its end.
    pub(crate) complete: bool,
    /// When its head was there.
    pub(crate) at: Instant,
}

/// What happens to a connection after an exchange.
pub(crate) enum Next {
    /// Waits for another request.
    KeepAlive,
    /// Closes.
    Close,
    /// Resets.
    Reset,
    /// Drops the socket, as an app does that has answered: with bytes unread that is a reset behind what was sent.
    Drop,
}

type Script = dyn Fn(&mut Exchange) -> Next + Send + Sync;

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
    malformed: Mutex<Vec<String>>,
}

/// An upstream on a port of the loopback.
pub(crate) struct Upstream {
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Upstream {
    /// Runs `script` for every request once its head is there; the script reads the body and answers.
    pub(crate) fn running(script: impl Fn(&mut Exchange) -> Next + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(script))
    }

    /// The same at a given port.
    pub(crate) fn running_at(
        port: &ReservedPort,
        script: impl Fn(&mut Exchange) -> Next + Send + Sync + 'static,
    ) -> Self {
        let listener = eventually("the port to be free", || TcpListener::bind(port.address()).ok());
        Self::on(listener, Arc::new(script))
    }

    /// Answers 200 with the request's target as the body to everything.
    pub(crate) fn echoing_targets() -> Self {
        Self::running(|exchange| {
            let target = exchange.request.target.clone();
            exchange.ok(&target)
        })
    }

    /// Answers these bytes to every request, once its body is read.
    pub(crate) fn answering(response: &'static str) -> Self {
        Self::running(move |exchange| exchange.reply(response.as_bytes()))
    }

    /// Answers 200 to everything, once the gate is open.
    pub(crate) fn gated() -> (Self, Gate) {
        let gate = Gate::shut();
        let shut = gate.clone();
        let upstream = Self::running(move |exchange| {
            exchange.read_body();
            shut.pass();
            exchange.ok("done")
        });
        (upstream, gate)
    }

    /// Answers in two chunks, `first` and, once the gate is open, `second`.
    pub(crate) fn in_two_pieces() -> (Self, Gate) {
        let gate = Gate::shut();
        let shut = gate.clone();
        let upstream = Self::running(move |exchange| {
            exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            shut.pass();
            exchange.send(b"6\r\nsecond\r\n0\r\n\r\n");
            Next::KeepAlive
        });
        (upstream, gate)
    }

    fn on(listener: TcpListener, script: Arc<Script>) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let accepted = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                accepted.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, script) = (Arc::clone(&accepted), Arc::clone(&script));
                thread::spawn(move || serve(stream, &seen, &*script));
            }
        });
        Self { address, seen }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What arrived so far. Fails the test when something arrived that is no HTTP.
    #[track_caller]
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        let malformed = self.seen.malformed.lock().unwrap();
        assert!(malformed.is_empty(), "malformed bytes reached the upstream: {malformed:?}");
        self.seen.requests.lock().unwrap().clone()
    }

    /// The targets of the requests that arrived whole, in the order of their heads.
    #[track_caller]
    pub(crate) fn complete_targets(&self) -> Vec<String> {
        let complete = self.requests().into_iter().filter(|request| request.complete);
        complete.map(|request| request.target).collect()
    }

    /// Waits until `count` requests have arrived, whole or not.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Recorded> {
        eventually(&format!("{count} requests upstream"), || {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
    }

    /// The only request that arrived.
    #[track_caller]
    pub(crate) fn only_request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].clone()
    }

    /// How many connections were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until nobody holds a connection to it any more, not even one that is half closed.
    #[track_caller]
    pub(crate) fn wait_until_left_alone(&self) {
        let port = format!(":{:04X}", self.address.port());
        let held = |line: &str| {
            let mut columns = line.split_whitespace().skip(2);
            let remote = columns.next().unwrap_or_default();
            // ESTABLISHED or CLOSE_WAIT, seen from the other side.
            remote.ends_with(&port) && matches!(columns.next(), Some("01" | "08"))
        };
        until("the upstream to be left alone", || {
            !std::fs::read_to_string("/proc/net/tcp").unwrap().lines().any(held)
        });
    }
}

fn serve(stream: TcpStream, seen: &Arc<Seen>, script: &Script) {
    let mut reader = Reader::new(stream);
    loop {
        let (head, start, headers) = match reader.head() {
            Ok(head) => head,
            Err(ReadError::Malformed(what)) => return seen.malformed.lock().unwrap().push(what),
            Err(_) => return,
        };
        let mut parts = start.splitn(3, ' ').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let request = Recorded {
            head,
            method: part(),
            target: part(),
            version: part(),
            headers,
            body: Vec::new(),
            trailers: Headers::default(),
            complete: false,
            at: Instant::now(),
        };
        let index = {
            let mut requests = seen.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        let mut exchange = Exchange { request, reader, index, seen: Arc::clone(seen) };
        match script(&mut exchange) {
            Next::KeepAlive => reader = exchange.reader,
            // Shut down first, so that the close is seen although a tunnel's other half may hold the socket.
            Next::Close => return drop(exchange.reader.stream.shutdown(Shutdown::Both)),
            Next::Drop => return,
            Next::Reset => {
                let linger = Some(Duration::ZERO);
                return SockRef::from(&exchange.reader.stream).set_linger(linger).unwrap();
            }
        }
    }
}

/// One request and the connection to answer it on.
pub(crate) struct Exchange {
    /// The request; its body and trailers once they were read.
    pub(crate) request: Recorded,
    /// The connection.
    pub(crate) reader: Reader,
    index: usize,
    seen: Arc<Seen>,
}

impl Exchange {
    /// Reads the request's body and keeps it; `false` when it broke off.
    pub(crate) fn read_body(&mut self) -> bool {
        if self.request.complete {
            return true;
        }
        let mut body = Vec::new();
        let whole = self.read_body_into(&mut |data| body.extend_from_slice(data));
        self.request.body = body;
        self.record();
        whole
    }

    /// Reads the request's body without keeping it; `false` when it broke off.
    pub(crate) fn read_body_into(&mut self, on_data: &mut dyn FnMut(&[u8])) -> bool {
        let framing = self.request.headers.framing();
        let read = framing.and_then(|f| self.reader.body(f.unwrap_or(Framing::Empty), on_data));
        match read {
            Ok(trailers) => {
                self.request.trailers = trailers;
                self.request.complete = true;
            }
            Err(ReadError::Malformed(what)) => self.seen.malformed.lock().unwrap().push(what),
            Err(_) => {}
        }
        self.record();
        self.request.complete
    }

    fn record(&self) {
        self.seen.requests.lock().unwrap()[self.index] = self.request.clone();
    }

    /// Reads and drops `count` bytes of the body, as they come over the wire; fewer where it ends before that.
    pub(crate) fn read_some(&mut self, count: u64) {
        // A body that breaks off is one that has ended.
        drop(self.reader.body(Framing::Length(count), &mut |_| {}));
    }

    /// Says that no more will be sent, and reads on until the other side is gone.
    pub(crate) fn linger(&mut self) -> Next {
        drop(self.reader.stream.shutdown(Shutdown::Write));
        drop(self.reader.body(Framing::Close, &mut |_| {}));
        Next::Close
    }

    /// Sends bytes as they are; `false` when the other side is gone.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.reader.stream.write_all(bytes).is_ok()
    }

    /// Reads the body, then sends a whole answer.
    pub(crate) fn reply(&mut self, response: &[u8]) -> Next {
        if self.read_body() && self.send(response) { Next::KeepAlive } else { Next::Close }
    }

    /// Reads the body, then answers 200 with this one.
    pub(crate) fn ok(&mut self, body: &str) -> Next {
        let length = body.len();
        self.reply(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
    }

    /// Whether the sidecar has closed the connection meanwhile.
    pub(crate) fn abandoned(&self) -> bool {
        self.reader.peer_has_closed()
    }

    /// Sends every byte back until the other side has finished sending.
    pub(crate) fn echo_bytes(&mut self) -> Next {
        let ahead = self.reader.take_ahead();
        let mut out = self.reader.stream.try_clone().unwrap();
        if self.send(&ahead) {
            // A tunnel that breaks ends like one that is closed.
            drop(std::io::copy(&mut self.reader.stream, &mut out));
        }
        Next::Close
    }
}
