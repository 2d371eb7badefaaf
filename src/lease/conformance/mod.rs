//! What every implementation of the lease port must do, written against the port.
//!
//! `conformance!` turns every behaviour into a test of one implementation. Only lower bounds on time are tested exactly,
//! so the suite holds under paused time and, for an implementation behind a socket, under real time.

mod ending;
mod queueing;

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Lease, LeaseError, LeaseTerms, Leases, LocalLeases, StoreTerms};

/// An implementation on trial, with what a test needs to see from outside.
pub(super) trait OnTrial: Leases + Clone + Send + Sync + 'static {
    /// Entities that still take memory.
    fn held(&self) -> usize;
    /// Calls that wait.
    fn waiting(&self) -> usize;
    /// Forgets what ran out.
    fn sweep(&self);

    /// How much slower than paused time it goes: times are as many times longer.
    const PACE: u32 = 1;

    /// How long an entity is left alone.
    fn settle(&self) -> Duration {
        SETTLE * Self::PACE
    }

    /// Longer than any wake-up takes, shorter than `settle`.
    fn soon(&self) -> Duration {
        SOON * Self::PACE
    }

    /// The longest that it takes to be told that a lease is free.
    fn asking(&self) -> Duration {
        Duration::ZERO
    }

    fn patient(&self) -> LeaseTerms {
        LeaseTerms {
            wait: Duration::from_secs(30),
            max_waiters: 1000,
            settle: self.settle(),
            store: StoreTerms { call: self.settle(), ..StoreTerms::NONE },
        }
    }
}

impl OnTrial for LocalLeases {
    fn held(&self) -> usize {
        self.held()
    }

    fn waiting(&self) -> usize {
        self.waiting()
    }

    fn sweep(&self) {
        self.sweep();
    }
}

const SETTLE: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_millis(100);

type Waiter = JoinHandle<Result<Lease, LeaseError>>;

/// Lets `condition` come true, within bounds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if condition() {
            return;
        }
    }
    panic!("never came true: {what}");
}

/// Queues one more call for `entity`, and returns once it waits.
async fn queue_up(leases: &impl OnTrial, entity: &'static str, terms: LeaseTerms) -> Waiter {
    let before = leases.waiting();
    let own = leases.clone();
    let waiter = tokio::spawn(async move { own.acquire(entity, terms).await });
    until("the call waits", || leases.waiting() == before + 1).await;
    waiter
}

async fn take(leases: &impl OnTrial, entity: &str) -> Lease {
    leases.acquire(entity, leases.patient()).await.unwrap()
}

/// The lease that a waiter must have by now.
async fn granted(leases: &impl OnTrial, waiter: Waiter) -> Lease {
    timeout(leases.soon(), waiter).await.expect("still waits").unwrap().unwrap()
}

async fn assert_still_waits(waiter: &mut Waiter, so_long: Duration) {
    assert!(timeout(so_long, waiter).await.is_err(), "it did not wait for its turn");
}

/// Makes every behaviour a test of the implementation that `$new` makes, run as `$test` says.
macro_rules! conformance {
    ($test:meta, $new:expr) => {
        conformance! { $test, $new, queueing =>
            a_free_entity_is_leased_without_waiting
            an_entity_has_one_holder_at_a_time
            entities_do_not_wait_for_each_other
            waiters_are_served_in_order_of_arrival
            a_later_lease_has_a_larger_token
            a_waiter_learns_how_long_it_waited
            a_full_queue_refuses_and_says_how_many_wait
            where_nobody_may_wait_a_free_entity_is_still_leased
            a_wait_ends_at_its_bound
            terms_beyond_any_clock_are_no_panic
            a_waiter_that_leaves_is_gone_at_once
            a_waiter_that_timed_out_is_passed_over
            a_lease_handed_to_the_dead_goes_on_to_the_next
            the_last_to_leave_frees_the_entity
        }
        conformance! { $test, $new, ending =>
            a_kept_lease_blocks_its_entity_for_the_settle_time
            a_dropped_lease_counts_as_kept
            a_panic_under_a_lease_counts_as_kept
            a_cancelled_call_counts_as_kept
            a_lease_may_end_outside_of_any_runtime
            whoever_asks_while_a_lease_is_kept_waits_for_it
            a_kept_lease_runs_out_though_the_first_waiter_left
            a_kept_lease_that_ran_out_is_free_without_a_sweep
            quiet_entities_take_no_memory
        }
    };
    ($test:meta, $new:expr, $module:ident => $($behaviour:ident)+) => { $(
        #[$test]
        async fn $behaviour() {
            super::$module::$behaviour($new).await;
        }
    )+ };
}

mod local {
    use super::LocalLeases;

    conformance!(tokio::test(start_paused = true), LocalLeases::new());

    conformance! { tokio::test(start_paused = true), LocalLeases::new(), ending =>
        kept_entities_are_swept_once_they_ran_out
    }
}

mod redis {
    use super::super::fleet::trial::Trial;
    use crate::remote::testing::TestServer;

    conformance!(tokio::test, Trial::over(TestServer::redis()).await);
}

mod valkey {
    use super::super::fleet::trial::Trial;
    use crate::remote::testing::TestServer;

    conformance!(tokio::test, Trial::over(TestServer::valkey()).await);
}

mod cluster {
    use super::super::fleet::trial::Trial;
    use crate::remote::testing::TestServer;

    conformance!(tokio::test, Trial::over(TestServer::cluster()).await);
}
