//! A span as it waits to be exported.

use std::borrow::Cow;

use super::names;
use crate::clock::{self, Instant};
use crate::domain::trace::TraceContext;

/// The longest text of an attribute, in bytes; the rest is cut off. With the bounds below and that of the queue it bounds
/// the memory of all spans.
const MAX_TEXT: usize = 1024;

/// The most events of a span; later ones are left out.
const MAX_EVENTS: usize = 32;

/// The most links of a span; later ones are left out.
const MAX_LINKS: usize = 128;

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call that is served here.
    Server,
    /// A call that is made from here.
    Client,
    /// Something that happens here.
    Internal,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A text of at most 1024 bytes.
    Text(Cow<'static, str>),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(mut text: String) -> Self {
        if text.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or_default());
            text.shrink_to_fit();
        }
        Self::Text(Cow::Owned(text))
    }
}

/// A name of [`names`], and what it is in this span.
pub type Attribute = (&'static str, Value);

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) at: Instant,
    pub(super) attributes: Vec<Attribute>,
}

/// A span. Built for calls that are traced and nothing else: each takes memory.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    pub(super) context: TraceContext,
    /// 0 stands for none.
    pub(super) parent: u64,
    /// The parent is a span of another process.
    pub(super) parent_is_remote: bool,
    pub(super) kind: Kind,
    pub(super) name: Cow<'static, str>,
    pub(super) started: Instant,
    pub(super) ended: Option<Instant>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) events: Vec<Event>,
    pub(super) links: Vec<TraceContext>,
    pub(super) failed: bool,
}

impl SpanRecord {
    /// A span that begins a trace. `context` is its own place, as `Tracer::root` gives one.
    pub fn root(
        context: TraceContext,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        started: Instant,
    ) -> Self {
        Self::under(context, 0, kind, name.into(), started)
    }

    /// A span under another one of this process. `context` is its own place, as `Tracer::child` gives one for `parent`.
    pub fn child(
        context: TraceContext,
        parent: TraceContext,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        started: Instant,
    ) -> Self {
        Self::under(context, parent.span_id, kind, name.into(), started)
    }

    fn under(
        context: TraceContext,
        parent: u64,
        kind: Kind,
        name: Cow<'static, str>,
        started: Instant,
    ) -> Self {
        Self {
            context,
            parent,
            parent_is_remote: false,
            kind,
            name,
            started,
            ended: None,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            failed: false,
        }
    }

    /// The span's own place.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Adds an attribute; `key` is one of [`names`], and set once.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push((key, value.into()));
    }

    /// Adds something that happened at a moment; past 32 of them, nothing.
    pub fn add_event(
        &mut self,
        name: &'static str,
        at: Instant,
        attributes: impl IntoIterator<Item = Attribute>,
    ) {
        if self.events.len() < MAX_EVENTS {
            self.events.push(Event { name, at, attributes: attributes.into_iter().collect() });
        }
    }

    /// Links it to a span that it is about but not part of; past 128 of them, and to no trace, it does nothing.
    pub fn link(&mut self, to: TraceContext) {
        if self.links.len() < MAX_LINKS && !to.is_none() {
            self.links.push(to);
        }
    }

    /// Marks it as failed, with a word of a closed set.
    pub fn fail(&mut self, error_type: impl Into<Value>) {
        self.failed = true;
        self.set(names::ERROR_TYPE, error_type);
    }

    /// Says when it ended, where that is not when it is recorded.
    pub fn end(&mut self, at: Instant) {
        self.ended = Some(at);
    }

    /// It ends now at the latest.
    pub(super) fn close(&mut self) {
        if self.ended.is_none() {
            self.ended = Some(clock::now());
        }
    }
}
