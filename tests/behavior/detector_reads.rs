//! What the detector's read may be answered: whatever is no document of the entity is no finding. The checks come to no conclusion, by
//! name, and once the app answers again losses are found again.
//!
//! Whatever of a bad answer might be taken for a document shows an older value, so that taking it for one would be a loss.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{
    Exchange, JourneyFlag, Next, Part, Sidecar, Upstream, take_time, until, update,
};

/// A read fails after this without a header, or without a byte of a body.
const LIMITS: (&str, &str) = ("timeout = \"500ms\"", "body_timeout = \"500ms\"");

/// Longer than either.
const HANGS: std::time::Duration = std::time::Duration::from_millis(900);

/// The most that an answer of any size may cost, over what a sidecar has anyway.
const MOST_MEMORY: u64 = 24 << 20;

/// How reads are answered.
type Misread = fn(&mut Exchange) -> Next;

/// A segment's status behind a sidecar that verifies it.
struct Stage {
    sidecar: Sidecar,
    app: Arc<Mutex<App>>,
    /// Each update is another one.
    updates: usize,
}

struct App {
    status: String,
    misread: Option<Misread>,
    drops: bool,
}

impl Stage {
    fn start() -> Self {
        let app = App { status: "older".to_owned(), misread: None, drops: false };
        let app = Arc::new(Mutex::new(app));
        let served = Arc::clone(&app);
        let upstream = Upstream::running(move |exchange| serve(exchange, &served));
        let sidecar = Sidecar::in_front_of(&upstream)
            .proxy(LIMITS.1)
            .legacy(LIMITS.0)
            .legacy("settle_after_timeout = \"100ms\"")
            .with(&JourneyFlag::serialized(0).verified().toml())
            .start();
        Self { sidecar, app, updates: 0 }
    }

    fn update(&mut self) {
        self.updates += 1;
        let sent = update(&self.sidecar, "J1", Part::Segment(1), self.updates.to_string());
        assert!(sent.acknowledged());
    }

    fn count(&self, name: &str) -> usize {
        self.sidecar.metrics().sum(name, &[]).unwrap_or(0.0) as usize
    }

    fn inconclusive(&self, reason: &str) -> usize {
        let name = "interlock_verify_inconclusive_total";
        self.sidecar.metrics().sum(name, &[("reason", reason)]).unwrap_or(0.0) as usize
    }

    fn lost(&self) -> usize {
        self.count("interlock_lost_updates_total")
    }

    fn verified(&self) -> usize {
        self.count("interlock_verified_updates_total")
    }

    /// About how many updates there is a conclusion, or never will be.
    fn concluded(&self) -> usize {
        self.verified() + self.count("interlock_verify_inconclusive_total")
    }

    /// One update is verified, and another one meets reads that are answered like this: it comes to no conclusion, for this reason.
    #[track_caller]
    fn misread(&mut self, reason: &str, misread: Misread) {
        self.update();
        until("an update to be verified", || self.verified() == 1);
        self.app.lock().unwrap().misread = Some(misread);

        self.update();
        until("a check without a conclusion", || self.inconclusive(reason) > 0);

        assert_eq!((self.lost(), self.count("interlock_unmanaged_writes_total")), (0, 0));
        assert_eq!(self.count("interlock_verify_inconclusive_total"), 1);
        assert_eq!(self.verified(), 1, "nothing is concluded about the second one");
    }

    /// The app answers again: what it keeps is verified, and what it drops is found.
    #[track_caller]
    fn recover(&mut self) {
        self.app.lock().unwrap().misread = None;
        let before = self.verified();
        // One at a time, so that nothing is under check when the next one is dropped. The first may fall into the gap that was left.
        until("an update to be verified again", || {
            self.update();
            until("a conclusion about it", || self.concluded() == self.updates);
            self.verified() > before
        });
        assert_eq!((self.lost(), self.count("interlock_unmanaged_writes_total")), (0, 0));

        self.app.lock().unwrap().drops = true;
        self.update();
        until("the one that was dropped to be found", || self.lost() == 1);
    }
}

fn serve(exchange: &mut Exchange, app: &Mutex<App>) -> Next {
    if exchange.request.method == "PUT" {
        exchange.read_body();
        let body: Value = serde_json::from_slice(&exchange.request.body).unwrap();
        let mut app = app.lock().unwrap();
        if !app.drops {
            app.status = body["status"].as_str().unwrap().to_owned();
        }
        drop(app);
        return exchange.ok("done");
    }
    let (status, misread) = {
        let app = app.lock().unwrap();
        (app.status.clone(), app.misread)
    };
    match misread {
        Some(misread) => misread(exchange),
        None => exchange.ok(&document(&[&status])),
    }
}

/// A document with the segment, once for each of these statuses.
fn document(statuses: &[&str]) -> String {
    let segment = |status: &&str| json!({ "segmentId": "SEG-1", "status": status });
    json!({ "segments": statuses.iter().map(segment).collect::<Vec<_>>() }).to_string()
}

/// As it was before all updates.
fn older() -> String {
    document(&["older"])
}

/// An answer with this status line and body.
fn answer(exchange: &mut Exchange, status: &str, body: &str) -> Next {
    let length = body.len();
    exchange
        .reply(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
}

#[track_caller]
fn assert_no_finding(reason: &str, misread: Misread) {
    let mut stage = Stage::start();
    stage.misread(reason, misread);
    stage.recover();
}

#[test]
fn a_read_of_nothing_that_is_there() {
    assert_no_finding("read_failed", |exchange| answer(exchange, "404 Not Found", &older()));
}

#[test]
fn a_read_that_is_answered_with_an_error() {
    assert_no_finding("read_failed", |exchange| answer(exchange, "500 Internal Error", &older()));
}

#[test]
fn a_read_that_is_sent_elsewhere() {
    assert_no_finding("read_failed", |exchange| answer(exchange, "302 Found", &older()));
}

#[test]
fn a_read_that_is_answered_with_what_is_no_http() {
    assert_no_finding("read_failed", |exchange| {
        exchange.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
        Next::Close
    });
}

#[test]
fn a_read_of_what_is_no_json() {
    assert_no_finding("read_failed", |exchange| answer(exchange, "200 OK", "<p>older</p>"));
}

#[test]
fn a_read_of_a_document_that_is_followed_by_something() {
    assert_no_finding("read_failed", |exchange| answer(exchange, "200 OK", &older().repeat(2)));
}

#[test]
fn a_read_that_breaks_off() {
    assert_no_finding("read_failed", |exchange| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        exchange.send(format!("{head}{}", older()).as_bytes());
        Next::Close
    });
}

#[test]
fn a_read_that_hangs_before_its_answer() {
    assert_no_finding("read_failed", |exchange| {
        take_time(HANGS);
        answer(exchange, "200 OK", &older())
    });
}

#[test]
fn a_read_that_hangs_within_its_answer() {
    assert_no_finding("read_failed", |exchange| {
        let older = older();
        let (first, second) = older.split_at(9);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", older.len());
        exchange.send(format!("{head}{first}").as_bytes());
        take_time(HANGS);
        exchange.send(second.as_bytes());
        Next::Close
    });
}

#[test]
fn a_read_of_a_document_of_a_hundred_megabytes_costs_next_to_nothing() {
    let mut stage = Stage::start();
    let before = stage.sidecar.memory("VmRSS");

    stage.misread("read_failed", |exchange| {
        let padding = vec![b' '; 1 << 20];
        let older = older();
        let length = 100 * padding.len() + older.len();
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        let whole = (0..100).all(|_| exchange.send(&padding)) && exchange.send(older.as_bytes());
        if whole { Next::KeepAlive } else { Next::Close }
    });

    let peak = stage.sidecar.memory("VmHWM");
    assert!(peak < before + MOST_MEMORY, "{before} bytes, then {peak}");
    stage.recover();
}

#[test]
fn a_read_of_a_document_without_the_place() {
    assert_no_finding("no_place", |exchange| exchange.ok(r#"{"was":"older"}"#));
}

#[test]
fn a_read_of_a_document_that_has_the_place_twice() {
    assert_no_finding("no_place", |exchange| exchange.ok(r#"{"status":"older","status":"older"}"#));
}
