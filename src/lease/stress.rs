//! Threads, each with a runtime of its own as in production, race for a few entities. What they do under a lease is a
//! racy read-modify-write, so that a lease given to two at once loses increments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{LocalSet, yield_now};

use super::{
    End, FencingToken, Held, Lease, LeaseError, LeaseTerms, Leases, LocalLeases, Reach, StoreTerms,
};

const THREADS: u64 = 4;
const CALLERS: u64 = 16;
const CALLS: u64 = 100;
/// More sweeps than fit into the settle time.
const SWEEPS: usize = 100_000;
const ENTITIES: [&str; 3] = ["a", "b", "c"];

const PATIENT: LeaseTerms = LeaseTerms {
    wait: Duration::from_secs(10),
    max_waiters: 1000,
    settle: Duration::from_micros(1),
    store: StoreTerms::NONE,
};
const HASTY: LeaseTerms = LeaseTerms { wait: Duration::from_micros(50), ..PATIENT };

/// A document that is updated as the legacy app does it, and how many updates to it were acknowledged.
#[derive(Default)]
struct Document {
    value: AtomicU64,
    acknowledged: AtomicU64,
}

impl Document {
    /// Two threads or two tasks in here at once lose an update.
    async fn update(&self) {
        let read = self.value.load(Ordering::SeqCst);
        yield_now().await;
        self.value.store(read + 1, Ordering::SeqCst);
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }

    fn lost(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst) - self.value.load(Ordering::SeqCst)
    }
}

type Documents = Arc<[Document; ENTITIES.len()]>;

/// One call. Its number says how it behaves: some leave the queue, some wait briefly, some end with an unknown outcome.
async fn call(leases: &impl Leases, documents: &Documents, number: u64) {
    let which = usize::try_from(number).unwrap() % ENTITIES.len();
    let terms = if number.is_multiple_of(7) { HASTY } else { PATIENT };
    let acquired = tokio::select! {
        biased;
        acquired = leases.acquire(ENTITIES[which], terms) => acquired,
        () = leave(number) => return,
    };
    let Ok(lease) = acquired else { return };
    documents[which].update().await;
    match number % 11 {
        0 => lease.keep(),
        1 => drop(lease),
        _ => lease.release(),
    }
}

/// Comes true for a call that goes away while it waits, after a few turns.
async fn leave(number: u64) {
    if !number.is_multiple_of(5) {
        std::future::pending::<()>().await;
    }
    for _ in 0..number % 8 {
        yield_now().await;
    }
}

/// Runs all calls, and returns how many updates were acknowledged and how many of these were lost.
fn race(leases: impl Leases + Clone + Send + 'static) -> (u64, u64) {
    let documents = Documents::default();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (leases, documents) = (leases.clone(), Arc::clone(&documents));
            std::thread::spawn(move || run_callers(thread, &leases, &documents))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let acknowledged =
        documents.iter().map(|document| document.acknowledged.load(Ordering::SeqCst));
    (acknowledged.sum(), documents.iter().map(Document::lost).sum())
}

fn run_callers(
    thread: u64,
    leases: &(impl Leases + Clone + Send + 'static),
    documents: &Documents,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let callers = LocalSet::new();
    for caller in 0..CALLERS {
        let (leases, documents) = (leases.clone(), Arc::clone(documents));
        callers.spawn_local(async move {
            for round in 0..CALLS {
                call(&leases, &documents, (thread * CALLERS + caller) * CALLS + round).await;
            }
        });
    }
    runtime.block_on(callers);
}

/// The broken variant: everybody has the lease.
#[derive(Clone)]
struct Everybody;

impl Leases for Everybody {
    async fn acquire(&self, _: &str, terms: LeaseTerms) -> Result<Lease, LeaseError> {
        let (token, waited, settle) = (FencingToken(1), Duration::ZERO, terms.settle);
        Ok(Lease { held: Some(Box::new(Self)), token, waited, settle })
    }
}

impl Held for Everybody {
    fn end(self: Box<Self>, _: End) {}

    fn reach(&self) -> Reach {
        Reach::Process
    }

    fn covers_a_call(&self) -> bool {
        true
    }
}

#[test]
fn threads_that_race_under_leases_lose_nothing() {
    let leases = LocalLeases::new();

    let (acknowledged, lost) = race(leases.clone());

    assert!(acknowledged > THREADS * CALLERS * CALLS / 2, "only {acknowledged} were leased");
    assert_eq!(lost, 0);
    assert_eq!(leases.waiting(), 0);
    let forgotten = (0..SWEEPS).any(|_| {
        leases.sweep();
        leases.held() == 0
    });
    assert!(forgotten, "{} entities are still held", leases.held());
}

#[test]
fn the_same_race_without_exclusion_is_seen_to_lose_updates() {
    let (acknowledged, lost) = race(Everybody);

    assert!(
        lost > 0,
        "{acknowledged} updates without a lease, and none lost: this test sees nothing"
    );
}
