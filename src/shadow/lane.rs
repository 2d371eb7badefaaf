//! A lane: what runs beside the calls that serve, so many at once and so many waiting, and no more.
//!
//! One worker's; nothing here is shared between threads.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::clock::{self, Instant};
use crate::telemetry::labels::ShadowSkip;

/// Something that runs beside.
pub(crate) trait Job {
    /// When it is too late to begin.
    fn deadline(&self) -> Instant;
    /// Begins it, as a task of its own that takes the place along and [holds](Place::hold) it until the end.
    fn start(self: Box<Self>, place: Place);
    /// It will not be done.
    fn skip(self: Box<Self>, why: ShadowSkip);
}

/// Jobs that run and jobs that wait.
pub(crate) struct Lane {
    most_running: usize,
    most_waiting: usize,
    running: Cell<usize>,
    waiting: RefCell<VecDeque<Box<dyn Job>>>,
    closed: Cell<bool>,
}

impl Lane {
    pub(crate) fn new(most_running: usize, most_waiting: usize) -> Rc<Self> {
        Rc::new(Self {
            most_running,
            most_waiting,
            running: Cell::new(0),
            waiting: RefCell::default(),
            closed: Cell::new(false),
        })
    }

    /// Runs a job as a task of its own, now or when its turn comes, or skips it.
    pub(crate) fn admit(self: &Rc<Self>, job: Box<dyn Job>) {
        if self.closed.get() {
            return job.skip(ShadowSkip::Draining);
        }
        if self.running.get() < self.most_running {
            return job.start(Place::take(self));
        }
        self.skip_late();
        if self.waiting.borrow().len() >= self.most_waiting {
            return job.skip(ShadowSkip::QueueFull);
        }
        self.waiting.borrow_mut().push_back(job);
    }

    /// Nothing begins any more: what waits is skipped, what runs may end.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        for job in self.waiting.take() {
            job.skip(ShadowSkip::Draining);
        }
    }

    /// Whether nothing begins any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Gives up those in front whose time has passed, if nobody else can come to it: they came first, so they are the first.
    fn skip_late(&self) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < self.most_waiting {
            return;
        }
        let now = clock::now();
        while waiting.front().is_some_and(|job| job.deadline() <= now) {
            if let Some(late) = waiting.pop_front() {
                late.skip(ShadowSkip::Deadline);
            }
        }
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        loop {
            let job = self.waiting.borrow_mut().pop_front()?;
            if job.deadline() > clock::now() {
                return Some(job);
            }
            job.skip(ShadowSkip::Deadline);
        }
    }
}

/// A place among those that run; given up on drop.
pub(crate) struct Place(Rc<Lane>);

impl Place {
    fn take(lane: &Rc<Lane>) -> Self {
        lane.running.set(lane.running.get() + 1);
        Self(Rc::clone(lane))
    }

    /// Runs a job to its end and hands the place on.
    pub(crate) async fn hold(self, job: impl Future<Output = ()>) {
        job.await;
        if let Some(next) = self.0.next() {
            next.start(self);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::task::{LocalSet, yield_now};

    use super::*;

    /// What became of jobs, in order; jobs end when they get a permit.
    struct World {
        lane: Rc<Lane>,
        told: RefCell<Vec<(u32, Option<ShadowSkip>)>>,
        ends: Semaphore,
        started: Cell<u32>,
    }

    struct Numbered(u32, Instant, Rc<World>);

    impl Job for Numbered {
        fn deadline(&self) -> Instant {
            self.1
        }

        fn start(self: Box<Self>, place: Place) {
            tokio::task::spawn_local(place.hold(async move {
                self.2.started.set(self.2.started.get() + 1);
                self.2.ends.acquire().await.unwrap().forget();
                self.2.told.borrow_mut().push((self.0, None));
            }));
        }

        fn skip(self: Box<Self>, why: ShadowSkip) {
            self.2.told.borrow_mut().push((self.0, Some(why)));
        }
    }

    impl World {
        fn new(running: usize, waiting: usize) -> Rc<Self> {
            Rc::new(Self {
                lane: Lane::new(running, waiting),
                told: RefCell::default(),
                ends: Semaphore::new(0),
                started: Cell::new(0),
            })
        }

        fn admit(self: &Rc<Self>, numbers: std::ops::Range<u32>, within: Duration) {
            for number in numbers {
                let deadline = clock::now() + within;
                self.lane.admit(Box::new(Numbered(number, deadline, Rc::clone(self))));
            }
        }

        async fn end(&self, jobs: usize) {
            self.ends.add_permits(jobs);
            for _ in 0..100 {
                yield_now().await;
            }
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    async fn local(test: impl Future<Output = ()>) {
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_run_than_may_and_the_rest_come_to_it_in_order() {
        local(async {
            let world = World::new(2, 10);

            world.admit(0..5, LONG);
            world.end(0).await;
            assert_eq!(world.started.get(), 2);
            for _ in 0..5 {
                world.end(1).await;
            }

            assert_eq!(*world.told.borrow(), [0, 1, 2, 3, 4].map(|n| (n, None)));
            assert_eq!(world.lane.running.get(), 0);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_past_those_that_may_wait_is_skipped() {
        local(async {
            let world = World::new(1, 1);

            world.admit(0..3, LONG);

            assert_eq!(*world.told.borrow(), [(2, Some(ShadowSkip::QueueFull))]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waited_too_long_is_skipped_when_its_turn_comes() {
        local(async {
            let world = World::new(1, 10);
            world.admit(0..2, Duration::from_secs(1));
            world.admit(2..3, LONG);

            tokio::time::advance(Duration::from_secs(2)).await;
            world.end(2).await;

            let late = (1, Some(ShadowSkip::Deadline));
            assert_eq!(*world.told.borrow(), [(0, None), late, (2, None)]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_late_make_room_while_all_that_run_hang() {
        local(async {
            let world = World::new(1, 1);
            world.admit(0..2, Duration::from_secs(1));

            tokio::time::advance(Duration::from_secs(2)).await;
            world.admit(2..3, LONG);

            assert_eq!(*world.told.borrow(), [(1, Some(ShadowSkip::Deadline))]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_lane_skips_what_waits_and_what_comes_and_lets_the_rest_end() {
        local(async {
            let world = World::new(1, 10);
            world.admit(0..2, LONG);

            world.lane.close();
            world.admit(2..3, LONG);
            world.end(1).await;

            let draining = Some(ShadowSkip::Draining);
            assert_eq!(*world.told.borrow(), [(1, draining), (2, draining), (0, None)]);
        })
        .await;
    }
}
