//! Random schedules against a model that is too simple to be wrong: time goes in steps of a millisecond, and between two
//! steps everything that can happen has happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::task::{AbortHandle, yield_now};

use super::{Lease, LeaseError, LeaseTerms, Leases, LocalLeases, StoreTerms};

const ENTITIES: [&str; 2] = ["a", "b"];
const SETTLE_MS: u64 = 7;
const MAX_WAITERS: usize = 4;

/// More turns of the scheduler than a hand-over through the longest queue takes.
const TURNS: usize = 4 * MAX_WAITERS;

#[derive(Clone, Debug)]
enum Step {
    /// A call asks for an entity.
    Arrive { entity: usize, wait_ms: u64 },
    /// A waiting call goes away, if there is a `pick`th one.
    Leave { pick: usize },
    /// A holder's call ends, its outcome known.
    Release { entity: usize },
    /// A holder's call ends, its outcome unknown.
    Keep { entity: usize, silently: bool },
    /// A holder's call ends and the next waiter goes away before it could look.
    ReleaseToTheDead { entity: usize },
    /// Time passes.
    Pass { ms: u64 },
    /// The app sweeps.
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let entity = 0..ENTITIES.len();
    prop_oneof![
        6 => (entity.clone(), 0u64..30).prop_map(|(entity, wait_ms)| Step::Arrive { entity, wait_ms }),
        2 => (0usize..10).prop_map(|pick| Step::Leave { pick }),
        3 => entity.clone().prop_map(|entity| Step::Release { entity }),
        2 => (entity.clone(), any::<bool>())
            .prop_map(|(entity, silently)| Step::Keep { entity, silently }),
        1 => entity.prop_map(|entity| Step::ReleaseToTheDead { entity }),
        3 => (1u64..12).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Sweep),
    ]
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waits,
    Granted,
    QueueFull,
    TimedOut,
    Left,
}

/// One entity as it should be.
#[derive(Default)]
struct Modelled {
    holder: Option<usize>,
    kept_until: Option<u64>,
    /// Calls and their deadlines, first come first.
    queue: Vec<(usize, u64)>,
}

#[derive(Default)]
struct Model {
    now: u64,
    fates: Vec<Fate>,
    entities: [Modelled; ENTITIES.len()],
}

impl Model {
    fn arrive(&mut self, entity: usize, wait_ms: u64) {
        let call = self.fates.len();
        let modelled = &mut self.entities[entity];
        let free = modelled.holder.is_none() && modelled.kept_until.is_none();
        self.fates.push(match modelled.queue.len() {
            _ if free => Fate::Granted,
            MAX_WAITERS.. => Fate::QueueFull,
            _ if wait_ms == 0 => Fate::TimedOut,
            _ => Fate::Waits,
        });
        match self.fates[call] {
            Fate::Granted => modelled.holder = Some(call),
            Fate::Waits => modelled.queue.push((call, self.now + wait_ms)),
            _ => {}
        }
    }

    fn leave(&mut self, call: usize) {
        for modelled in &mut self.entities {
            modelled.queue.retain(|(waiter, _)| *waiter != call);
        }
        self.fates[call] = Fate::Left;
    }

    fn release(&mut self, entity: usize) {
        let modelled = &mut self.entities[entity];
        modelled.kept_until = None;
        modelled.holder = None;
        if !modelled.queue.is_empty() {
            let (next, _) = modelled.queue.remove(0);
            modelled.holder = Some(next);
            self.fates[next] = Fate::Granted;
        }
    }

    fn keep(&mut self, entity: usize) {
        self.entities[entity].holder = None;
        self.entities[entity].kept_until = Some(self.now + SETTLE_MS);
    }

    fn pass_a_millisecond(&mut self) {
        self.now += 1;
        for entity in 0..ENTITIES.len() {
            if self.entities[entity].kept_until == Some(self.now) {
                self.release(entity);
            }
            let now = self.now;
            for (call, _) in self.entities[entity].queue.extract_if(.., |(_, end)| *end <= now) {
                self.fates[call] = Fate::TimedOut;
            }
        }
    }

    fn waiters(&self) -> Vec<usize> {
        self.entities.iter().flat_map(|entity| &entity.queue).map(|(call, _)| *call).collect()
    }
}

/// The real thing, its calls as tasks.
struct Real {
    leases: LocalLeases,
    calls: Vec<AbortHandle>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    fates: BTreeMap<usize, Fate>,
    held: BTreeMap<usize, Lease>,
}

impl Real {
    fn new() -> Self {
        Self { leases: LocalLeases::new(), calls: Vec::new(), seen: Arc::default() }
    }

    fn arrive(&mut self, entity: usize, wait_ms: u64) {
        let call = self.calls.len();
        let (leases, seen) = (self.leases.clone(), Arc::clone(&self.seen));
        let terms = LeaseTerms {
            wait: Duration::from_millis(wait_ms),
            max_waiters: MAX_WAITERS,
            settle: Duration::from_millis(SETTLE_MS),
            store: StoreTerms::NONE,
        };
        let task = tokio::spawn(async move {
            let outcome = leases.acquire(ENTITIES[entity], terms).await;
            let mut seen = seen.lock().unwrap();
            let fate = match outcome {
                Ok(lease) => {
                    seen.held.insert(call, lease);
                    Fate::Granted
                }
                Err(LeaseError::QueueFull { .. }) => Fate::QueueFull,
                Err(LeaseError::StoreLost | LeaseError::RanOut) => panic!("no store is needed"),
                Err(LeaseError::WaitTimeout { .. }) => Fate::TimedOut,
            };
            seen.fates.insert(call, fate);
        });
        self.calls.push(task.abort_handle());
    }

    fn leave(&self, call: usize) {
        self.calls[call].abort();
        self.seen.lock().unwrap().fates.insert(call, Fate::Left);
    }

    fn take(&self, call: usize) -> Lease {
        self.seen.lock().unwrap().held.remove(&call).expect("the model says it holds a lease")
    }

    fn fates(&self) -> Vec<Fate> {
        let seen = self.seen.lock().unwrap();
        let fate = |call| seen.fates.get(&call).copied().unwrap_or(Fate::Waits);
        (0..self.calls.len()).map(fate).collect()
    }
}

async fn settle() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

async fn play(step: &Step, model: &mut Model, real: &mut Real) {
    match *step {
        Step::Arrive { entity, wait_ms } => {
            model.arrive(entity, wait_ms);
            real.arrive(entity, wait_ms);
        }
        Step::Leave { pick } => {
            let waiters = model.waiters();
            if let Some(call) = waiters.get(pick).copied() {
                model.leave(call);
                real.leave(call);
            }
        }
        Step::Release { entity } => {
            if let Some(holder) = model.entities[entity].holder {
                model.release(entity);
                real.take(holder).release();
            }
        }
        Step::Keep { entity, silently } => {
            if let Some(holder) = model.entities[entity].holder {
                model.keep(entity);
                let lease = real.take(holder);
                if silently { drop(lease) } else { lease.keep() }
            }
        }
        Step::ReleaseToTheDead { entity } => {
            if let Some(holder) = model.entities[entity].holder {
                let next = model.entities[entity].queue.first().map(|(call, _)| *call);
                next.into_iter().for_each(|call| model.leave(call));
                model.release(entity);
                real.take(holder).release();
                next.into_iter().for_each(|call| real.leave(call));
            }
        }
        Step::Pass { ms } => {
            for _ in 0..ms {
                model.pass_a_millisecond();
                tokio::time::advance(Duration::from_millis(1)).await;
                settle().await;
            }
        }
        Step::Sweep => real.leases.sweep(),
    }
    settle().await;
}

async fn agree(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut model, mut real) = (Model::default(), Real::new());
    for step in &steps {
        play(step, &mut model, &mut real).await;
        prop_assert_eq!(&model.fates, &real.fates(), "after {:?}", step);
        prop_assert_eq!(model.waiters().len(), real.leases.waiting(), "after {:?}", step);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_schedule_goes_as_modelled(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(agree(steps))?;
    }
}
