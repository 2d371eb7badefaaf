//! A timeline as a Mermaid sequence diagram.
//!
//! Every caller is a participant on the left of the entity's document, every reader one on its right. A bar shows for how
//! long a call went on, so that what overlapped is seen; a write that was lost ends in a cross.

mod text;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{MAX_STEPS, Step, StepKind, Timeline};
use text::label;

/// The longest diagram, in bytes: Mermaid refuses one of more than 50,000 characters unless it is told otherwise.
pub(super) const MAX_DIAGRAM_BYTES: usize = 48_000;

/// The participant that stands for the entity.
const DOCUMENT: &str = "document";

impl Timeline {
    /// The diagram's text: its latest [`MAX_STEPS`] steps, fewer where that is too long for Mermaid. Whatever a document, a
    /// caller or a key is called, it is a diagram: what Mermaid would take for syntax is written as an entity code.
    pub fn mermaid(&self, title: &str, entity: &str) -> String {
        let mut timeline = self.clone().bounded(MAX_STEPS);
        loop {
            let text = Drawing::of(&timeline).text(title, entity);
            if text.len() <= MAX_DIAGRAM_BYTES || timeline.steps.is_empty() {
                return text;
            }
            let half = timeline.steps.len() / 2;
            timeline = timeline.bounded(half);
        }
    }
}

/// Somebody who updates or reads.
struct Actor<'a> {
    id: String,
    first: &'a Step,
    lost: bool,
    /// Whether a bar is open.
    active: bool,
}

impl Actor<'_> {
    fn reads_only(&self) -> bool {
        self.first.what == StepKind::Read
    }
}

struct Drawing<'a> {
    timeline: &'a Timeline,
    /// In the order in which they first appear.
    actors: Vec<Actor<'a>>,
    by_name: BTreeMap<&'a str, usize>,
    out: String,
}

impl<'a> Drawing<'a> {
    fn of(timeline: &'a Timeline) -> Self {
        let mut actors: Vec<Actor<'a>> = Vec::new();
        let mut by_name = BTreeMap::new();
        for step in &timeline.steps {
            let index = *by_name.entry(step.caller.as_str()).or_insert(actors.len());
            match actors.get_mut(index) {
                Some(actor) => actor.lost |= step.lost,
                None => {
                    let id = format!("c{}", index + 1);
                    actors.push(Actor { id, first: step, lost: step.lost, active: false });
                }
            }
        }
        Self { timeline, actors, by_name, out: String::new() }
    }

    fn text(mut self, title: &str, entity: &str) -> String {
        self.out.push_str("sequenceDiagram\n");
        self.line(format_args!("title {}", label(title)));
        self.participants(entity);
        if self.timeline.truncated {
            self.line(format_args!("Note over {DOCUMENT}: earlier steps are left out"));
        }
        for step in &self.timeline.steps {
            self.step(step);
        }
        let open: Vec<String> =
            self.actors.iter().filter(|it| it.active).map(|it| it.id.clone()).collect();
        for id in open {
            self.line(format_args!("deactivate {id}"));
        }
        let lost: Vec<String> =
            self.actors.iter().filter(|it| it.lost).map(|it| it.id.clone()).collect();
        for id in lost {
            self.line(format_args!("Note over {id}: lost"));
        }
        self.out
    }

    fn participants(&mut self, entity: &str) {
        let row = |actor: &Actor<'_>| {
            let Step { caller, path, sidecar, .. } = actor.first;
            let via = match sidecar.is_empty() {
                true => String::new(),
                false => format!(" via {}", label(sidecar)),
            };
            format!("participant {} as {}<br/>{path}{via}", actor.id, label(caller))
        };
        let rows = |reads: bool| self.actors.iter().filter(move |it| it.reads_only() == reads);
        let left: Vec<String> = rows(false).map(row).collect();
        let right: Vec<String> = rows(true).map(row).collect();
        let document = format!("participant {DOCUMENT} as {}", label(entity));
        for row in left.into_iter().chain([document]).chain(right) {
            self.line(format_args!("{row}"));
        }
    }

    fn step(&mut self, step: &Step) {
        let index = self.by_name.get(step.caller.as_str());
        let Some(actor) = index.and_then(|index| self.actors.get_mut(*index)) else {
            return;
        };
        let (id, was_active) = (actor.id.clone(), actor.active);
        let (field, at) = (field(step), at(step));
        match step.what {
            StepKind::Sent => {
                actor.active = true;
                self.line(format_args!("{id}->>{DOCUMENT}: reads the document {at}"));
                if !was_active {
                    self.line(format_args!("activate {id}"));
                }
                return;
            }
            StepKind::Acknowledged => {
                let arrow = if step.lost { "-x" } else { "->>" };
                self.line(format_args!("{id}{arrow}{DOCUMENT}: writes {field} {at}"));
            }
            StepKind::Rejected => {
                let what = format_args!("answered with an error, not {field}");
                self.line(format_args!("{DOCUMENT}-->>{id}: {what} {at}"));
            }
            StepKind::Unknown => {
                self.line(format_args!("{id}--){DOCUMENT}: given up, may write {field} {at}"));
            }
            StepKind::Read => {
                self.line(format_args!("{DOCUMENT}-->>{id}: {field} {at}"));
                return;
            }
        }
        if was_active {
            self.line(format_args!("deactivate {id}"));
            if let Some(actor) = self.actors.iter_mut().find(|actor| actor.id == id) {
                actor.active = false;
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.out.push_str("    ");
        // Writing to a text can't fail.
        self.out.write_fmt(line).ok();
        self.out.push('\n');
    }
}

/// A field and its value, as far as it may be shown.
fn field(step: &Step) -> String {
    let field = if step.field.is_empty() { "the document".to_owned() } else { label(&step.field) };
    match &step.value {
        None => format!("{field} (redacted)"),
        Some(value) => format!("{field} = {}", label(value)),
    }
}

/// When, in milliseconds.
fn at(step: &Step) -> String {
    format!("({}.{:03} ms)", step.at_us / 1000, step.at_us % 1000)
}

#[cfg(test)]
mod tests;
