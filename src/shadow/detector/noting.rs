//! Taking up what the workers noted.

use serde_json::Value;

use super::entity::{Draft, Entity};
use super::{Detector, EntityReader, Sent};
use crate::clock::Instant;
use crate::domain::effects::history::{Ending, Update, UpdateId};
use crate::domain::effects::{Fields, Stamp};
use crate::domain::trace::TraceContext;
use crate::shadow::journal::JournalKey;
use crate::shadow::notebook::{Note, RawRead, Watched, Written};
use crate::telemetry::FlagIndex;
use crate::telemetry::events::VerifyRead;
use crate::telemetry::labels::{Inconclusive, ReadResult};

/// The most that wait to be appended, over all entities; past it updates are not noted.
const MAX_DRAFTS: usize = 64 * 1024;

impl<R: EntityReader + 'static> Detector<R> {
    pub(super) fn take_notes(&mut self) {
        while let Ok(note) = self.parts.notes.try_recv() {
            match note {
                Note::Sent { number, at, watched } => self.take_sent(number, at, watched),
                Note::Ended { number, at, ending, settles } => {
                    self.parts.notebook.took_end();
                    self.take_ended(number, at, ending, settles);
                }
                Note::Looked { flag, entity, path, read } => {
                    self.take_look(flag, entity, path, read)
                }
            }
        }
    }

    /// Updates that could not be noted may explain anything that is found now.
    pub(super) fn look_for_gaps(&mut self, now: Instant) {
        let missed = self.parts.notebook.missed();
        if missed == self.missed {
            return;
        }
        self.missed = missed;
        self.gap(now);
    }

    fn take_sent(&mut self, number: u64, at: Instant, watched: Box<Watched>) {
        if let Written::Body(body) = &watched.value {
            self.parts.notebook.took_body(body.len());
        }
        let Some(key) = self.key(watched.flag, &watched.entity) else { return };
        let flag = usize::from(watched.flag.0);
        let fresh = || Entity::new(flag, watched.read.clone(), at);
        self.entities.entry(key.clone()).or_insert_with(fresh).in_flight.push((number, at));
        self.sent.insert(number, Sent { key, at, watched });
    }

    fn take_ended(
        &mut self,
        number: u64,
        at: Instant,
        ending: Ending,
        settles: std::time::Duration,
    ) {
        let Some(Sent { key, at: sent, watched }) = self.sent.remove(&number) else { return };
        let Some(entity) = self.entities.get_mut(&key) else { return };
        entity.in_flight.retain(|(other, _)| *other != number);
        entity.quiet_from = entity.quiet_from.max(at + settles);
        if self.drafts >= MAX_DRAFTS {
            let flag = entity.flag;
            self.inconclusive(flag, Inconclusive::Overflow);
            self.gap(at);
            return;
        }
        entity.news_since.get_or_insert(at);
        entity.news += 1;
        let (value, shown) = self.flags.value_of(&watched);
        let none = Stamp::alone(0);
        let update = Update {
            id: UpdateId { clock: self.clock.id(), number },
            field: watched.field,
            value,
            shown,
            sent: none,
            ended: none,
            settles: u64::try_from(settles.as_micros()).unwrap_or(u64::MAX),
            ending,
            path: watched.path,
            route: watched.route.0,
            sidecar: self.parts.sidecar.clone(),
            trace_id: hex_or_empty(watched.trace, |trace| trace.trace_hex().to_string()),
            span_id: hex_or_empty(watched.trace, |trace| trace.span_hex().to_string()),
            sampled: watched.trace.sampled,
            counted: false,
            doubtful: false,
        };
        entity.drafts.push(Draft::Update { sent, ended: at, update: Box::new(update) });
        self.drafts += 1;
    }

    fn take_look(&mut self, flag: FlagIndex, entity: String, path: String, read: RawRead) {
        let document: Option<Value> =
            read.document.ok().and_then(|document| serde_json::from_slice(&document).ok());
        let result = if document.is_some() { ReadResult::Ok } else { ReadResult::Failed };
        VerifyRead { flag, result }.emit(&self.parts.telemetry);
        let place = usize::from(flag.0);
        let known = self.flags.flags.get(place).and_then(Option::as_ref);
        let (Some(known), Some(document), Some(key)) = (known, document, self.key(flag, &entity))
        else {
            return;
        };
        let fields = Fields::of(&document, &known.pointers);
        let draft = Draft::Read { begun: read.begun, ended: read.ended, fields };
        let fresh = || Entity::new(place, path, read.ended);
        self.entities.entry(key).or_insert_with(fresh).drafts.push(draft);
        self.drafts += 1;
    }

    fn key(&self, flag: FlagIndex, entity: &str) -> Option<JournalKey> {
        let known = self.flags.flags.get(usize::from(flag.0)).and_then(Option::as_ref)?;
        Some(JournalKey { flag: known.name.clone(), entity: entity.to_owned() })
    }

    /// Something was not noted. What is under check may be explained by it, so it comes to no conclusion; and others must not take
    /// this sidecar's word for a while.
    fn gap(&mut self, now: Instant) {
        let keys: Vec<JournalKey> = self.entities.keys().cloned().collect();
        for key in keys {
            self.give_up(&key, Inconclusive::Overflow);
        }
        self.local.clear();
        self.widen_gap(now + self.flags.longest);
        self.freeze(now);
    }
}

fn hex_or_empty(trace: TraceContext, hex: impl Fn(TraceContext) -> String) -> String {
    if trace.is_none() { String::new() } else { hex(trace) }
}
