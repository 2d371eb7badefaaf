//! Callers that update a few documents, on one connection each for as long as that lasts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::super::client::Kept;
use super::super::updates::Knowledge;
use super::super::wait::take_time;
use super::app::SHARED_FIELDS;
use super::{LONE_EVERY, document_name, lone_field};

/// Words that are written again and again, so that whatever is out of order looks like an older value.
const WORDS: usize = 4;

/// How often an update is tried, where it is tried again.
const MOST_TRIES: usize = 3;

/// One update that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// No other has it.
    pub(crate) id: String,
    /// The document.
    pub(crate) document: String,
    /// The field.
    pub(crate) field: String,
    /// What its sender knew in the end.
    pub(crate) knew: Knowledge,
}

/// How they call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callers {
    /// What makes their updates others than those of another round.
    pub(crate) round: &'static str,
    /// So many at each sidecar.
    pub(crate) each: usize,
    /// What a caller does between an answer and its next update: nothing, for that long.
    pub(crate) pause: Duration,
    /// How many documents are updated.
    pub(crate) documents: usize,
    /// How many fields there are that only one update writes: they are used up in their order, from this one on.
    pub(crate) first_lone: usize,
}

impl Callers {
    /// The same, whose updates to fields of their own begin with this one.
    pub(crate) fn from(self, first_lone: usize) -> Self {
        Self { first_lone, ..self }
    }

    /// Sends so many updates by way of these sidecars.
    pub(crate) fn send(self, sidecars: &[SocketAddr], updates: usize) -> Vec<Attempt> {
        self.call(sidecars, &Shift::of(updates), || {})
    }

    /// Sends updates for as long as `happens` runs, and no more than so many.
    pub(crate) fn during(
        self,
        sidecars: &[SocketAddr],
        most: usize,
        happens: impl FnOnce(),
    ) -> Vec<Attempt> {
        let shift = Shift::of(most);
        self.call(sidecars, &shift, || {
            // However it ends, the callers have to.
            let _end = EndOfShift(&shift);
            happens();
        })
    }

    fn call(self, sidecars: &[SocketAddr], shift: &Shift, happens: impl FnOnce()) -> Vec<Attempt> {
        thread::scope(|scope| {
            let caller = |&address| (0..self.each).map(move |_| address);
            let addresses = sidecars.iter().flat_map(caller).enumerate();
            let callers: Vec<_> = addresses
                .map(|(number, address)| Caller {
                    connection: Kept::to(address),
                    dice: number as u64,
                })
                .map(|caller| scope.spawn(move || self.work(caller, shift)))
                .collect();
            happens();
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
        })
    }

    fn work(self, mut caller: Caller, shift: &Shift) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        while let Some(number) = shift.next() {
            let (document, field) = self.place(number, &mut caller);
            let value = format!("word-{}", caller.below(WORDS));
            // Who was not answered tries again, most of the time.
            let tries = if caller.below(3) == 0 { 1 } else { MOST_TRIES };
            for again in 0..tries {
                let id = format!("{}-{}-{number}-{again}", self.round, self.first_lone);
                let knew = caller.update(&document, &field, &value, &id);
                let (document, field) = (document.clone(), field.clone());
                attempts.push(Attempt { id, document, field, knew });
                if knew == Knowledge::Acknowledged {
                    break;
                }
            }
            take_time(self.pause);
        }
        attempts
    }

    /// One in 16 of all updates goes to one document, so that several are under way at once on each of its fields: more of them, and
    /// its journal would be full between two checks.
    fn place(self, number: usize, caller: &mut Caller) -> (String, String) {
        if number.is_multiple_of(LONE_EVERY) {
            let lone = self.first_lone + number / LONE_EVERY;
            return (document_name(lone % self.documents), lone_field(lone));
        }
        let hot = caller.below(16) == 0;
        let document = if hot { 0 } else { caller.below(self.documents) };
        (document_name(document), format!("f{}", caller.below(SHARED_FIELDS)))
    }
}

/// How many updates are still to be made, by all callers together.
struct Shift {
    next: AtomicUsize,
    updates: usize,
    over: AtomicBool,
}

impl Shift {
    fn of(updates: usize) -> Self {
        Self { next: AtomicUsize::new(0), updates, over: AtomicBool::new(false) }
    }

    fn next(&self) -> Option<usize> {
        if self.over.load(Ordering::SeqCst) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        (number < self.updates).then_some(number)
    }
}

struct EndOfShift<'s>(&'s Shift);

impl Drop for EndOfShift<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

/// Somebody who sends one update after the other.
struct Caller {
    connection: Kept,
    dice: u64,
}

impl Caller {
    /// A number below a bound; the same ones in every run.
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's linear congruential generator for 64 bits.
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        const SUMMAND: u64 = 1_442_695_040_888_963_407;
        self.dice = self.dice.wrapping_mul(FACTOR).wrapping_add(SUMMAND);
        usize::try_from(self.dice >> 33).unwrap() % bound
    }

    /// Sends an update and waits for its answer, whatever becomes of it. Nothing is sent twice.
    fn update(&mut self, document: &str, field: &str, value: &str, id: &str) -> Knowledge {
        let body = format!("{{\"value\":\"{value}\"}}");
        let length = body.len();
        let request = format!(
            "PUT /docs/{document}/fields/{field} HTTP/1.1\r\nHost: app.test\r\nX-Update-Id: {id}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Knowledge::of(&self.connection.call(request.as_bytes()))
    }
}
