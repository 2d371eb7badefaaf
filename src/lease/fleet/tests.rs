//! Several sidecars over one real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::hold::COHORT;
use super::trial::Trial;
use crate::clock;
use crate::domain::flag::OnStoreLoss;
use crate::fleet::gate::Standing;
use crate::lease::{LeaseError, LeaseTerms, Leases, Purpose, Reach, StoreTerms};
use crate::remote::testing::TestServer;
use crate::telemetry::labels::Exposure;

const SETTLE: Duration = Duration::from_millis(400);
const TERMS: LeaseTerms = LeaseTerms {
    wait: Duration::from_secs(20),
    max_waiters: 1000,
    settle: SETTLE,
    store: StoreTerms { call: SETTLE, ..StoreTerms::NONE },
};

/// Long enough for a busy machine, shorter than any lease.
const SOON: Duration = Duration::from_millis(900);

async fn sidecars(server: &TestServer, count: usize) -> Vec<Trial> {
    let mut sidecars = Vec::new();
    for number in 0..count {
        sidecars.push(Trial::at(server.config(), &format!("s{number}")).await);
    }
    sidecars
}

/// `rounds` updates under the lease of `entity`; returns how many were alone.
async fn update(sidecar: Trial, entity: &'static str, rounds: u64, inside: Arc<AtomicU64>) -> u64 {
    let mut alone = 0;
    for _ in 0..rounds {
        let lease = sidecar.acquire(entity, TERMS).await.unwrap();
        let others = inside.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        inside.fetch_sub(1, Ordering::SeqCst);
        alone += u64::from(others == 0 && lease.reach() == Reach::Fleet);
        lease.release();
    }
    alone
}

/// What the server counted of commands that run scripts.
fn scripts(server: &TestServer) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]);
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name));
        let calls = line.and_then(|line| line.split(',').next()?.parse::<u64>().ok());
        calls.unwrap_or(0)
    };
    calls("cmdstat_evalsha:calls=") + calls("cmdstat_eval:calls=")
}

#[tokio::test]
async fn an_entity_has_one_holder_in_the_whole_fleet() {
    const CALLERS: u64 = 5;
    const ROUNDS: u64 = 20;
    let server = TestServer::redis();
    let sidecars = sidecars(&server, 3).await;
    let (inside, before) = (Arc::<AtomicU64>::default(), scripts(&server));

    let calls = sidecars.iter().flat_map(|sidecar| {
        let call = || tokio::spawn(update(sidecar.clone(), "hot", ROUNDS, Arc::clone(&inside)));
        (0..CALLERS).map(move |_| call()).collect::<Vec<_>>()
    });
    let mut alone = 0;
    for call in calls.collect::<Vec<_>>() {
        alone += call.await.unwrap();
    }

    let updates = 3 * CALLERS * ROUNDS;
    assert_eq!(alone, updates);
    let commands = scripts(&server) - before;
    assert!(commands * 10 <= updates * 21, "{commands} commands for {updates} updates");
}

#[tokio::test]
async fn calls_of_one_sidecar_cost_next_to_nothing() {
    const CALLERS: u64 = 16;
    const ROUNDS: u64 = 20;
    let server = TestServer::redis();
    let sidecar = sidecars(&server, 1).await.remove(0);
    let (inside, before) = (Arc::<AtomicU64>::default(), scripts(&server));

    let calls = (0..CALLERS)
        .map(|_| tokio::spawn(update(sidecar.clone(), "hot", ROUNDS, Arc::clone(&inside))));
    let mut alone = 0;
    for call in calls.collect::<Vec<_>>() {
        alone += call.await.unwrap();
    }

    let (updates, commands) = (CALLERS * ROUNDS, scripts(&server) - before);
    assert_eq!(alone, updates);
    // Two a cohort, and some beats.
    assert!(commands <= 2 * updates / COHORT + 20, "{commands} commands for {updates} updates");
}

#[tokio::test]
async fn a_lease_of_an_edit_is_not_handed_to_a_call() {
    let server = TestServer::redis();
    let sidecar = sidecars(&server, 1).await.remove(0);
    let for_purpose = |purpose| {
        let (sidecar, store) = (sidecar.clone(), StoreTerms { purpose, ..TERMS.store });
        tokio::spawn(
            async move { sidecar.acquire("a", LeaseTerms { store, ..TERMS }).await.unwrap() },
        )
    };
    let holder = || server.cli(&["GET", "interlock:lease:{a}:holder"]);
    // As the documents' scripts tell a lease of an edit.
    let is_of_edit = |owner: &str| owner.split('/').nth(1).is_some_and(|number| number.len() > 1);
    let mut before = for_purpose(Purpose::Edit).await.unwrap();

    for (purpose, of_edit) in [
        (Purpose::Edit, true),
        (Purpose::Call, false),
        (Purpose::Call, false),
        // A call's lease does for an edit.
        (Purpose::Edit, false),
    ] {
        let mut next = for_purpose(purpose);
        assert!(timeout(SOON / 10, &mut next).await.is_err(), "one at a time");
        let token = before.token();
        before.release();
        let lease = timeout(SOON, next).await.unwrap().unwrap();

        let owner = lease.owner().unwrap().to_owned();
        assert!(lease.token() > token);
        assert_eq!(is_of_edit(&owner), of_edit, "{owner}");
        assert!(holder().starts_with(&format!("{owner} ")), "{} and {owner}", holder());
        before = lease;
    }
    before.release();
}

#[tokio::test]
async fn a_place_in_the_queue_that_an_edit_left_is_not_a_call_s() {
    let server = TestServer::redis();
    let sidecars = sidecars(&server, 2).await;
    // It outlasts the edit's wait, which is a question's time at the least.
    let lasting = StoreTerms { call: Duration::from_secs(60), ..TERMS.store };
    let held = LeaseTerms { store: lasting, ..TERMS };
    let held = sidecars[0].acquire("a", held).await.unwrap();
    let hasty = StoreTerms { purpose: Purpose::Edit, ..TERMS.store };
    let hasty = LeaseTerms { wait: Duration::from_millis(1), store: hasty, ..TERMS };
    let call = sidecars[1].clone();
    let edit = tokio::spawn({
        let sidecar = sidecars[1].clone();
        async move { sidecar.acquire("a", hasty).await }
    });
    tokio::task::yield_now().await;
    let call = tokio::spawn(async move { call.acquire("a", TERMS).await.unwrap() });
    assert!(matches!(edit.await.unwrap(), Err(LeaseError::WaitTimeout { .. })));

    held.release();

    let lease = timeout(SOON, call).await.unwrap().unwrap();
    let number = lease.owner().unwrap().split('/').nth(1).unwrap().to_owned();
    assert_eq!(number.len(), 1, "{number} is an edit's");
    lease.release();
}

#[tokio::test]
async fn a_lease_goes_to_the_sidecar_that_asked_first() {
    let server = TestServer::redis();
    let sidecars = sidecars(&server, 3).await;
    let held = sidecars[0].acquire("a", TERMS).await.unwrap();
    let queue = |n: usize| {
        let sidecar = sidecars[n].clone();
        tokio::spawn(async move { sidecar.acquire("a", TERMS).await.unwrap() })
    };
    let second = queue(1);
    until_queued(&server, 1).await;
    let third = queue(2);
    until_queued(&server, 2).await;

    held.release();

    let second = timeout(SOON, second).await.unwrap().unwrap();
    assert!(!third.is_finished());
    let token = second.token();
    second.release();
    let third = timeout(SOON, third).await.unwrap().unwrap();
    assert!(third.token() > token);
    third.release();
}

async fn until_queued(server: &TestServer, count: usize) {
    for _ in 0..1000 {
        let queued = server.cli(&["LLEN", "interlock:lease:{a}:queue"]);
        if queued.trim().trim_start_matches(':') == count.to_string() {
            return;
        }
        sleep(Duration::from_millis(2)).await;
    }
    panic!("{count} never waited");
}

#[tokio::test]
async fn a_waiter_that_died_is_passed_over() {
    let server = TestServer::redis();
    let mut sidecars = sidecars(&server, 3).await;
    let held = sidecars[0].acquire("a", TERMS).await.unwrap();
    let dying = sidecars.remove(1);
    let mut waits = Box::pin(dying.leases.acquire("a", TERMS));
    assert!(timeout(Duration::from_millis(1), &mut waits).await.is_err());
    until_queued(&server, 1).await;
    let last = sidecars[1].clone();
    let last = tokio::spawn(async move { last.acquire("a", TERMS).await.unwrap() });
    until_queued(&server, 2).await;

    // Its connections end with its thread, and nobody withdraws the question.
    std::mem::forget(waits);
    drop(dying);
    assert_eq!(server.cli(&["LLEN", "interlock:lease:{a}:queue"]), "2");
    held.release();

    timeout(SOON, last).await.unwrap().unwrap().release();
}

#[tokio::test]
async fn a_lease_that_its_holder_kept_is_closed_to_all_for_the_settle_time() {
    let server = TestServer::redis();
    let sidecars = sidecars(&server, 2).await;
    let since = clock::now();
    sidecars[0].acquire("a", TERMS).await.unwrap().keep();

    let next = sidecars[1].acquire("a", TERMS).await.unwrap();

    let waited = clock::now() - since;
    assert!(waited >= SETTLE, "{waited:?}");
    next.release();
}

#[tokio::test]
async fn a_sidecar_that_died_holds_its_entity_until_the_lease_runs_out() {
    let server = TestServer::redis();
    let mut sidecars = sidecars(&server, 2).await;
    let since = clock::now();
    let lease = sidecars[0].acquire("a", TERMS).await.unwrap();
    std::mem::forget(lease);
    drop(sidecars.remove(0));

    let next = sidecars[0].acquire("a", TERMS).await.unwrap();

    let waited = clock::now() - since;
    assert!(waited >= SETTLE * 2, "the call, and then D: {waited:?}");
    next.release();
}

#[tokio::test]
async fn nothing_is_granted_from_a_store_that_was_emptied_until_calls_from_before_have_ended() {
    let server = TestServer::redis();
    let sidecars = sidecars(&server, 2).await;
    let held = sidecars[0].acquire("a", TERMS).await.unwrap();
    server.cli(&["FLUSHALL"]);

    let other = sidecars[1].clone();
    let mut other = tokio::spawn(async move { other.acquire("a", TERMS).await.unwrap() });
    assert!(timeout(SOON, &mut other).await.is_err(), "another call still runs");
    assert_eq!(held.reach(), Reach::Fleet, "nobody else got in");
    held.release();

    timeout(Duration::from_secs(10), other).await.unwrap().unwrap().release();
}

#[tokio::test]
async fn a_lease_that_is_gone_when_it_is_given_back_counts_as_an_exposure() {
    let server = TestServer::redis();
    let sidecar = sidecars(&server, 1).await.remove(0);
    let held = sidecar.acquire("a", TERMS).await.unwrap();

    let holder = server.cli(&["GET", "interlock:lease:{a}:holder"]);
    assert_eq!(holder.split(' ').next(), held.owner());
    server.cli(&["DEL", "interlock:lease:{a}:holder"]);
    held.release();

    let line = r#"interlock_exposed_updates_total{flag="flag",reason="lease_lost"} 1"#;
    for _ in 0..1000 {
        if sidecar.telemetry.render().contains(line) {
            return;
        }
        sleep(Duration::from_millis(2)).await;
    }
    panic!("it was not counted");
}

/// The next call does not run before the store was lost and is back: this thread does not let it.
#[tokio::test]
async fn a_lease_from_before_the_store_was_lost_is_given_back_for_the_next_call() {
    let server = TestServer::redis();
    let sidecar = sidecars(&server, 1).await.remove(0);
    let held = sidecar.acquire("a", TERMS).await.unwrap();
    let next = sidecar.clone();
    let next = tokio::spawn(async move { next.acquire("a", TERMS).await.unwrap() });
    tokio::task::yield_now().await;
    let Standing::Open(before) = (*sidecar.gate.standing()).clone() else { panic!("not open") };
    let place = Arc::clone(&before.place);
    drop(before);

    held.release();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    let give_up = clock::now() + Duration::from_secs(10);
    while sidecar.gate.is_open_at(&place) || !matches!(*sidecar.gate.standing(), Standing::Open(_))
    {
        assert!(clock::now() < give_up, "the store was not lost and found");
        std::thread::yield_now();
    }

    timeout(SOON, next).await.expect("it waits for its own sidecar's lease").unwrap().release();
}

#[tokio::test]
async fn without_a_store_each_policy_does_as_it_says() {
    let mut server = TestServer::redis();
    let sidecar = sidecars(&server, 1).await.remove(0);
    let terms = |loss| LeaseTerms { store: StoreTerms { loss, ..TERMS.store }, ..TERMS };
    let mut changes = sidecar.gate.watch();

    server.kill();
    changes.changed().await.unwrap();

    let refused = sidecar.acquire("a", terms(OnStoreLoss::Reject)).await.unwrap_err();
    assert_eq!(refused, LeaseError::StoreLost);
    let first = sidecar.acquire("a", terms(OnStoreLoss::Legacy)).await.unwrap();
    assert_eq!(first.reach(), Reach::Exposed(Exposure::StoreUnreachable));
    let second = sidecar.clone();
    let mut second =
        tokio::spawn(async move { second.acquire("a", terms(OnStoreLoss::Legacy)).await.unwrap() });
    assert!(timeout(SOON / 3, &mut second).await.is_err(), "one at a time within this sidecar");
    first.release();
    timeout(SOON, second).await.unwrap().unwrap().release();

    server.restart();
    sidecar.open().await;
    let lease = sidecar.acquire("a", terms(OnStoreLoss::Reject)).await.unwrap();
    assert_eq!(lease.reach(), Reach::Fleet);
    lease.release();
}
