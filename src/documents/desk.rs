//! The store thread's side: runs the scripts, each for whoever waits for it.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::scripts::{EDIT, READ};
use super::{Ask, DocumentRequests, Edit, Edited, Errand, Failed, Order, Read, answer};
use crate::domain::edit::{Anchor, Old, Scalar};
use crate::fleet::Keys;
use crate::fleet::gate::{Gate, Place};
use crate::remote::{CallError, Lane, Remote, Script};
use crate::telemetry::Telemetry;

/// The longest that a receipt is kept; longer ones count as this. It keeps the server's sums in range.
const LONGEST_KEPT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Asks the store about documents.
pub(crate) struct DocumentDesk {
    inner: Rc<Inner>,
}

struct Inner {
    remote: Remote,
    keys: Keys,
    gate: Gate,
    telemetry: Telemetry,
    /// The store turned out to be another one.
    suspect: mpsc::UnboundedSender<()>,
}

impl DocumentDesk {
    pub(crate) fn new(
        remote: Remote,
        keys: Keys,
        gate: Gate,
        suspect: mpsc::UnboundedSender<()>,
        telemetry: Telemetry,
    ) -> Self {
        Self { inner: Rc::new(Inner { remote, keys, gate, telemetry, suspect }) }
    }

    /// Does errands, for ever; dropped, it does not wait for the answers to those under way.
    pub(crate) async fn run(self, requests: DocumentRequests) {
        let DocumentRequests(mut errands) = requests;
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(errand) = errands.recv() => {
                    let inner = Rc::clone(&self.inner);
                    running.spawn_local(async move {
                        let trace = errand.trace();
                        let running = pin!(inner.run_errand(errand));
                        inner.telemetry.tracer().within(trace, running).await;
                    });
                }
                // One that panicked answers nothing, and its waiter sees that.
                Some(_) = running.join_next() => {}
                // Nobody can have an errand any more.
                else => std::future::pending().await,
            }
        }
    }
}

impl Inner {
    async fn run_errand(&self, errand: Errand) {
        let place = errand.place;
        match errand.order {
            Order::Read(ask, reply) if !reply.is_closed() => {
                let read = self.read(&place, &ask).await;
                self.suspect_if(read == Ok(Read::Replaced), &place);
                // Whoever asked may have gone.
                drop(reply.send(read));
            }
            Order::Edit(edit, reply) if !reply.is_closed() => {
                let edited = self.edit(&place, &edit).await;
                self.suspect_if(edited == Ok(Edited::Replaced), &place);
                drop(reply.send(edited));
            }
            Order::Read(..) | Order::Edit(..) => {}
        }
    }

    async fn read(&self, place: &Place, ask: &Ask) -> Result<Read, Failed> {
        // The server would refuse, which looks like trouble with the store; and an id with a brace in it is any caller's to send.
        if place.cluster && !self.keys.is_beside(&ask.entity, &ask.document) {
            return Ok(Read::OtherSlot);
        }
        let answered = self.run(&READ, place, ask, &[]).await;
        // A read that may have run has written nothing.
        let answer = answered.map_err(|error| match error.is_for_good() {
            true => Failed::Refused,
            false => Failed::NotExecuted,
        })?;
        answer::read(answer).map_err(|error| {
            self.remote.tell_of_answer(&READ, &error);
            Failed::NotExecuted
        })
    }

    async fn edit(&self, place: &Place, edit: &Edit) -> Result<Edited, Failed> {
        let keep = edit.keep.clamp(Duration::from_millis(1), LONGEST_KEPT).as_millis().to_string();
        let owner = edit.owner.as_deref().unwrap_or_default().as_bytes();
        // No sooner is it given up; so one that is made after that finds its own value or makes nothing.
        let late = edit.fence.store_ms_after(self.remote.timeout()).to_string();
        let (text, keep, late) = (edit.text.as_bytes(), keep.as_bytes(), late.as_bytes());
        let mut words = vec![owner, &edit.fence.lease, text, keep, late];
        for splice in &edit.splices {
            let none = &b""[..];
            let (kind, head, was, tail) = match &splice.old {
                Old::Bytes(bytes) => (none, none, &bytes[..], none),
                Old::Value { head, was, kind, tail } => {
                    (kind_letter(*kind), &head[..], &was[..], &tail[..])
                }
            };
            words.extend([letter(splice.anchor), kind, head, was, tail, &splice.new]);
        }
        let answer =
            self.run(&EDIT, place, &edit.ask, &words).await.map_err(|error| match error {
                CallError::NotExecuted(_) if error.is_for_good() => Failed::Refused,
                CallError::NotExecuted(_) => Failed::NotExecuted,
                CallError::Unknown(_) => Failed::Unknown,
            })?;
        answer::edited(answer).map_err(|error| {
            self.remote.tell_of_answer(&EDIT, &error);
            Failed::Unknown
        })
    }

    /// Runs a script on a document and what lies by its entity.
    async fn run(
        &self,
        script: &Script,
        place: &Place,
        ask: &Ask,
        more: &[&[u8]],
    ) -> Result<Value, CallError> {
        let lease = self.keys.lease(&ask.entity);
        let (holder, fence) = (format!("{lease}holder"), format!("{lease}fence"));
        let receipt = self.keys.receipt(&ask.entity, &ask.receipt);
        let epoch = self.keys.epoch();
        let mut keys = vec![&*ask.document, &holder, &fence, &receipt];
        // A script of a cluster reaches one slot alone.
        if !place.cluster {
            keys.push(&epoch);
        }
        let limit = ask.limit.to_string();
        let arguments = [&[place.epoch.as_bytes(), limit.as_bytes()], more].concat();
        let generation = Some(place.generation);
        self.remote.run_or_tell(Lane::Documents, script, &keys, &arguments, generation).await
    }

    /// The session looks whether the store is another one.
    fn suspect_if(&self, replaced: bool, place: &Arc<Place>) {
        if replaced && self.gate.is_open_at(place) {
            self.suspect.send(()).ok();
        }
    }
}

/// As the script has it.
fn letter(anchor: Anchor) -> &'static [u8] {
    match anchor {
        Anchor::Element => b"E",
        Anchor::Prefix => b"P",
        Anchor::Suffix => b"S",
    }
}

/// As the script has it.
fn kind_letter(kind: Scalar) -> &'static [u8] {
    match kind {
        Scalar::Text => b"t",
        Scalar::Number => b"n",
        Scalar::Bool => b"b",
    }
}
