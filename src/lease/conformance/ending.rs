//! How a lease ends, and what it leaves behind.

use std::time::Duration;

use super::*;
use crate::clock;

/// `end` ends a lease with an unknown outcome.
async fn blocks_for_the_settle_time(leases: impl OnTrial, end: impl AsyncFnOnce(Lease)) {
    let first = take(&leases, "a").await;
    let waiter = queue_up(&leases, "a", leases.patient()).await;
    let next = queue_up(&leases, "a", leases.patient()).await;

    let since = clock::now();
    end(first).await;
    let second = waiter.await.unwrap().unwrap();
    let blocked = clock::now() - since;

    assert!(blocked >= leases.settle(), "handed over after {blocked:?}");
    assert!(blocked < leases.settle() * 2, "handed over only after {blocked:?}");
    second.release();
    granted(&leases, next).await.release();
}

pub(super) async fn a_kept_lease_blocks_its_entity_for_the_settle_time(leases: impl OnTrial) {
    blocks_for_the_settle_time(leases, async |lease| lease.keep()).await;
}

pub(super) async fn a_dropped_lease_counts_as_kept(leases: impl OnTrial) {
    blocks_for_the_settle_time(leases, async |lease| drop(lease)).await;
}

pub(super) async fn a_panic_under_a_lease_counts_as_kept(leases: impl OnTrial) {
    blocks_for_the_settle_time(leases, async |lease| {
        let call = tokio::spawn(async move {
            let _held = lease;
            panic!("as a buggy path might");
        });
        assert!(call.await.unwrap_err().is_panic());
    })
    .await;
}

pub(super) async fn a_cancelled_call_counts_as_kept(leases: impl OnTrial) {
    blocks_for_the_settle_time(leases, async |lease| {
        let call = tokio::spawn(async move {
            let _held = lease;
            std::future::pending::<()>().await;
        });
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    })
    .await;
}

pub(super) async fn a_lease_may_end_outside_of_any_runtime(leases: impl OnTrial) {
    blocks_for_the_settle_time(leases, async |lease| {
        std::thread::spawn(move || drop(lease)).join().unwrap();
    })
    .await;
}

pub(super) async fn whoever_asks_while_a_lease_is_kept_waits_for_it(leases: impl OnTrial) {
    let since = clock::now();
    take(&leases, "a").await.keep();

    let second = take(&leases, "a").await;

    assert!(clock::now() - since >= leases.settle());
    second.release();
}

/// The one that watches the time of a kept lease leaves; the next one must watch instead.
pub(super) async fn a_kept_lease_runs_out_though_the_first_waiter_left(leases: impl OnTrial) {
    let first = take(&leases, "a").await;
    let watcher = queue_up(&leases, "a", leases.patient()).await;
    let hasty =
        queue_up(&leases, "a", LeaseTerms { wait: leases.soon(), ..leases.patient() }).await;
    let last = queue_up(&leases, "a", leases.patient()).await;
    let since = clock::now();
    first.keep();
    tokio::task::yield_now().await;

    watcher.abort();
    assert!(hasty.await.unwrap().is_err());

    let last = last.await.unwrap().unwrap();
    let blocked = clock::now() - since;
    assert!(
        blocked >= leases.settle() && blocked < leases.settle() * 2,
        "handed over after {blocked:?}"
    );
    last.release();
}

pub(super) async fn a_kept_lease_that_ran_out_is_free_without_a_sweep(leases: impl OnTrial) {
    take(&leases, "a").await.keep();
    tokio::time::sleep(leases.settle()).await;

    let now_or_never = LeaseTerms { wait: Duration::ZERO, max_waiters: 0, ..leases.patient() };

    leases.acquire("a", now_or_never).await.unwrap().release();
}

pub(super) async fn quiet_entities_take_no_memory(leases: impl OnTrial) {
    for n in 0..10_000 {
        let entity = format!("entity:{n}");
        take(&leases, &entity).await.release();
    }

    let last = take(&leases, "entity:last").await;
    until("all but one are forgotten", || leases.held() == 1).await;
    last.release();
    until("all are forgotten", || leases.held() == 0).await;
}

pub(super) async fn kept_entities_are_swept_once_they_ran_out(leases: impl OnTrial) {
    for n in 0..10_000 {
        take(&leases, &format!("entity:{n}")).await.keep();
    }
    leases.sweep();
    assert_eq!(leases.held(), 10_000, "swept too early");

    tokio::time::sleep(leases.settle()).await;
    leases.sweep();

    assert_eq!(leases.held(), 0);
}
