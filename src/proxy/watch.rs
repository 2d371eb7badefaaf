//! Watching over client connections: who is slow, who is silent, who has to go.
//!
//! A timer per connection and per wait would cost every request; instead each connection notes cheaply what it is waiting
//! for and since when, and one sweep per worker and tick looks at them all. A limit is therefore kept to within a tick.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::clock::{self, Instant};
use crate::config::ProxyConfig;

/// After an answer that ends a connection early, the client's remaining bytes are read and dropped for this long at most:
/// closing at once would reset the connection, and many a client reads no answer once it can't send.
const LINGER: Duration = Duration::from_secs(5);

/// A client that is silent for so long meanwhile has sent all that it will; while draining that is all the time there is.
const LINGER_SILENCE: Duration = Duration::from_secs(1);

/// While draining, a connection that carries no call is kept this long for a call that may be on its way already.
const LAME_DUCK: Duration = Duration::from_millis(500);

const SHORTEST_TICK: Duration = Duration::from_millis(10);
const LONGEST_TICK: Duration = Duration::from_millis(250);

/// Milliseconds since a worker's start, plus one: 0 stands for "never". Set by the sweep.
#[derive(Debug)]
pub(crate) struct CoarseClock {
    origin: Instant,
    millis: AtomicU64,
}

impl CoarseClock {
    fn new() -> Self {
        Self { origin: clock::now(), millis: AtomicU64::new(1) }
    }

    fn now(&self) -> u64 {
        self.millis.load(Relaxed)
    }

    fn set(&self) -> u64 {
        let millis = clock::now().saturating_duration_since(self.origin).as_millis();
        let now = u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1);
        self.millis.store(now, Relaxed);
        now
    }
}

/// Why a connection has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fate {
    /// It may stay.
    Live = 0,
    /// No call for too long, or none came while draining.
    Idle = 1,
    /// A header block took too long.
    SlowHead = 2,
    /// The client sends nothing of the body that it announced.
    SilentBody = 3,
    /// The client doesn't take its answer.
    StuckWrite = 4,
}

/// What one client connection is waiting for.
#[derive(Debug)]
pub(crate) struct Watch {
    clock: Arc<CoarseClock>,
    last_io: AtomicU64,
    head_since: AtomicU64,
    body_since: AtomicU64,
    write_since: AtomicU64,
    linger_since: AtomicU64,
    lingered: AtomicBool,
    fate: AtomicU8,
    busy: AtomicBool,
    answering: AtomicBool,
    tunnel: AtomicBool,
    conflict: AtomicBool,
    long_target: AtomicBool,
    linger: AtomicBool,
    broken: AtomicBool,
    connection: Mutex<Option<Waker>>,
    body: Mutex<Option<Waker>>,
}

impl Watch {
    fn new(clock: Arc<CoarseClock>) -> Self {
        let now = AtomicU64::new(clock.now());
        Self {
            clock,
            last_io: now,
            head_since: AtomicU64::new(0),
            body_since: AtomicU64::new(0),
            write_since: AtomicU64::new(0),
            linger_since: AtomicU64::new(0),
            lingered: AtomicBool::new(false),
            fate: AtomicU8::new(Fate::Live as u8),
            busy: AtomicBool::new(false),
            answering: AtomicBool::new(false),
            tunnel: AtomicBool::new(false),
            conflict: AtomicBool::new(false),
            long_target: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            connection: Mutex::new(None),
            body: Mutex::new(None),
        }
    }

    /// The sweep's judgement.
    pub(crate) fn fate(&self) -> Fate {
        match self.fate.load(Relaxed) {
            1 => Fate::Idle,
            2 => Fate::SlowHead,
            3 => Fate::SilentBody,
            4 => Fate::StuckWrite,
            _ => Fate::Live,
        }
    }

    /// Bytes moved; `inside_head` says whether a header block is open now.
    pub(crate) fn note_read(&self, inside_head: bool) {
        let now = self.clock.now();
        self.last_io.store(now, Relaxed);
        let since = self.head_since.load(Relaxed);
        if inside_head != (since != 0) {
            self.head_since.store(if inside_head { now } else { 0 }, Relaxed);
        }
    }

    /// The client took bytes.
    pub(crate) fn note_written(&self) {
        self.last_io.store(self.clock.now(), Relaxed);
        self.write_since.store(0, Relaxed);
    }

    /// The client takes no bytes at present.
    pub(crate) fn note_write_stuck(&self) {
        start(&self.write_since, self.clock.now());
    }

    /// The task to wake when the connection has to go.
    pub(crate) fn park(&self, waker: &Waker) {
        park(&self.connection, waker);
    }

    /// A call begins or ends on the connection.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Relaxed);
        self.last_io.store(self.clock.now(), Relaxed);
    }

    /// An answer of a call is on its way into the connection, or (with `false`) all of what was there has left.
    pub(crate) fn set_answering(&self, answering: bool) {
        self.answering.store(answering, Relaxed);
    }

    /// Whether what is written belongs to a call: its answer, or an interim one to its head.
    pub(crate) fn serves_a_call(&self) -> bool {
        self.busy.load(Relaxed) || self.answering.load(Relaxed) || self.tunnel.load(Relaxed)
    }

    /// Whether bytes wait that the client does not take.
    pub(crate) fn is_write_stuck(&self) -> bool {
        self.write_since.load(Relaxed) != 0
    }

    /// More of the client's body is waited for, or (with `None`) no longer.
    pub(crate) fn wait_for_body(&self, waker: Option<&Waker>) {
        match waker {
            Some(waker) => {
                start(&self.body_since, self.clock.now());
                park(&self.body, waker);
            }
            None => self.body_since.store(0, Relaxed),
        }
    }

    /// The connection becomes a tunnel: it may be silent as long as it likes.
    pub(crate) fn become_tunnel(&self) {
        self.tunnel.store(true, Relaxed);
    }

    /// Whether it has become a tunnel.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Relaxed)
    }

    /// Some request on this connection had both a length and a transfer coding.
    pub(crate) fn note_conflict(&self) {
        self.conflict.store(true, Relaxed);
    }

    /// Whether [`Self::note_conflict`] was ever called.
    pub(crate) fn has_conflict(&self) -> bool {
        self.conflict.load(Relaxed)
    }

    /// The client was told that its target is too long.
    pub(crate) fn note_long_target(&self) {
        self.long_target.store(true, Relaxed);
    }

    /// Whether [`Self::note_long_target`] was called.
    pub(crate) fn has_long_target(&self) -> bool {
        self.long_target.load(Relaxed)
    }

    /// The connection must end in a way that can't be taken for the end of a message.
    pub(crate) fn break_off(&self) {
        self.broken.store(true, Relaxed);
    }

    /// Whether [`Self::break_off`] was called.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// The connection ends although the client may still be sending.
    pub(crate) fn set_linger(&self) {
        self.linger.store(true, Relaxed);
    }

    /// Whether to read and drop what the client still sends, rather than to reset it.
    pub(crate) fn lingers(&self) -> bool {
        if !self.linger.load(Relaxed) || self.lingered.load(Relaxed) {
            return false;
        }
        let now = self.clock.now();
        if self.linger_since.load(Relaxed) == 0 {
            self.last_io.store(now, Relaxed);
        }
        start(&self.linger_since, now);
        true
    }

    /// Some of what the client still sends was read and dropped.
    pub(crate) fn note_dropped(&self) {
        self.last_io.store(self.clock.now(), Relaxed);
    }

    /// Ends the lingering of a connection that has done so for long enough; `false` for one that doesn't linger.
    fn judge_lingering(&self, now: u64, draining: bool) -> bool {
        let since = self.linger_since.load(Relaxed);
        let longest = if draining { LINGER_SILENCE } else { LINGER };
        if is_over(since, now, longest)
            || (since != 0 && is_over(self.last_io.load(Relaxed), now, LINGER_SILENCE))
        {
            self.lingered.store(true, Relaxed);
            wake(&self.connection);
        }
        since != 0
    }

    fn judge(&self, now: u64, limits: &Limits, draining: bool) -> Fate {
        let over = |since: &AtomicU64, limit| is_over(since.load(Relaxed), now, limit);
        let idle = if draining { limits.idle.min(LAME_DUCK) } else { limits.idle };
        if self.tunnel.load(Relaxed) {
            Fate::Live
        } else if over(&self.write_since, limits.body) {
            Fate::StuckWrite
        } else if over(&self.body_since, limits.body) {
            Fate::SilentBody
        } else if self.busy.load(Relaxed) {
            // The next header block may have begun already; its time counts from when it can be read.
            if self.head_since.load(Relaxed) != 0 {
                self.head_since.store(now, Relaxed);
            }
            Fate::Live
        } else if over(&self.head_since, limits.head) {
            Fate::SlowHead
        } else if self.head_since.load(Relaxed) == 0 && over(&self.last_io, idle) {
            Fate::Idle
        } else {
            Fate::Live
        }
    }

    fn condemn(&self, fate: Fate) {
        self.fate.store(fate as u8, Relaxed);
        wake(&self.connection);
        wake(&self.body);
    }
}

fn is_over(since: u64, now: u64, limit: Duration) -> bool {
    since != 0 && u128::from(now.saturating_sub(since)) >= limit.as_millis()
}

fn wake(slot: &Mutex<Option<Waker>>) {
    let waker = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn start(since: &AtomicU64, now: u64) {
    if since.load(Relaxed) == 0 {
        since.store(now, Relaxed);
    }
}

fn park(slot: &Mutex<Option<Waker>>, waker: &Waker) {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if !slot.as_ref().is_some_and(|parked| parked.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For a header block, from its first byte.
    pub(crate) head: Duration,
    /// The longest silence inside a body, either way.
    pub(crate) body: Duration,
    /// Between two calls.
    pub(crate) idle: Duration,
}

impl Limits {
    /// As configured.
    pub(crate) fn of(proxy: &ProxyConfig) -> Self {
        Self { head: proxy.header_timeout, body: proxy.body_timeout, idle: proxy.idle_timeout }
    }

    /// How often to sweep: a quarter of the shortest limit, within reason.
    pub(crate) fn tick(&self) -> Duration {
        (self.head.min(self.body).min(self.idle) / 4).clamp(SHORTEST_TICK, LONGEST_TICK)
    }
}

/// All client connections of one worker.
#[derive(Debug)]
pub(crate) struct Watches {
    clock: Arc<CoarseClock>,
    limits: Limits,
    next: u64,
    watched: HashMap<u64, Arc<Watch>>,
}

impl Watches {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { clock: Arc::new(CoarseClock::new()), limits, next: 0, watched: HashMap::new() }
    }

    /// Begins to watch a connection; the number takes it out again.
    pub(crate) fn add(&mut self) -> (u64, Arc<Watch>) {
        let watch = Arc::new(Watch::new(Arc::clone(&self.clock)));
        self.next += 1;
        self.watched.insert(self.next, Arc::clone(&watch));
        (self.next, watch)
    }

    /// The connection is gone.
    pub(crate) fn remove(&mut self, number: u64) {
        self.watched.remove(&number);
        if self.watched.is_empty() {
            // After a flood of connections the map's memory goes back.
            self.watched = HashMap::new();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.watched.len()
    }

    /// Looks at every connection, and wakes those that have to go.
    pub(crate) fn sweep(&self, draining: bool) {
        let now = self.clock.set();
        for watch in self.watched.values() {
            if watch.judge_lingering(now, draining) {
                continue;
            }
            match watch.judge(now, &self.limits, draining) {
                Fate::Live => {}
                fate => watch.condemn(fate),
            }
        }
    }
}

#[cfg(test)]
mod tests;
