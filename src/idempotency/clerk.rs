//! The store thread's end: runs the scripts, off the workers' threads.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use redis::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use super::StoredAnswer;
use super::fleet::{Asked, Ending, Record, Request, Requests};
use super::scripts::{BEGIN, END, WITHDRAW};
use crate::clock::{self, Instant};
use crate::fleet::Keys;
use crate::remote::{CallError, Lane, Remote, Script};

/// Between two tries to write down how a call ended.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The most ends that wait for a store that is gone. Past it a record says by its age that nobody knows.
const MOST_WAITING: usize = 1000;

/// The most that their answers take together, in bytes.
const MOST_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// Keeps the records.
pub(crate) struct Clerk {
    inner: Rc<Inner>,
    requests: mpsc::UnboundedReceiver<Request>,
}

struct Inner {
    remote: Remote,
    keys: Keys,
    timeout: Duration,
    waiting: std::cell::Cell<(usize, usize)>,
}

impl Clerk {
    /// `timeout` is `store.timeout`.
    pub(crate) fn new(remote: Remote, keys: Keys, timeout: Duration, requests: Requests) -> Self {
        let waiting = std::cell::Cell::default();
        let inner = Inner { remote, keys, timeout, waiting };
        Self { inner: Rc::new(inner), requests: requests.requests }
    }

    /// Never ends, whether anybody still asks or not.
    pub(crate) async fn run(mut self) {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                request = self.requests.recv() => match request {
                    None => return pending().await,
                    Some(Request::Close(told)) => {
                        while running.join_next().await.is_some() {}
                        told.send(()).ok();
                    }
                    Some(request) => {
                        running.spawn_local(Rc::clone(&self.inner).run(request));
                    }
                },
                Some(_) = running.join_next() => {}
            }
        }
    }
}

impl Inner {
    async fn run(self: Rc<Self>, request: Request) {
        match request {
            Request::Begin(record, reply) => self.begin(&record, reply).await,
            Request::End(record, Ending::Withdrawn) => {
                self.end(&record, &WITHDRAW, &[record.ticket.as_bytes()], None).await;
            }
            Request::End(record, Ending::Abandoned) => {
                self.end_as(&record, "unknown", &[], None).await;
            }
            Request::End(record, Ending::Answered { answer, recorded }) => {
                self.end_as(&record, "answered", &answer, Some(recorded)).await;
            }
            // Seen by whoever hands requests out.
            Request::Close(_) => {}
        }
    }

    async fn begin(&self, record: &Record, reply: oneshot::Sender<Asked>) {
        let deadline = clock::now() + self.timeout;
        let payload = record.payload.to_string();
        let (running, keep) = (millis(record.terms.running), millis(record.terms.keep));
        let words = [&record.ticket, payload.as_str(), &running, &keep].map(str::as_bytes);
        let mut asked = self.run_script(&BEGIN, record, &words).await;
        if matches!(asked, Err(CallError::Unknown(_))) {
            // A connection that broke is told of at once, and there may be another one: the ticket makes it one question.
            let again = self.run_script(&BEGIN, record, &words);
            if let Ok(answered) = timeout_at(deadline, again).await {
                asked = answered;
            }
        }
        let said = asked.ok().and_then(read).unwrap_or(Asked::Unheard);
        if reply.send(said).is_err() {
            // Whoever asked has gone. The claim said so already, but that may have overtaken this.
            self.end(record, &WITHDRAW, &[record.ticket.as_bytes()], None).await;
        }
    }

    async fn end_as(
        &self,
        record: &Record,
        state: &str,
        answer: &[u8],
        recorded: Option<oneshot::Sender<bool>>,
    ) {
        let (payload, keep) = (record.payload.to_string(), millis(record.terms.keep));
        let words = [
            record.ticket.as_bytes(),
            payload.as_bytes(),
            keep.as_bytes(),
            state.as_bytes(),
            answer,
        ];
        self.end(record, &END, &words, recorded).await;
    }

    /// Writes down how a call ended, and tries again for as long as that makes a difference.
    async fn end(
        &self,
        record: &Record,
        script: &Script,
        words: &[&[u8]],
        recorded: Option<oneshot::Sender<bool>>,
    ) {
        let until = clock::now() + record.terms.running;
        let first = self.run_script(script, record, words).await;
        if let Some(recorded) = recorded {
            // Whoever waits may have gone.
            recorded.send(first.as_ref().is_ok_and(is_kept)).ok();
        }
        if first.is_ok() {
            return;
        }
        let bytes = words.iter().map(|word| word.len()).sum();
        let Some(_waiting) = Waiting::begin(self, bytes) else { return };
        while self.connected_by(until).await {
            if self.run_script(script, record, words).await.is_ok() {
                return;
            }
        }
    }

    /// Waits before another try; false when that would be of no use any more.
    async fn connected_by(&self, until: Instant) -> bool {
        sleep(TRY_AGAIN_AFTER).await;
        let mut status = self.remote.status();
        let connected = status.wait_for(|status| status.connected.is_some());
        timeout_at(until, connected).await.is_ok()
    }

    async fn run_script(
        &self,
        script: &Script,
        record: &Record,
        words: &[&[u8]],
    ) -> Result<Value, CallError> {
        let key = self.keys.idempotency(&record.name.to_string());
        self.remote.run_or_tell(Lane::Documents, script, &[&key], words, None).await
    }
}

/// An end that waits for the store.
struct Waiting<'c> {
    clerk: &'c Inner,
    bytes: usize,
}

impl<'c> Waiting<'c> {
    /// `None` where there is no room for it.
    fn begin(clerk: &'c Inner, bytes: usize) -> Option<Self> {
        let (count, all) = clerk.waiting.get();
        let fits = count < MOST_WAITING && all + bytes <= MOST_WAITING_BYTES;
        fits.then(|| {
            clerk.waiting.set((count + 1, all + bytes));
            Self { clerk, bytes }
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let (count, all) = self.clerk.waiting.get();
        self.clerk.waiting.set((count - 1, all - self.bytes));
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

fn is_kept(answer: &Value) -> bool {
    matches!(answer, Value::BulkString(word) if word == b"kept")
}

/// Reads an answer to [`BEGIN`]; `None` for anything else.
fn read(value: Value) -> Option<Asked> {
    let Value::Array(words) = value else { return None };
    let mut words = words.into_iter().map(|word| match word {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    });
    match words.next()??.as_slice() {
        b"first" => Some(Asked::First),
        b"running" => Some(Asked::Running),
        b"other" => Some(Asked::OtherPayload),
        b"unknown" => {
            let first = words.next().flatten().and_then(|ticket| String::from_utf8(ticket).ok());
            Some(Asked::Abandoned(first.map(Into::into)))
        }
        // One that can't be read is an answer all the same: the call must not run again.
        b"answered" => Some(match words.next().flatten().and_then(StoredAnswer::from_bytes) {
            Some(answer) => Asked::Answered(Box::new(answer)),
            None => Asked::Abandoned(None),
        }),
        _ => None,
    }
}
