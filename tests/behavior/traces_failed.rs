//! The traces of calls that failed, whose client left, or that were sent again.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::traces::{is_server, is_upstream, traced, update};
use crate::support::{
    Collector, JOURNEYS, Next, Otlp, ReservedPort, Sidecar, Span, Upstream, eventually, get, only,
    serialized, until,
};

#[test]
fn an_error_of_the_app_is_its_call_s_and_only_a_fault_is_the_server_s() {
    let app = Upstream::running(|exchange| {
        let status = exchange.request.headers.get("x-status").unwrap().to_owned();
        exchange.reply(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes())
    });
    for (status, server_failed) in [("404", false), ("500", true)] {
        let collector = Collector::start(Otlp::Http);
        let sidecar = traced(&app, &collector, 0, 1.0);

        sidecar.call(&update(&format!("X-Status: {status}\r\n")));

        let spans = collector.wait_for(2);
        let (server, call) = (only(&spans, is_server), only(&spans, is_upstream));
        assert_eq!((server.failed, call.failed), (server_failed, true), "{status}");
        assert_eq!(server.get("error.type"), if server_failed { status } else { "" });
        assert_eq!(call.get("error.type"), status);
        assert_eq!(server.get("interlock.outcome"), "rejected");
    }
}

#[test]
fn a_call_without_a_connection_is_a_span_that_failed_of_it() {
    let collector = Collector::start(Otlp::Http);
    let config = format!("{}{}", collector.traces(1.0), serialized(0));
    let nobody = ReservedPort::new();
    let url = format!("http://{}", nobody.address());
    let sidecar = Sidecar::at(&url).legacy("connect_timeout = \"100ms\"").with(&config).start();

    assert_eq!(sidecar.call(&update("")).status, 503);
    assert_eq!(sidecar.call(&get("/elsewhere")).status, 503);

    let spans = collector.wait_for(4);
    for name in ["PUT", "GET"] {
        let call = only(&spans, |span| is_upstream(span) && span.name == name);
        assert_eq!((call.get("error.type"), call.failed), ("connect", true));
    }
    for server in spans.iter().filter(|span| is_server(span)) {
        assert_eq!((server.get("error.type"), server.failed), ("503", true));
    }
}

#[test]
fn a_client_that_leaves_does_not_take_its_update_s_outcome_along() {
    let (app, gate) = Upstream::gated();
    let collector = Collector::start(Otlp::Http);
    let sidecar = traced(&app, &collector, 0, 1.0);
    let mut client = sidecar.client();
    client.send(&update(""));
    app.wait_for(1);

    drop(client);
    sidecar.wait_for_metric("interlock_client_gone_total", &[("flag", JOURNEYS)], 1.0);
    gate.open();

    let spans = collector.wait_for(2);
    let (server, call) = (only(&spans, is_server), only(&spans, is_upstream));
    assert_eq!(server.get("interlock.outcome"), "applied");
    assert_eq!((server.get("http.response.status_code"), server.failed), ("", false));
    assert_eq!(
        (call.parent.as_str(), call.get("http.response.status_code")),
        (server.id.as_str(), "200")
    );
}

#[test]
fn an_attempt_that_is_made_again_says_so_and_has_a_place_of_its_own() {
    // Closes a connection that is kept, when it is told to.
    let (told, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let app = Upstream::running({
        let (told, closed) = (Arc::clone(&told), Arc::clone(&closed));
        move |exchange| {
            let last = exchange.request.headers.get("x-last").is_some();
            exchange.ok("done");
            if !last {
                return Next::KeepAlive;
            }
            let turn = closed.load(Ordering::SeqCst) + 1;
            until("to be told to close", || told.load(Ordering::SeqCst) == turn);
            exchange.reader.stream.shutdown(Shutdown::Both).unwrap();
            closed.store(turn, Ordering::SeqCst);
            Next::Close
        }
    });
    let collector = Collector::start(Otlp::Http);
    let sidecar = traced(&app, &collector, 0, 1.0);
    let mut client = sidecar.client();
    let is_again = |span: &&Span| span.get("http.request.resend_count") == "1";
    let mut turn = 0;
    // Where the sidecar happens to look after its connections just then, it finds the closed one, and sends nothing twice.
    let spans = eventually("a call that was sent again", || {
        assert_eq!(client.call(&update("X-Last: 1\r\n")).status, 200);
        turn += 1;
        told.store(turn, Ordering::SeqCst);
        until("the connection to be closed", || closed.load(Ordering::SeqCst) == turn);
        assert_eq!(client.call(&update("")).status, 200);
        let spans = eventually("a span of every call", || {
            let spans = collector.spans();
            (spans.iter().filter(|span| is_server(span)).count() == 2 * turn).then_some(spans)
        });
        spans.iter().any(|span| is_again(&span)).then_some(spans)
    });

    let again = spans.iter().find(is_again).expect("a call that was sent again");
    let server = only(&spans, |span| span.id == again.parent);
    let [first, second] = server.children(&spans)[..] else { panic!("{spans:#?}") };
    assert_eq!((first.get("error.type"), first.failed), ("unsent", true));
    assert_eq!((second.id.as_str(), second.failed), (again.id.as_str(), false));
    assert!(first.id != second.id && server.encloses(first), "{spans:#?}");
}
