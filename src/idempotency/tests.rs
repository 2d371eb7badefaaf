//! Several sidecars over real servers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::domain::flag::{Path, Protection};
use crate::fleet::Keys;
use crate::remote::Remote;
use crate::remote::testing::{RedisConfig, TestServer};
use crate::telemetry::{Telemetry, Topology};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough for a busy machine: little here is about the store's loss.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

const TERMS: Terms = Terms { keep: Duration::from_secs(3600), running: Duration::from_secs(60) };

/// Runs a test as the store's thread would run.
fn on_a_store_thread(test: impl Future<Output = ()>) {
    let runtime =
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.unwrap() });
}

/// A sidecar's records; returns when its store is connected.
async fn sidecar(config: RedisConfig, id: &str, limit: Duration) -> FleetRecords {
    let config = RedisConfig { timeout: limit, ..config };
    let telemetry = Telemetry::new(&Topology { flags: Vec::new(), routes: Vec::new() });
    let (push, _) = mpsc::unbounded_channel();
    let remote = Remote::open(config.clone(), Vec::new(), push, telemetry);
    let mut status = remote.status();
    status.wait_for(|status| status.connected.is_some()).await.unwrap();
    let (records, requests) = FleetRecords::new(id);
    let clerk = Clerk::new(remote, Keys::new("interlock"), limit, requests);
    tokio::task::spawn_local(clerk.run());
    records
}

fn payload(target: &str) -> Payload {
    Payload::of(&Request::put(target).body(()).unwrap(), &[])
}

async fn begin_with(records: &FleetRecords, terms: Terms) -> Begun {
    records.begin(RecordName::of("flag", "key"), payload("/"), terms).await
}

async fn begin(records: &FleetRecords) -> Begun {
    begin_with(records, TERMS).await
}

#[track_caller]
fn first(begun: Begun) -> Claim {
    match begun {
        Begun::First(claim) => claim,
        other => panic!("{}", word(&other)),
    }
}

fn word(begun: &Begun) -> &'static str {
    match begun {
        Begun::First(_) => "first",
        Begun::Unrecorded(_) => "unrecorded",
        Begun::Answered(_) => "answered",
        Begun::Running => "running",
        Begun::OtherPayload => "other payload",
        Begun::Abandoned(_) => "abandoned",
    }
}

fn answer() -> StoredAnswer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    let served = Served { path: Path::Fixed, protection: Protection::Protected };
    StoredAnswer::of(StatusCode::OK, &headers, served, Some(Bytes::from_static(b"\0line\nline")))
}

/// What any server has to do for two sidecars.
async fn one_runs_and_both_have_its_answer(config: RedisConfig) {
    let one = sidecar(config.clone(), "one", STORE_TIMEOUT).await;
    let two = sidecar(config, "two", STORE_TIMEOUT).await;

    let claim = first(begin(&one).await);
    let while_it_runs = [word(&begin(&one).await), word(&begin(&two).await)];
    let other = two.begin(RecordName::of("flag", "key"), payload("/other"), TERMS).await;
    let recorded = claim.answered(answer()).await;

    assert_eq!(while_it_runs, ["running", "running"]);
    assert_eq!(word(&other), "other payload");
    assert!(recorded);
    for sidecar in [&one, &two] {
        let Begun::Answered(again) = begin(sidecar).await else { panic!("no answer") };
        assert_eq!(again, answer());
    }
}

#[test]
fn of_two_sidecars_one_runs_a_key_and_both_have_its_answer() {
    on_a_store_thread(async {
        let server = TestServer::redis();
        one_runs_and_both_have_its_answer(server.config()).await;
        let server = TestServer::valkey();
        one_runs_and_both_have_its_answer(server.config()).await;
        let cluster = TestServer::cluster();
        one_runs_and_both_have_its_answer(cluster.config()).await;
    });
}

#[test]
fn no_record_is_forgotten_while_its_call_may_run() {
    let hour = Duration::from_secs(3600);

    assert_eq!(Terms::new(hour, PATIENCE), Terms { keep: hour, running: PATIENCE + SLACK });
    assert_eq!(Terms::new(Duration::from_millis(1), PATIENCE).keep, PATIENCE + SLACK);
}

#[test]
fn a_claim_that_is_let_go_says_what_is_known() {
    on_a_store_thread(async {
        let server = TestServer::redis();
        let (one, two) = (
            sidecar(server.config(), "one", STORE_TIMEOUT).await,
            sidecar(server.config(), "two", STORE_TIMEOUT).await,
        );

        drop(first(begin(&one).await));
        one.close().await;
        let mut sent = first(begin(&two).await);
        sent.set_sent(true);
        drop(sent);
        two.close().await;

        assert_eq!(word(&begin(&one).await), "abandoned");
    });
}

#[test]
fn a_call_that_left_before_it_was_told_holds_nothing() {
    on_a_store_thread(async {
        let server = TestServer::redis();
        let sidecar = sidecar(server.config(), "one", STORE_TIMEOUT).await;

        let mut left = Box::pin(begin(&sidecar));
        // Asked, and gone before the answer.
        assert!(is_pending(&mut left).await);
        drop(left);
        sidecar.close().await;

        assert_eq!(word(&begin(&sidecar).await), "first");
    });
}

/// Polls a future once; whether it is still pending.
async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
    })
    .await
}

#[test]
fn a_call_that_runs_for_longer_than_any_is_abandoned_until_its_answer_comes() {
    on_a_store_thread(async {
        let server = TestServer::redis();
        let sidecar = sidecar(server.config(), "one", STORE_TIMEOUT).await;
        let brief = Terms { running: Duration::from_millis(1), ..TERMS };

        let claim = first(begin_with(&sidecar, brief).await);
        while word(&begin(&sidecar).await) == "running" {}
        let while_it_is_late = word(&begin(&sidecar).await);
        let recorded = claim.answered(answer()).await;

        assert_eq!(while_it_is_late, "abandoned");
        assert!(recorded);
        assert_eq!(word(&begin(&sidecar).await), "answered");
    });
}

#[test]
fn an_answer_takes_the_place_of_a_record_that_got_lost_and_of_no_others() {
    on_a_store_thread(async {
        let server = TestServer::redis();
        let sidecar = sidecar(server.config(), "one", STORE_TIMEOUT).await;

        let lost = first(begin(&sidecar).await);
        server.cli(&["FLUSHALL"]);
        assert!(lost.answered(answer()).await);
        let after = word(&begin(&sidecar).await);
        server.cli(&["FLUSHALL"]);
        let lost = first(begin(&sidecar).await);
        server.cli(&["FLUSHALL"]);
        let next = first(begin(&sidecar).await);

        assert_eq!(after, "answered");
        assert!(!lost.answered(answer()).await, "the key is another call's by now");
        assert_eq!(word(&begin(&sidecar).await), "running");
        drop(next);
    });
}

#[test]
fn what_is_no_record_is_taken_for_an_unknown_outcome() {
    on_a_store_thread(async {
        let server = TestServer::redis();
        let sidecar = sidecar(server.config(), "one", STORE_TIMEOUT).await;
        let key = Keys::new("interlock").idempotency(&RecordName::of("flag", "key").to_string());
        let print = payload("/").to_string();

        for strange in ["", "x", "running", &format!("answered t 0 {print}\nnonsense")] {
            server.cli(&["SET", &key, strange]);
            assert_eq!(word(&begin(&sidecar).await), "abandoned", "{strange}");
        }
        server.cli(&["DEL", &key]);
        server.cli(&["HSET", &key, "a", "b"]);
        assert_eq!(word(&begin(&sidecar).await), "abandoned");
    });
}

#[test]
fn a_record_is_kept_for_its_time_and_no_longer() {
    on_a_store_thread(async {
        let server = TestServer::redis();
        let sidecar = sidecar(server.config(), "one", STORE_TIMEOUT).await;
        let key = Keys::new("interlock").idempotency(&RecordName::of("flag", "key").to_string());
        let left = || server.cli(&["PTTL", &key]).trim().parse::<u64>().unwrap();

        let claim = first(begin(&sidecar).await);
        let running = left();
        claim.answered(answer()).await;

        assert!((3_590_000..=3_600_000).contains(&running), "{running}");
        assert!((3_590_000..=3_600_000).contains(&left()), "{}", left());
    });
}

#[test]
fn a_store_that_says_nothing_is_waited_for_once_and_told_later() {
    const LIMIT: Duration = Duration::from_millis(300);
    on_a_store_thread(async {
        let server = TestServer::redis();
        let sidecar = sidecar(server.config(), "one", LIMIT).await;
        let claim = first(begin(&sidecar).await);
        let other = |key| sidecar.records_begin(key);

        server.stop();
        let since = crate::clock::now();
        let unrecorded = other("other").await;
        let took = since.elapsed();
        let recorded = claim.answered(answer()).await;
        server.cont();
        sidecar.close().await;

        assert_eq!(word(&unrecorded), "unrecorded");
        assert!(took < 2 * LIMIT, "{took:?}");
        assert!(!recorded);
        assert_eq!(word(&begin(&sidecar).await), "answered");
    });
}

impl FleetRecords {
    async fn records_begin(&self, key: &str) -> Begun {
        self.begin(RecordName::of("flag", key), payload("/"), TERMS).await
    }
}

/// What is left of a call that was given up, once its time is over.
async fn abandoned(records: &FleetRecords) -> Claim {
    loop {
        match begin(records).await {
            Begun::Abandoned(Some(claim)) => return claim,
            Begun::Running => {}
            other => panic!("{}", word(&other)),
        }
    }
}

#[test]
fn what_is_found_out_of_a_call_that_nobody_ended_is_the_answer_from_then_on() {
    on_a_store_thread(async {
        let server = TestServer::redis();
        let one = sidecar(server.config(), "one", STORE_TIMEOUT).await;
        let two = sidecar(server.config(), "two", STORE_TIMEOUT).await;
        let brief = Terms { running: Duration::from_millis(1), ..TERMS };
        let claim = first(begin_with(&one, brief).await);
        let ticket = claim.ticket().map(str::to_owned);
        // As a sidecar leaves it that dies.
        claim.forget();

        let found = abandoned(&two).await;
        assert_eq!(found.ticket(), ticket.as_deref());
        found.forget();
        // Nobody waits any more, and nothing was found out: it must not run.
        drop(abandoned(&two).await);
        two.close().await;
        let recorded = abandoned(&two).await.answered(answer()).await;

        assert!(recorded && ticket.is_some());
        assert_eq!(word(&begin(&one).await), "answered");
    });
}
