//! What the detector knows of the flags that it verifies.

use std::time::Duration;

use serde_json::Value;

use crate::config::Config;
use crate::domain::compare::PointerPattern;
use crate::domain::effects::{EffectPointer, Fingerprint};
use crate::domain::source::Source;
use crate::shadow::notebook::{Watched, Written};

/// The longest value that is shown, in bytes of JSON text.
const MAX_SHOWN: usize = 256;

/// A flag that is verified.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: String,
    /// How long an entity is quiet before it is read.
    pub(super) settle: Duration,
    /// The longest that an entity which never falls quiet goes unread.
    pub(super) interval: Duration,
    /// All places that its routes can write.
    pub(super) pointers: Vec<EffectPointer>,
    reveal: Vec<PointerPattern>,
}

/// A route, as records name it.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: String,
    /// What a span of its calls is named.
    pub(super) span: String,
    /// Where the value stands in a body, if it does.
    value: Option<String>,
}

/// All flags, by their index, and all routes, by theirs.
#[derive(Debug)]
pub(super) struct Flags {
    pub(super) flags: Vec<Option<Flag>>,
    pub(super) routes: Vec<Route>,
    /// For how long a write may still land after its call was given up.
    pub(super) settles: Duration,
    /// An update that is sent now has landed after this, if ever.
    pub(super) longest: Duration,
}

impl Flags {
    pub(super) fn of(config: &Config) -> Self {
        let flags = config.flags.iter().map(|flag| {
            let verify = flag.verify.as_ref()?;
            let effects = flag.routes.iter().filter_map(|route| route.effect.as_ref());
            Some(Flag {
                name: flag.name.clone(),
                settle: verify.settle,
                interval: verify.interval,
                pointers: effects.map(|effect| effect.pointer.clone()).collect(),
                reveal: flag.reveal.clone(),
            })
        });
        let routes = config.flags.iter().flat_map(|flag| &flag.routes).map(|route| {
            let value = match route.effect.as_ref().map(|effect| &effect.value) {
                Some(Source::Body(pointer)) => Some(pointer.clone()),
                _ => None,
            };
            let method = route.methods.first().map_or("", http::Method::as_str);
            Route { name: route.name.clone(), span: format!("{method} {}", route.path), value }
        });
        let (flags, routes) = (flags.collect(), routes.collect());
        let settles = config.legacy.settle_after_timeout;
        Self { flags, routes, settles, longest: config.legacy.timeout.saturating_add(settles) }
    }

    /// What an update writes: for comparing, and for showing where that is allowed.
    pub(super) fn value_of(&self, watched: &Watched) -> (Option<Fingerprint>, Option<String>) {
        let flag = self.flags.get(usize::from(watched.flag.0)).and_then(Option::as_ref);
        let value = match &watched.value {
            Written::Unknown => return (None, None),
            Written::Text(text) => Value::String(text.clone()),
            Written::Body(body) => {
                let route = self.routes.get(usize::from(watched.route.0));
                let pointer = route.and_then(|route| route.value.as_deref()).unwrap_or_default();
                let document: Option<Value> = serde_json::from_slice(body).ok();
                match document.as_ref().and_then(|document| document.pointer(pointer)) {
                    Some(value) => value.clone(),
                    None => return (None, None),
                }
            }
        };
        let shown = flag.filter(|flag| flag.reveals(&watched.field)).map(|_| shown(&value));
        (Some(Fingerprint::of(&value)), shown)
    }
}

impl Flag {
    /// Whether records may show the values of a field.
    pub(super) fn reveals(&self, field: &str) -> bool {
        self.reveal.iter().any(|pattern| pattern.covers(field))
    }

    /// What a document shows at a field, where that may be shown.
    pub(super) fn shown_in(&self, document: &Value, field: &str) -> Option<String> {
        self.reveals(field)
            .then(|| EffectPointer::find(document, field).map_or("(nothing)".to_owned(), shown))
    }
}

/// A value as JSON text, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_SHOWN).last();
    match end {
        Some(end) if text.len() > MAX_SHOWN => format!("{}…", text.get(..end).unwrap_or_default()),
        _ => text,
    }
}
