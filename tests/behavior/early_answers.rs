//! Answers that come before a body's end: an app's reach their client whole, and so do the sidecar's own.

use crate::support::{
    Exchange, Next, Response, Sidecar, Upstream, put, segment_of, serialized, status_of,
    to_fixed_app,
};

const MIB: usize = 1 << 20;

/// More than the bodies of these tests: whoever holds bodies holds them.
const HOLDS_ALL: &str = "max_body = \"32MiB\"";

/// What an app that doesn't like its caller says, in every way to tell its end.
const ANSWERS: [(&str, u16, &str); 4] = [
    (
        "HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 6\r\n\r\nenough",
        413,
        "enough",
    ),
    (
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nenough\r\n0\r\n\r\n",
        200,
        "enough",
    ),
    ("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n", 401, ""),
    ("HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 500, "no"),
];

/// How an app ends the connection on which it has answered early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At once: what it had not read makes that a reset.
    Dropped,
    /// As RFC 9112 section 9.6 has it: it stops sending, and reads on.
    Lingering,
}

/// An app that reads `read` bytes of a body and gives the answer that the last letter of the target has the index of.
fn early(read: u64, end: End) -> Upstream {
    Upstream::running(move |exchange: &mut Exchange| {
        exchange.read_some(read);
        let (answer, ..) = ANSWERS[index_in(&exchange.request.target)];
        exchange.send(answer.as_bytes());
        match end {
            End::Dropped => Next::Drop,
            End::Lingering => exchange.linger(),
        }
    })
}

/// The number after the target's last `?`.
fn index_in(target: &str) -> usize {
    target.rsplit_once('?').and_then(|(_, index)| index.parse().ok()).unwrap()
}

/// A body with its length, or in chunks.
fn with_body(path: &str, length: usize, chunked: bool) -> Vec<u8> {
    let head = format!("PUT {path} HTTP/1.1\r\nHost: app.test\r\n");
    let piece = vec![b'x'; 64 * 1024];
    let pieces = std::iter::repeat_n(piece, length / (64 * 1024));
    if chunked {
        let chunks = pieces.flat_map(|piece| [b"10000\r\n", &piece[..], b"\r\n"].concat());
        let framed: Vec<u8> = chunks.chain(*b"0\r\n\r\n").collect();
        return [format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes(), &framed].concat();
    }
    let framed: Vec<u8> = pieces.flatten().collect();
    [format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), &framed].concat()
}

/// Calls with bodies of several sizes and framings, each client sending all before it reads; checks that each gets the app's
/// own answer. What goes wrong here is a race, so each is done several times.
#[track_caller]
fn assert_passed_on(sidecar: &Sidecar, path: &str, check: impl Fn(&Response)) {
    for (size, chunked) in [(MIB, false), (MIB, true), (16 * MIB, false), (4 * MIB, true)] {
        for (index, (_, status, body)) in ANSWERS.iter().enumerate() {
            for attempt in 1..=3 {
                let case = format!("{size} bytes, chunked {chunked}, {status}, try {attempt}");
                let mut client = sidecar.client();

                client
                    .try_send(&with_body(&format!("{path}?{index}"), size, chunked))
                    .expect(&case);
                let heard = client.try_response().unwrap_or_else(|e| panic!("{e:?}: {case}"));

                assert_eq!((heard.status, &*heard.text()), (*status, *body), "{case}");
                check(&heard);
            }
        }
    }
}

#[test]
fn an_app_that_answers_before_it_has_read_is_heard() {
    for read in [0, 8 * 1024] {
        for end in [End::Dropped, End::Lingering] {
            let app = early(read, end);
            let sidecar = Sidecar::in_front_of(&app).start();

            assert_passed_on(&sidecar, "/x", |_| {});
        }
    }
}
