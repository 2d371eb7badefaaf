//! Each of the rules that look for words and paths, tried on code.

use super::*;

#[test]
fn an_impure_core_is_found() {
    for text in [
        "use tokio::time::sleep;",
        "use std::{fmt, fs};",
        "fn f() { ::tracing::info!(\"x\") }",
        "use hyper;",
        "fn f(x: std::net::IpAddr) {}",
        "use crate::config::Config;",
        "#[cfg(test)] mod tests { #[tokio::test] async fn t() {} }",
    ] {
        assert_bad(rules::impure_core, "src/domain/x.rs", text);
        assert_good(rules::impure_core, "src/lease/x.rs", text);
    }
    assert_good(
        rules::impure_core,
        "src/domain/x.rs",
        "use std::fmt; use http::Method; mod metrics {}",
    );
}

#[test]
fn a_file_without_its_purpose_is_found() {
    for text in ["", "use x;", "// comment\n//! Late.", "/// Doc.", "//!\n"] {
        assert_bad(rules::no_module_doc, "src/x.rs", text);
        assert_bad(rules::no_module_doc, "tests/x.rs", text);
    }
    assert_good(rules::no_module_doc, "src/x.rs", "//! Doc.\nuse x;");
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(lines(rules::long_file, "src/x.rs", &"\n".repeat(401)), [401]);
    assert_good(rules::long_file, "src/x.rs", &"\n".repeat(400));
}

#[test]
fn a_status_code_out_of_place_is_found() {
    for text in [
        "StatusCode::BAD_GATEWAY",
        "http::StatusCode::OK",
        "use http::StatusCode::{self, OK};",
        "Response::builder().status(503)",
        "StatusCode::from_u16( 503)",
    ] {
        assert_bad(rules::status_code, "src/proxy/handler.rs", text);
        assert_good(rules::status_code, "src/proxy/error.rs", text);
        assert_good(rules::status_code, "src/admin/flags.rs", text);
        assert_good(rules::status_code, "src/demo/journey.rs", text);
    }
    let type_alone =
        "fn class(status: StatusCode) -> bool { status.is_success() && set.status(status) }";
    assert_good(rules::status_code, "src/telemetry/events.rs", type_alone);
}

#[test]
fn a_metric_named_outside_of_telemetry_is_found() {
    for text in [
        "metrics::counter!(\"x\").increment(1);",
        "use metrics::{describe_gauge, gauge};",
        "use metrics;",
        "use metrics_exporter_prometheus::PrometheusBuilder;",
    ] {
        assert_bad(rules::metric_macro, "src/proxy/handler.rs", text);
        assert_good(rules::metric_macro, "src/telemetry/prometheus.rs", text);
    }
    assert_good(
        rules::metric_macro,
        "src/admin/mod.rs",
        "mod metrics; fn f() { metrics::render() }",
    );
}

#[test]
fn a_socket_outside_of_net_is_found() {
    for text in [
        "use tokio::net::{TcpListener};",
        "x: std::net::TcpStream",
        "use std::net::{SocketAddr, UdpSocket};",
        "socket2::Socket::new()",
        "use crate::net::TcpStream; TcpStream::connect(x)",
        "crate::net::TcpListener::bind(x)",
    ] {
        assert_bad(rules::socket, "src/admin/mod.rs", text);
        assert_good(rules::socket, "src/net.rs", text);
    }
    for text in ["use crate::net::{TcpStream, listen};", "use std::net::{IpAddr, SocketAddr};"] {
        assert_good(rules::socket, "src/proxy/server.rs", text);
    }
}

#[test]
fn a_look_at_the_clock_is_found() {
    for text in [
        "Instant::now()",
        "tokio::time::Instant::now()",
        "let read = SystemTime::now;",
        "use std::time::{Duration, Instant};",
    ] {
        assert_bad(rules::clock_read, "src/lease/local.rs", text);
        assert_good(rules::clock_read, "src/clock.rs", text);
    }
    assert_good(rules::clock_read, "src/lease/local.rs", "use std::time::Duration; clock::now()");
}

#[test]
fn a_look_at_the_environment_is_found() {
    for text in ["std::env::var(\"X\")", "use std::env;", "env::args()"] {
        assert_bad(rules::environment_read, "src/store/file.rs", text);
        assert_good(rules::environment_read, "src/config/raw.rs", text);
        assert_good(rules::environment_read, "src/main.rs", text);
    }
    assert_good(rules::environment_read, "src/store/file.rs", "env!(\"CARGO_PKG_VERSION\")");
}

#[test]
fn a_file_read_out_of_place_is_found() {
    for text in ["std::fs::read(p)", "use std::{fs, io};", "tokio::fs::read(p)", "File::open(p)"] {
        assert_bad(rules::file_access, "src/proxy/server.rs", text);
        assert_good(rules::file_access, "src/store/file.rs", text);
        assert_good(
            rules::file_access,
            "src/proxy/x.rs",
            &format!("#[cfg(test)] mod t {{ {text} }}"),
        );
    }
    assert_good(rules::file_access, "src/proxy/server.rs", "include_str!(\"x\")");
}

#[test]
fn a_vague_name_is_found() {
    for path in ["src/utils.rs", "src/proxy/helpers/body.rs", "tests/common/mod.rs", "src/misc.rs"]
    {
        assert_eq!(rules::vague_name(&[path.to_owned()]).len(), 1, "{path}");
    }
    assert!(rules::vague_name(&["src/proxy/commonality.rs".to_owned()]).is_empty());
}

#[test]
fn unfinished_work_is_found() {
    for text in [
        "todo!()",
        "unimplemented!()",
        "dbg!(x)",
        "#[ignore]",
        "#[ignore = \"slow\"]",
        "// TODO: x",
        "//! FIXME",
    ] {
        assert_bad(rules::unfinished, "src/x.rs", text);
        assert_bad(rules::unfinished, "tests/behavior/x.rs", text);
    }
    assert_good(rules::unfinished, "src/x.rs", "let ignore = TODO; // todos");
}

#[test]
fn a_sleeping_test_is_found() {
    for text in [
        "std::thread::sleep(d)",
        "thread::sleep(d)",
        "tokio::time::sleep(d).await",
        "use x; sleep(d).await",
        "until(\"it to have lasted\", || begun.elapsed() >= d)",
        "eventually(\"it\", || (begun.elapsed() > d).then_some(()))",
        "until(\"it (x)\", || f(1) && Instant::now() > end)",
    ] {
        assert_bad(rules::sleep_in_test, "tests/behavior/x.rs", text);
        assert_good(rules::sleep_in_test, "tests/support/wait.rs", text);
    }
    assert_bad(
        rules::sleep_in_test,
        "src/x.rs",
        "#[cfg(test)] mod t { fn f() { thread::sleep(d) } }",
    );
    assert_good(rules::sleep_in_test, "src/x.rs", "tokio::time::sleep(d).await");
    for text in
        ["until(\"it\", || f() > 1); assert!(begun.elapsed() < d)", "until(\"elapsed()\", f)"]
    {
        assert_good(rules::sleep_in_test, "tests/behavior/x.rs", text);
    }
}

#[test]
fn an_allow_without_a_reason_is_found() {
    for text in [
        "#[allow(dead_code)]",
        "#![allow(clippy::x, clippy::y)]",
        "#[expect(dead_code)]",
        "#[cfg_attr(test, allow(dead_code))]",
        "#[allow(dead_code)] // reason = \"x\"",
    ] {
        assert_bad(rules::allow_without_reason, "src/x.rs", text);
    }
    for text in [
        "#[allow(dead_code, reason = \"x (y)\")]",
        "#![cfg_attr(\n    test,\n    allow(clippy::x, reason = \"x\")\n)]",
        "let a = b.expect(\"c\"); vec![allow(1)];",
    ] {
        assert_good(rules::allow_without_reason, "src/x.rs", text);
    }
}

#[test]
fn a_metric_that_does_not_exist_is_found() {
    let catalogue = "| `interlock_requests_total` |\n| `interlock_overhead_seconds` |";
    let offences = |text: &str| {
        rules::unknown_metric(&[("alerts/a.yml".to_owned(), text.to_owned())], catalogue).len()
    };

    assert_eq!(offences("\n  rate(interlock_request_total[5m])"), 1);
    assert_eq!(offences("sum(interlock_overhead_seconds_bucket) / interlock_requests_total"), 0);
    assert_eq!(offences("interlock_requests:rate5m, my_interlock_x"), 0);
}
