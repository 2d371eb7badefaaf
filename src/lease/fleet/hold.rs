//! A lease that this sidecar has from the store, handed from call to call.

use std::sync::Arc;
use std::time::Duration;

use super::super::{FencingToken, LONGEST, LeaseTrace, StoreTerms};
use crate::clock::Instant;
use crate::fleet::gate::Place;

/// The most calls that have one lease, one after the other, before other sidecars get their turn.
pub(super) const COHORT: u64 = 16;

/// For how long calls may be handed a lease, beyond what the last of them needs.
pub(super) const SLICE: Duration = Duration::from_secs(1);

/// Clocks may differ by as much: one per cent, and two milliseconds for their grain.
const DRIFT: u32 = 100;
const GRAIN: Duration = Duration::from_millis(2);

/// How long a lease is asked for: for a call's way to its end, D, and the slice, by the faster of two clocks.
pub(super) fn ttl(terms: &StoreTerms, settle: Duration) -> Duration {
    let wanted = needed(terms, settle).saturating_add(SLICE);
    wanted.saturating_add(wanted / (DRIFT - 1)).saturating_add(GRAIN * 2)
}

/// What must be left of a lease that a call begins with.
fn needed(terms: &StoreTerms, settle: Duration) -> Duration {
    terms.connect.saturating_add(needed_to_send(terms, settle)).min(LONGEST / 2)
}

/// What must be left of a lease when a call is sent.
fn needed_to_send(terms: &StoreTerms, settle: Duration) -> Duration {
    terms.call.saturating_add(settle).min(LONGEST / 2)
}

/// The right to an entity, from the store.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// As the store knows us.
    pub(super) owner: Arc<str>,
    /// Where it is from.
    pub(super) place: Arc<Place>,
    /// When it runs out at the earliest, by our clock.
    pub(super) until: Instant,
    /// The next token to be given out, and the last one.
    next: u64,
    last: u64,
    /// How many calls have had it.
    pub(super) uses: u64,
    pub(super) terms: StoreTerms,
    pub(super) settle: Duration,
}

impl Hold {
    /// One that the store granted for `ttl` at `at` or later.
    pub(super) fn granted(
        owner: Arc<str>,
        place: Arc<Place>,
        top: u64,
        at: Instant,
        ttl: Duration,
        terms: (StoreTerms, Duration),
    ) -> Self {
        let (terms, settle) = terms;
        let until = at + ttl.saturating_sub(ttl / DRIFT).saturating_sub(GRAIN);
        let next = top.saturating_sub(COHORT - 1);
        Self { owner, place, until, next, last: top, uses: 0, terms, settle }
    }

    /// The token for the next call; `None` when it has to be asked for anew.
    pub(super) fn take(&mut self, now: Instant) -> Option<FencingToken> {
        let lasts = now + needed(&self.terms, self.settle) <= self.until;
        if !lasts || self.next > self.last {
            return None;
        }
        let token = FencingToken(self.next);
        self.next += 1;
        self.uses += 1;
        Some(token)
    }

    /// As a call has it that belongs to a trace.
    pub(super) fn for_call(mut self, trace: LeaseTrace) -> Self {
        self.terms.trace = trace;
        self
    }

    /// Whether a call that is sent now can end and settle under it.
    pub(super) fn covers_a_call(&self, now: Instant) -> bool {
        now + needed_to_send(&self.terms, self.settle) <= self.until
    }

    /// Whether another call may have it.
    pub(super) fn has_more(&self, now: Instant) -> bool {
        self.clone().take(now).is_some()
    }
}

/// When the store's clock read `then`, by ours, at the earliest: at `sent` or later it read `read`, and said that the lease was
/// another's. `None` for a grant from before that: it came late, and had run out by then.
pub(super) fn instant_of(
    then_ms: u64,
    read_ms: u64,
    sent: Instant,
    now: Instant,
) -> Option<Instant> {
    let after = Duration::from_millis(then_ms.checked_sub(read_ms)?);
    // The store's clock may run faster than ours.
    let slow = after.saturating_sub(after / DRIFT).saturating_sub(GRAIN);
    // A clock that was set forward must not make a grant of the future.
    Some((sent + slow).min(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::domain::flag::OnStoreLoss;
    use crate::lease::Purpose;
    use crate::telemetry::FlagIndex;

    const TERMS: StoreTerms = StoreTerms {
        connect: Duration::from_secs(1),
        call: Duration::from_secs(5),
        patience: Duration::ZERO,
        loss: OnStoreLoss::Reject,
        flag: FlagIndex(0),
        trace: LeaseTrace::NONE,
        purpose: Purpose::Call,
    };
    const SETTLE: Duration = Duration::from_secs(5);

    fn hold(at: Instant) -> Hold {
        let ttl = ttl(&TERMS, SETTLE);
        Hold::granted("a/1/2/16".into(), Arc::default(), 1_000, at, ttl, (TERMS, SETTLE))
    }

    #[tokio::test(start_paused = true)]
    async fn a_cohort_gets_as_many_tokens_as_were_taken_each_once_and_growing() {
        let now = clock::now();
        let mut hold = hold(now);

        let tokens: Vec<u64> =
            std::iter::from_fn(|| hold.take(now)).map(FencingToken::get).collect();

        assert_eq!(tokens, (1_000 - COHORT + 1..=1_000).collect::<Vec<_>>());
        assert_eq!(hold.uses, COHORT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_begins_only_with_a_lease_that_outlasts_it_and_d() {
        let now = clock::now();
        let mut fresh = hold(now);

        assert!(fresh.take(now).is_some());
        assert!(fresh.take(now + SLICE).is_some());
        let late = now + SLICE + Duration::from_millis(10);
        assert!(fresh.take(late).is_none());
        assert!(fresh.covers_a_call(late), "the time to connect was kept");
        assert!(!fresh.covers_a_call(now + Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn every_length_of_call_gets_a_lease_that_is_long_enough() {
        let now = clock::now();
        for call in [0, 1, 60, 3_600, 10_000_000, u64::MAX].map(Duration::from_secs) {
            let terms = StoreTerms { call, ..TERMS };
            let ttl = ttl(&terms, SETTLE);
            let granted = ("a/1/2/16".into(), Arc::default(), 1_000, now, ttl);
            let (owner, place, top, at, ttl) = granted;

            let mut hold = Hold::granted(owner, place, top, at, ttl, (terms, SETTLE));

            assert!(hold.take(now + SLICE / 2).is_some(), "{call:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_from_before_the_lease_was_said_to_be_anothers_is_none() {
        let sent = clock::now();

        assert_eq!(instant_of(9_999, 10_000, sent, sent), None);
        assert!(instant_of(10_000, 10_000, sent, sent).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_that_came_late_counts_from_when_it_was_made() {
        let sent = clock::now();
        let now = sent + Duration::from_secs(20);

        let at = instant_of(11_000, 10_000, sent, now).unwrap();

        assert!(at <= sent + Duration::from_secs(1) && at >= sent + Duration::from_millis(980));
        assert!(!hold(at).covers_a_call(now), "this process stood still meanwhile");
        assert_eq!(instant_of(u64::MAX, 0, sent, now), Some(now));
    }
}
