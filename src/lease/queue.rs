//! The queue of one entity: who holds it, and who waits. Pure state; locking, time and waking are the caller's.
//!
//! A waiter's token is its place in the queue, so tokens grow from grant to grant and a waiter that leaves is found in
//! O(log n). A grant is a fact in here before anybody is woken: a wake-up is only a hint to look, so none can be lost.

use std::collections::BTreeMap;
use std::task::Waker;

use super::FencingToken;
use crate::clock::Instant;

/// Who has the entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// Nobody, which implies that nobody waits either.
    Nobody,
    /// A call under way, or a waiter that was handed the lease and has not looked yet.
    Call(FencingToken),
    /// An ended call whose write may still land until then.
    Unknown(Instant),
}

/// What a waiter finds when it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It holds the lease.
    Mine,
    /// Not yet. It will be woken; the first in the queue must also look again at this instant, if there is one.
    NotYet(Option<Instant>),
}

/// One entity's holder and waiters.
#[derive(Debug)]
pub(super) struct Queue {
    holder: Holder,
    waiters: BTreeMap<FencingToken, Option<Waker>>,
}

impl Queue {
    /// A queue whose lease `token` has.
    pub(super) fn held_by(token: FencingToken) -> Self {
        Self { holder: Holder::Call(token), waiters: BTreeMap::new() }
    }

    /// Whether nobody holds it and nobody waits: it can be forgotten.
    pub(super) fn is_quiet(&self) -> bool {
        self.holder == Holder::Nobody
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Gives a quiet queue's lease to `token`.
    pub(super) fn take(&mut self, token: FencingToken) {
        debug_assert!(self.is_quiet(), "{self:?} is not free");
        self.holder = Holder::Call(token);
    }

    /// Puts `token`, which must be larger than any before, at the end.
    pub(super) fn join(&mut self, token: FencingToken) {
        self.waiters.insert(token, None);
    }

    /// Ends a kept lease that has run out. Returns whom to wake.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Waker> {
        match self.holder {
            Holder::Unknown(until) if until <= now => self.hand_over(),
            _ => None,
        }
    }

    /// Whether it is `token`'s turn. If not, `waker` is swapped with the one that was kept for it.
    pub(super) fn look(&mut self, token: FencingToken, waker: &mut Option<Waker>) -> Turn {
        if self.holder == Holder::Call(token) {
            return Turn::Mine;
        }
        let first = self.is_first(token);
        if let Some(kept) = self.waiters.get_mut(&token) {
            std::mem::swap(kept, waker);
        }
        match self.holder {
            Holder::Unknown(until) if first => Turn::NotYet(Some(until)),
            _ => Turn::NotYet(None),
        }
    }

    /// `token`'s call has ended, its outcome known. Returns whom to wake.
    pub(super) fn release(&mut self, token: FencingToken) -> Option<Waker> {
        if self.holder != Holder::Call(token) {
            return None;
        }
        self.hand_over()
    }

    /// `token`'s call has ended, its outcome unknown. Returns whom to wake: the first must watch the time from now on.
    pub(super) fn keep(&mut self, token: FencingToken, until: Instant) -> Option<Waker> {
        if self.holder != Holder::Call(token) {
            return None;
        }
        self.holder = Holder::Unknown(until);
        self.first_waker()
    }

    /// Takes `token` out, whether it still waits or was handed the lease without having looked. Its own waker goes to
    /// `mine`. Returns whom to wake.
    pub(super) fn leave(&mut self, token: FencingToken, mine: &mut Option<Waker>) -> Option<Waker> {
        let first = self.is_first(token);
        match self.waiters.remove(&token) {
            Some(waker) => *mine = waker,
            None => return self.release(token),
        }
        match self.holder {
            Holder::Unknown(_) if first => self.first_waker(),
            _ => None,
        }
    }

    fn hand_over(&mut self) -> Option<Waker> {
        let Some((token, waker)) = self.waiters.pop_first() else {
            self.holder = Holder::Nobody;
            return None;
        };
        self.holder = Holder::Call(token);
        waker
    }

    fn is_first(&self, token: FencingToken) -> bool {
        self.waiters.first_key_value().is_some_and(|(first, _)| *first == token)
    }

    fn first_waker(&mut self) -> Option<Waker> {
        self.waiters.first_entry().and_then(|mut first| first.get_mut().take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn who_does_not_hold_the_lease_can_not_end_it() {
        let (holder, waiter, stranger) = (FencingToken(1), FencingToken(2), FencingToken(3));
        let mut queue = Queue::held_by(holder);
        queue.join(waiter);

        assert!(queue.release(waiter).is_none());
        assert!(queue.release(stranger).is_none());
        assert!(queue.keep(stranger, clock::now()).is_none());
        assert!(queue.leave(stranger, &mut None).is_none());

        assert_eq!(queue.look(holder, &mut None), Turn::Mine);
        assert_eq!(queue.look(waiter, &mut None), Turn::NotYet(None));
    }
}
