//! How an entity's lease is waited for.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::clock;

pub(super) async fn a_free_entity_is_leased_without_waiting(leases: impl OnTrial) {
    let lease = take(&leases, "a").await;

    assert!(lease.waited() <= leases.asking(), "{:?}", lease.waited());
    assert_eq!(leases.waiting(), 0);
    lease.release();
}

pub(super) async fn an_entity_has_one_holder_at_a_time(leases: impl OnTrial) {
    let first = take(&leases, "a").await;

    let mut second = queue_up(&leases, "a", leases.patient()).await;
    assert_still_waits(&mut second, leases.settle() * 2).await;

    first.release();
    granted(&leases, second).await.release();
}

pub(super) async fn entities_do_not_wait_for_each_other(leases: impl OnTrial) {
    let a = take(&leases, "a").await;

    let b = timeout(leases.soon(), leases.acquire("b", leases.patient())).await.unwrap().unwrap();

    a.release();
    b.release();
}

pub(super) async fn waiters_are_served_in_order_of_arrival(leases: impl OnTrial) {
    let mut held = take(&leases, "a").await;
    let mut queue = VecDeque::new();
    for _ in 0..20 {
        queue.push_back(queue_up(&leases, "a", leases.patient()).await);
    }

    while let Some(next) = queue.pop_front() {
        held.release();
        held = granted(&leases, next).await;
        tokio::task::yield_now().await;
        assert!(queue.iter().all(|waiter| !waiter.is_finished()), "somebody jumped the queue");
    }
    held.release();
}

pub(super) async fn a_later_lease_has_a_larger_token(leases: impl OnTrial) {
    let first = take(&leases, "a").await;
    let mut last = first.token();
    let leaver = queue_up(&leases, "a", leases.patient()).await;
    let second = queue_up(&leases, "a", leases.patient()).await;
    leaver.abort();
    first.release();

    let second = granted(&leases, second).await;
    assert!(second.token() > last, "{} after {last}", second.token());
    last = second.token();
    second.keep();

    let third = take(&leases, "a").await;
    assert!(third.token() > last, "{} after {last}", third.token());
    last = third.token();
    third.release();
    until("the entity is free", || leases.held() == 0).await;

    let fourth = take(&leases, "a").await;
    assert!(fourth.token() > last, "{} after {last}", fourth.token());
    fourth.release();
}

pub(super) async fn a_waiter_learns_how_long_it_waited(leases: impl OnTrial) {
    let first = take(&leases, "a").await;
    let second = queue_up(&leases, "a", leases.patient()).await;

    tokio::time::sleep(leases.soon()).await;
    first.release();

    let second = granted(&leases, second).await;
    assert!(
        second.waited() >= leases.soon() && second.waited() < leases.soon() * 2,
        "{:?}",
        second.waited()
    );
    second.release();
}

pub(super) async fn a_full_queue_refuses_and_says_how_many_wait(leases: impl OnTrial) {
    let narrow = LeaseTerms { max_waiters: 2, ..leases.patient() };
    let first = take(&leases, "a").await;
    let second = queue_up(&leases, "a", narrow).await;
    let third = queue_up(&leases, "a", narrow).await;

    let refused = leases.acquire("a", narrow).await.unwrap_err();

    assert_eq!(refused, LeaseError::QueueFull { waiters: 2 });
    first.release();
    granted(&leases, second).await.release();
    granted(&leases, third).await.release();
}

pub(super) async fn where_nobody_may_wait_a_free_entity_is_still_leased(leases: impl OnTrial) {
    let nobody = LeaseTerms { max_waiters: 0, ..leases.patient() };

    let first = leases.acquire("a", nobody).await.unwrap();
    let refused = leases.acquire("a", nobody).await.unwrap_err();

    assert_eq!(refused, LeaseError::QueueFull { waiters: 0 });
    first.release();
}

pub(super) async fn a_wait_ends_at_its_bound(leases: impl OnTrial) {
    let first = take(&leases, "a").await;
    let since = clock::now();

    let refused = leases
        .acquire("a", LeaseTerms { wait: leases.soon(), ..leases.patient() })
        .await
        .unwrap_err();

    let LeaseError::WaitTimeout { waited } = refused else { panic!("{refused}") };
    assert!(waited >= leases.soon() && waited < leases.soon() * 2, "{waited:?}");
    assert!(clock::now() - since >= leases.soon());
    assert_eq!(leases.waiting(), 0);
    first.release();
}

pub(super) async fn terms_beyond_any_clock_are_no_panic(leases: impl OnTrial) {
    let forever = LeaseTerms {
        wait: Duration::MAX,
        max_waiters: usize::MAX,
        settle: Duration::MAX,
        ..leases.patient()
    };
    let first = leases.acquire("a", forever).await.unwrap();
    let mut second = queue_up(&leases, "a", forever).await;

    first.keep();

    assert_still_waits(&mut second, leases.settle() * 2).await;
    second.abort();
}

pub(super) async fn a_waiter_that_leaves_is_gone_at_once(leases: impl OnTrial) {
    let first = take(&leases, "a").await;
    let leaver = queue_up(&leases, "a", leases.patient()).await;
    let last = queue_up(&leases, "a", leases.patient()).await;

    leaver.abort();
    until("the queue is shorter", || leases.waiting() == 1).await;

    first.release();
    granted(&leases, last).await.release();
}

pub(super) async fn a_waiter_that_timed_out_is_passed_over(leases: impl OnTrial) {
    let first = take(&leases, "a").await;
    let hasty =
        queue_up(&leases, "a", LeaseTerms { wait: leases.soon(), ..leases.patient() }).await;
    let last = queue_up(&leases, "a", leases.patient()).await;
    assert!(hasty.await.unwrap().is_err());

    first.release();

    granted(&leases, last).await.release();
}

/// The grant is under way to a waiter that is dropped before it looks.
pub(super) async fn a_lease_handed_to_the_dead_goes_on_to_the_next(leases: impl OnTrial) {
    let first = take(&leases, "a").await;
    let dead = queue_up(&leases, "a", leases.patient()).await;
    let also_dead = queue_up(&leases, "a", leases.patient()).await;
    let alive = queue_up(&leases, "a", leases.patient()).await;

    first.release();
    dead.abort();
    also_dead.abort();

    granted(&leases, alive).await.release();
}

pub(super) async fn the_last_to_leave_frees_the_entity(leases: impl OnTrial) {
    let first = take(&leases, "a").await;
    let dead = queue_up(&leases, "a", leases.patient()).await;

    first.release();
    dead.abort();

    until("the entity is forgotten", || leases.held() == 0).await;
}
