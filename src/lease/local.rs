//! Leases within this process: right for one sidecar alone.
//!
//! The entities are spread over shards, each a map behind a mutex that is held for one look-up and a few moves, never
//! across an `await`. Wakers are called and dropped after the mutex is open, as they may run code that comes back here.
//! An entity that falls quiet leaves its map.
//!
//! **Who watches the time of a kept lease?** A lease may be dropped on any runtime's thread or outside of all, so no
//! timer is started there: the instant at which it runs out stands in the queue, and the first waiter sleeps no longer
//! than until then, on its own runtime. When a lease is kept, or the first waiter of a kept one leaves, the new first is
//! woken to set its alarm. Whoever arrives later looks at the time too. So there is no background task to start, to stop
//! or to lose. An entity that nobody asks for again stays in the map until [`LocalLeases::sweep`].

use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep_until};

use super::queue::{Queue, Turn};
use super::shards::Shards;
use super::{End, FencingToken, Held, LONGEST, Lease, LeaseError, LeaseTerms, Leases, Reach};
use crate::clock::{self, Instant};

/// How often to call [`LocalLeases::sweep`]: seldom enough to cost nothing, often enough that what an outage left behind
/// goes soon after it.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A shard's map gives memory back when it could hold this many times what it holds.
const SLACK: usize = 4;

/// What a shard's map may hold before slack matters, in entities.
const SMALL: usize = 64;

/// Is told of an entity.
type OnQuiet = dyn Fn(&Arc<str>) + Send + Sync;

/// Leases within this process. Clones share one table.
#[derive(Clone)]
pub struct LocalLeases {
    table: Arc<Table>,
}

impl LocalLeases {
    /// An empty table. Its tokens start at the wall clock's microseconds, so that they go on growing when the process
    /// is started anew (for less than a million leases a second), and fit a JSON number.
    pub fn new() -> Self {
        Self::telling(|_| {})
    }

    /// One that tells of every entity that fell quiet: nobody holds it any more, and nobody waits. It is told after the fact,
    /// with no lock held, so the entity may have been leased again by then.
    pub(super) fn telling(on_quiet: impl Fn(&Arc<str>) + Send + Sync + 'static) -> Self {
        let table = Table {
            shards: Shards::new(),
            last_token: AtomicU64::new(clock::wall_ms().saturating_mul(1000)),
            on_quiet: Box::new(on_quiet),
        };
        Self { table: Arc::new(table) }
    }

    /// How many entities are held, or kept and not yet swept.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.table.shards.lock_each().map(|shard| shard.len()).sum()
    }

    /// How many calls wait, over all entities.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.table
            .shards
            .lock_each()
            .map(|shard| shard.values().map(Queue::waiting).sum::<usize>())
            .sum()
    }

    /// Forgets entities whose kept lease has run out. Call it every [`SWEEP_EVERY`]; it looks at each entity once,
    /// one shard at a time.
    pub fn sweep(&self) {
        let now = clock::now();
        let (mut wakers, mut quiet) = (Vec::new(), Vec::new());
        for mut shard in self.table.shards.lock_each() {
            shard.retain(|entity, queue| {
                wakers.extend(queue.expire(now));
                if queue.is_quiet() {
                    quiet.push(Arc::clone(entity));
                }
                !queue.is_quiet()
            });
            if shard.capacity() > SMALL.max(shard.len() * SLACK) {
                shard.shrink_to_fit();
            }
        }
        wakers.into_iter().for_each(Waker::wake);
        quiet.iter().for_each(|entity| (self.table.on_quiet)(entity));
    }
}

impl Default for LocalLeases {
    fn default() -> Self {
        Self::new()
    }
}

impl Leases for LocalLeases {
    async fn acquire(&self, entity: &str, terms: LeaseTerms) -> Result<Lease, LeaseError> {
        let entity = Arc::from(entity);
        let lease = |entity, token, waited| Lease {
            held: Some(Box::new(LocallyHeld { table: Arc::clone(&self.table), entity, token })),
            token,
            waited,
            settle: terms.settle,
        };
        let mut place = match self.table.enter(&entity, terms.max_waiters)? {
            Entered::Granted(token) => return Ok(lease(entity, token, Duration::ZERO)),
            Entered::Queued(token) => Place { table: &self.table, entity, token, collected: false },
        };

        let since = clock::now();
        let turn = place.wait(since + terms.wait.min(LONGEST)).await;
        let waited = clock::now() - since;
        if turn.is_break() {
            return Err(LeaseError::WaitTimeout { waited });
        }
        place.collected = true;
        Ok(lease(Arc::clone(&place.entity), place.token, waited))
    }
}

/// A call's place in an entity's queue. Dropped, it leaves the queue; a lease that it was handed and has not collected
/// goes to the next one at once, as nothing was done under it.
struct Place<'a> {
    table: &'a Table,
    entity: Arc<str>,
    token: FencingToken,
    collected: bool,
}

impl Place<'_> {
    /// Waits for its turn; breaks off at the deadline.
    async fn wait(&self, deadline: Instant) -> ControlFlow<()> {
        let mut alarm = pin!(sleep_until(deadline));
        poll_fn(|cx| self.poll(cx, alarm.as_mut(), deadline)).await
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        mut alarm: Pin<&mut Sleep>,
        deadline: Instant,
    ) -> Poll<ControlFlow<()>> {
        loop {
            let look_again = match self.table.look(&self.entity, self.token, cx.waker()) {
                Turn::Mine => return Poll::Ready(ControlFlow::Continue(())),
                Turn::NotYet(_) if clock::now() >= deadline => {
                    return Poll::Ready(ControlFlow::Break(()));
                }
                Turn::NotYet(look_again) => look_again,
            };
            let at = look_again.map_or(deadline, |look_again| look_again.min(deadline));
            if alarm.deadline() != at {
                alarm.as_mut().reset(at);
            }
            ready!(alarm.as_mut().poll(cx));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.collected {
            self.table.leave(&self.entity, self.token);
        }
    }
}

/// What `Table::enter` found.
enum Entered {
    Granted(FencingToken),
    Queued(FencingToken),
}

struct Table {
    shards: Shards<Queue>,
    last_token: AtomicU64,
    on_quiet: Box<OnQuiet>,
}

impl Table {
    /// Takes the lease if it is free, else a place in the queue.
    fn enter(&self, entity: &Arc<str>, max_waiters: usize) -> Result<Entered, LeaseError> {
        let mut wake = None;
        let entered = match self.shards.of(entity).entry(Arc::clone(entity)) {
            Entry::Vacant(vacant) => {
                let token = self.next_token();
                vacant.insert(Queue::held_by(token));
                Ok(Entered::Granted(token))
            }
            Entry::Occupied(mut occupied) => {
                let queue = occupied.get_mut();
                wake = queue.expire(clock::now());
                self.enter_queue(queue, max_waiters)
            }
        };
        wake.into_iter().for_each(Waker::wake);
        entered
    }

    fn enter_queue(&self, queue: &mut Queue, max_waiters: usize) -> Result<Entered, LeaseError> {
        if queue.is_quiet() {
            let token = self.next_token();
            queue.take(token);
            return Ok(Entered::Granted(token));
        }
        let waiters = queue.waiting();
        if waiters >= max_waiters {
            return Err(LeaseError::QueueFull { waiters });
        }
        let token = self.next_token();
        queue.join(token);
        Ok(Entered::Queued(token))
    }

    /// Whether it is `token`'s turn; if not, `waker` is called when it is time to look again.
    fn look(&self, entity: &Arc<str>, token: FencingToken, waker: &Waker) -> Turn {
        let mut kept = Some(waker.clone());
        let turn = self.with_queue(entity, |queue| {
            let wake = queue.expire(clock::now());
            (wake, queue.look(token, &mut kept))
        });
        turn.unwrap_or(Turn::NotYet(None))
    }

    fn leave(&self, entity: &Arc<str>, token: FencingToken) {
        let mut mine = None;
        self.with_queue(entity, |queue| (queue.leave(token, &mut mine), ()));
    }

    /// Runs `act` on the entity's queue, forgets the queue if it fell quiet, and wakes whom `act` says once the shard
    /// is open again. None: there is no such queue.
    fn with_queue<T>(
        &self,
        entity: &Arc<str>,
        act: impl FnOnce(&mut Queue) -> (Option<Waker>, T),
    ) -> Option<T> {
        let (wake, result, fell_quiet) = match self.shards.of(entity).entry(Arc::clone(entity)) {
            Entry::Vacant(_) => return None,
            Entry::Occupied(mut occupied) => {
                let (wake, result) = act(occupied.get_mut());
                let fell_quiet = occupied.get().is_quiet();
                if fell_quiet {
                    occupied.remove();
                }
                (wake, result, fell_quiet)
            }
        };
        wake.into_iter().for_each(Waker::wake);
        if fell_quiet {
            (self.on_quiet)(entity);
        }
        Some(result)
    }

    /// The next token. Called under the entity's shard, so that an entity's tokens grow in the order of its queue.
    fn next_token(&self) -> FencingToken {
        FencingToken(self.last_token.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A lease of this table.
struct LocallyHeld {
    table: Arc<Table>,
    entity: Arc<str>,
    token: FencingToken,
}

impl Held for LocallyHeld {
    fn end(self: Box<Self>, end: End) {
        self.table.with_queue(&self.entity, |queue| {
            let wake = match end {
                End::Released => queue.release(self.token),
                End::KeptFor(settle) => queue.keep(self.token, clock::now() + settle.min(LONGEST)),
            };
            (wake, ())
        });
    }

    fn reach(&self) -> Reach {
        Reach::Process
    }

    /// It lasts until it ends.
    fn covers_a_call(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::StoreTerms;
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    const SETTLE: Duration = Duration::from_millis(100);
    const PATIENT: LeaseTerms = LeaseTerms {
        wait: Duration::from_secs(10),
        max_waiters: 10,
        settle: SETTLE,
        store: StoreTerms::NONE,
    };

    /// A task that counts how often it is woken, and never runs by itself.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Task {
        fn polls<F: Future>(self: &Arc<Self>, call: Pin<&mut F>) -> Poll<F::Output> {
            call.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
        }

        fn woken(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_moves_to_another_task_is_woken_there() {
        let leases = LocalLeases::new();
        let (before, after) = (Arc::<Task>::default(), Arc::<Task>::default());
        let first = leases.acquire("a", PATIENT).await.unwrap();
        let mut second = pin!(leases.acquire("a", PATIENT));
        assert!(before.polls(second.as_mut()).is_pending());
        assert!(after.polls(second.as_mut()).is_pending());

        first.release();

        assert_eq!((before.woken(), after.woken()), (0, 1));
    }

    /// `look` finds that a kept lease ran out while the first waiter's own alarm rang, but its task has not run yet.
    async fn assert_wakes_the_first(look: impl AsyncFnOnce(&LocalLeases)) {
        let leases = LocalLeases::new();
        let task = Arc::<Task>::default();
        leases.acquire("a", PATIENT).await.unwrap().keep();
        let mut waiter = pin!(leases.acquire("a", PATIENT));
        assert!(task.polls(waiter.as_mut()).is_pending());
        tokio::time::advance(SETTLE).await;
        let by_its_alarm = task.woken();

        look(&leases).await;

        assert_eq!(task.woken(), by_its_alarm + 1);
        assert!(task.polls(waiter.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_that_finds_a_kept_lease_run_out_wakes_the_first() {
        assert_wakes_the_first(async |leases| {
            let now_or_never = LeaseTerms { wait: Duration::ZERO, ..PATIENT };
            assert!(leases.acquire("a", now_or_never).await.is_err());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_that_finds_a_kept_lease_run_out_wakes_the_first() {
        assert_wakes_the_first(async |leases| leases.sweep()).await;
    }
}
