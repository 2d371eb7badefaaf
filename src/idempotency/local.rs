//! The records of one process: bounded in number and bytes, and gone with it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::claim::Held;
use super::key::{Payload, RecordName};
use super::{Begun, Claim, StoredAnswer, Terms};
use crate::clock::{self, Instant};

/// The most records of calls that have ended. Those that run come on top: each is a call in flight.
const MOST_RECORDS: usize = 10_000;

/// The most that they take together, in bytes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What a record takes beside its answer, in bytes: measured generously.
const RECORD_BYTES: usize = 512;

/// The records of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct LocalRecords {
    table: Arc<Mutex<Table>>,
}

struct Table {
    records: HashMap<RecordName, Record>,
    /// Those that have ended, the earliest first. One that was replaced since is passed over by its number.
    ended: VecDeque<(RecordName, u64)>,
    bytes: usize,
    most_records: usize,
    most_bytes: usize,
    numbers: u64,
}

struct Record {
    payload: Payload,
    number: u64,
    state: State,
}

enum State {
    Running,
    Ended { answer: Option<StoredAnswer>, until: Instant },
}

impl State {
    fn size(&self) -> usize {
        match self {
            Self::Running => 0,
            Self::Ended { answer, .. } => {
                RECORD_BYTES + answer.as_ref().map_or(0, StoredAnswer::size)
            }
        }
    }
}

/// A first call's own record.
pub(super) struct LocalClaim {
    records: LocalRecords,
    name: RecordName,
    number: u64,
    terms: Terms,
}

impl LocalRecords {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self::bounded(MOST_RECORDS, MOST_BYTES)
    }

    fn bounded(most_records: usize, most_bytes: usize) -> Self {
        let table = Table {
            records: HashMap::new(),
            ended: VecDeque::new(),
            bytes: 0,
            most_records,
            most_bytes,
            numbers: 0,
        };
        Self { table: Arc::new(Mutex::new(table)) }
    }

    /// A call with a key comes.
    pub(super) fn begin(&self, name: RecordName, payload: Payload, terms: Terms) -> Begun {
        let (mut table, now) = (self.table(), clock::now());
        table.forget_old(now);
        if let Some(record) = table.records.get(&name) {
            match &record.state {
                State::Ended { until, .. } if *until <= now => table.forget(&name),
                _ if record.payload != payload => return Begun::OtherPayload,
                State::Running => return Begun::Running,
                State::Ended { answer: Some(answer), .. } => {
                    return Begun::Answered(answer.clone());
                }
                State::Ended { answer: None, .. } => return Begun::Abandoned(None),
            }
        }
        table.numbers += 1;
        let number = table.numbers;
        table.records.insert(name, Record { payload, number, state: State::Running });
        let claim = LocalClaim { records: self.clone(), name, number, terms };
        Begun::First(Claim::new(Held::Local(claim)))
    }

    /// Whoever panicked while it was locked had changed it whole, or not at all.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalClaim {
    pub(super) fn answered(self, answer: StoredAnswer) {
        self.end(Some(answer));
    }

    pub(super) fn abandoned(self) {
        self.end(None);
    }

    pub(super) fn withdrawn(self) {
        self.records.table().records.remove(&self.name);
    }

    fn end(self, answer: Option<StoredAnswer>) {
        let until = clock::now() + self.terms.keep;
        self.records.table().end(self.name, self.number, State::Ended { answer, until });
    }
}

impl Table {
    fn end(&mut self, name: RecordName, number: u64, state: State) {
        let Some(record) = self.records.get_mut(&name) else { return };
        self.bytes += state.size();
        record.state = state;
        self.ended.push_back((name, number));
        while self.ended.len() > self.most_records || self.bytes > self.most_bytes {
            if !self.forget_first() {
                return;
            }
        }
    }

    /// Flags keep theirs for different times, so one that is old may stand behind one that is not, and stays a while longer
    /// than it has to: nobody is given it then.
    fn forget_old(&mut self, now: Instant) {
        while self.ended.front().is_some_and(|(name, _)| self.is_old(name, now)) {
            self.forget_first();
        }
    }

    fn is_old(&self, name: &RecordName, now: Instant) -> bool {
        match self.records.get(name).map(|record| &record.state) {
            Some(State::Ended { until, .. }) => *until <= now,
            Some(State::Running) | None => true,
        }
    }

    /// Whether there was one.
    fn forget_first(&mut self) -> bool {
        let Some((name, number)) = self.ended.pop_front() else { return false };
        if self.records.get(&name).is_some_and(|record| record.number == number) {
            self.forget(&name);
        }
        true
    }

    fn forget(&mut self, name: &RecordName) {
        if let Some(record) = self.records.remove(name) {
            self.bytes -= record.state.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, Request, StatusCode};

    use super::*;
    use crate::domain::flag::{Path, Protection};
    use crate::idempotency::Served;

    const TERMS: Terms =
        Terms { keep: Duration::from_secs(3600), running: Duration::from_secs(10) };

    fn payload(target: &str) -> Payload {
        Payload::of(&Request::put(target).body(()).unwrap(), &[])
    }

    fn answer(bytes: usize) -> StoredAnswer {
        let served = Served { path: Path::Legacy, protection: Protection::None };
        let body = Some(Bytes::from(vec![b'x'; bytes]));
        StoredAnswer::of(StatusCode::OK, &HeaderMap::new(), served, body)
    }

    fn begin(records: &LocalRecords, key: usize, terms: Terms) -> Begun {
        records.begin(RecordName::of("flag", &key.to_string()), payload("/"), terms)
    }

    #[track_caller]
    fn first(records: &LocalRecords, key: usize, terms: Terms) -> LocalClaim {
        match begin(records, key, terms) {
            Begun::First(mut claim) => match claim.take() {
                Some(Held::Local(claim)) => claim,
                _ => panic!("a claim of this process"),
            },
            _ => panic!("{key} was there before"),
        }
    }

    fn is_answered(records: &LocalRecords, key: usize) -> bool {
        let found = records.table().records.contains_key(&RecordName::of("flag", &key.to_string()));
        found && matches!(begin(records, key, TERMS), Begun::Answered(_))
    }

    #[test]
    fn a_key_runs_once_and_is_answered_ever_after() {
        let records = LocalRecords::new();
        let claim = first(&records, 1, TERMS);

        assert!(matches!(begin(&records, 1, TERMS), Begun::Running));
        claim.answered(answer(3));

        let Begun::Answered(again) = begin(&records, 1, TERMS) else { panic!("no answer") };
        assert_eq!(again, answer(3));
        let name = RecordName::of("flag", "1");
        assert!(matches!(records.begin(name, payload("/other"), TERMS), Begun::OtherPayload));
    }

    #[test]
    fn a_claim_that_is_let_go_says_what_is_known() {
        let records = LocalRecords::new();

        first(&records, 1, TERMS).withdrawn();
        first(&records, 1, TERMS).abandoned();

        assert!(matches!(begin(&records, 1, TERMS), Begun::Abandoned(None)));
    }

    #[test]
    fn past_the_most_records_those_that_ended_first_go_and_none_that_runs() {
        let records = LocalRecords::bounded(3, usize::MAX);
        let running = first(&records, 0, TERMS);
        for key in 1..=5 {
            first(&records, key, TERMS).answered(answer(1));
        }

        assert_eq!(
            (1..=5).map(|key| is_answered(&records, key)).collect::<Vec<_>>(),
            [false, false, true, true, true]
        );
        assert!(matches!(begin(&records, 0, TERMS), Begun::Running));
        running.answered(answer(1));
    }

    #[test]
    fn past_the_most_bytes_those_that_ended_first_go_and_bytes_are_given_back() {
        let most = 2 * (RECORD_BYTES + 1000);
        let records = LocalRecords::bounded(100, most);
        for key in 1..=3 {
            first(&records, key, TERMS).answered(answer(1000));
        }

        assert_eq!(
            (1..=3).map(|key| is_answered(&records, key)).collect::<Vec<_>>(),
            [false, true, true]
        );
        first(&records, 4, TERMS).answered(answer(most));
        let table = records.table();
        assert_eq!((table.bytes, table.records.len()), (0, 0));
    }

    #[test]
    fn what_is_old_is_forgotten_also_behind_what_is_not() {
        let records = LocalRecords::new();
        let brief = Terms { keep: Duration::ZERO, ..TERMS };
        first(&records, 1, TERMS).answered(answer(1));
        first(&records, 2, brief).answered(answer(1));

        first(&records, 2, TERMS).answered(answer(2));

        assert!(is_answered(&records, 1) && is_answered(&records, 2));
        assert_eq!(records.table().bytes, 2 * RECORD_BYTES + 3);
    }
}
