//! What a call's declared edit is, before any document was looked at.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_RANGE, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use smallvec::SmallVec;

use crate::config::{AnswerConfig, AtomicConfig, EffectConfig, RouteConfig};
use crate::domain::edit::{NewValue, Planned, Refused, plan};
use crate::domain::effects::Place;
use crate::domain::source::Source;
use crate::proxy::body::RequestBody;
use crate::proxy::facts;
use crate::proxy::worker::{RouteOf, Worker};

/// What makes a call one that is not to be served as it is, whatever the state of the entity: RFC 9110, sections 13.1 and 14.5. Only
/// the app knows its validators and its ranges.
const CONDITIONS: [HeaderName; 4] = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, CONTENT_RANGE];

/// A call's edit: which document, which places, and which values.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The key of the document.
    pub(crate) document: Arc<str>,
    edits: SmallVec<[(Place, Given); 1]>,
    /// The call's body, where a value stands in it.
    body: Bytes,
    /// What placeholders of the path and of the entity stand for.
    names: SmallVec<[(String, String); 4]>,
    limit: usize,
}

/// Where a new value is.
#[derive(Clone, Debug)]
enum Given {
    /// At a pointer into the body.
    Body(String),
    Text(String),
}

impl Prepared {
    /// From a call whose body is held.
    pub(crate) fn of(
        worker: &Worker,
        route: &RouteOf<'_>,
        request: &mut Request<RequestBody>,
    ) -> Result<Self, Refused> {
        let spec = route.config().ok_or(Refused::NoValue)?;
        let declared = spec.atomic.as_ref().ok_or(Refused::NoValue)?;
        // A router takes more spellings for the route than an app may, so that none slips past the lease. An edit is made
        // where the app would not be asked, nor who guards paths in front of it.
        if !spec.path.is_spelled(request.uri().path()) {
            return Err(Refused::Spelling);
        }
        if CONDITIONS.iter().any(|name| request.headers().contains_key(name)) {
            return Err(Refused::Conditional);
        }
        let in_body = |source: &Source| matches!(source, Source::Body(_));
        let needs_body = declared.edits.iter().any(|edit| in_body(&edit.value));
        let body = match needs_body || facts::needs_body(&spec.sources) {
            true => request.body_mut().join_held(),
            false => Bytes::new(),
        };
        let names = names(worker, route, spec, request, &body).ok_or(Refused::NoValue)?;
        let value = |name: &str| value_of(&names, name);
        let keys: Option<SmallVec<[Cow<'_, str>; 4]>> =
            declared.document.placeholders().iter().map(|name| value(name)).collect();
        let document = declared.document.fill(&keys.ok_or(Refused::NoValue)?);
        let edits = declared.edits.iter().map(|edit| {
            let place = edit.pointer.resolve(value).ok_or(Refused::NoValue)?;
            Ok((place, given(edit, spec, request, &names)?))
        });
        Ok(Self {
            document: document.ok_or(Refused::NoValue)?.into(),
            edits: edits.collect::<Result<_, Refused>>()?,
            body: if needs_body { body } else { Bytes::new() },
            limit: route.flag.max_document,
            names,
        })
    }

    /// Plans it on a document.
    pub(crate) fn plan<'d>(&'d self, document: &'d [u8]) -> Result<Planned<'d, 'd>, Refused> {
        let edits = self.edits.iter().map(|(place, given)| {
            let value = match given {
                Given::Body(pointer) => NewValue::from_body(&self.body, pointer)?,
                Given::Text(text) => NewValue::text(text.as_str()),
            };
            Ok((place, value))
        });
        plan(document, &edits.collect::<Result<Vec<_>, Refused>>()?, self.limit)
    }

    /// What the caller is answered once the values were written.
    pub(super) fn answer(&self, declared: &AtomicConfig, values: &[Cow<'_, [u8]>]) -> Bytes {
        self.body_of(&declared.answer, values)
    }

    /// The same where the document was not looked at: a text counts as a string.
    pub(super) fn answer_unseen(&self, declared: &AtomicConfig) -> Bytes {
        let values = self.edits.iter().map(|(_, given)| match given {
            Given::Body(pointer) => {
                let found = crate::domain::edit::body_value(&self.body, pointer);
                Cow::Borrowed(found.ok().flatten().unwrap_or(b"null"))
            }
            Given::Text(text) => {
                Cow::Owned(serde_json::Value::from(text.as_str()).to_string().into_bytes())
            }
        });
        self.answer(declared, &values.collect::<Vec<_>>())
    }

    /// What the caller is answered where there is nothing to edit.
    pub(super) fn missing(&self, declared: &AtomicConfig) -> Bytes {
        self.body_of(&declared.missing, &[])
    }

    fn body_of(&self, declared: &AnswerConfig, values: &[Cow<'_, [u8]>]) -> Bytes {
        let template = declared.body.as_ref();
        let body = template.map(|template| template.render(values, |name| self.name(name)));
        body.unwrap_or_default().into()
    }

    /// What edits of the same fields have in common, and no others.
    pub(super) fn fields(&self) -> String {
        let mut text = self.document.to_string();
        for (place, _) in &self.edits {
            // Nothing fails that is written to a text.
            write!(text, "\0{:?}", place.steps()).ok();
        }
        text
    }

    /// The largest that the document may be, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn name(&self, name: &str) -> Option<Cow<'_, str>> {
        value_of(&self.names, name)
    }
}

fn value_of<'n>(names: &'n [(String, String)], name: &str) -> Option<Cow<'n, str>> {
    let found = names.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| Cow::Borrowed(value.as_str()))
}

/// What the placeholders of the path and of the entity stand for; the path's own names win.
fn names(
    worker: &Worker,
    route: &RouteOf<'_>,
    spec: &RouteConfig,
    request: &Request<RequestBody>,
    body: &[u8],
) -> Option<SmallVec<[(String, String); 4]>> {
    let (_, captures) = worker.shared.router.find(request.method(), request.uri().path())?;
    let of_path = spec.path.placeholders().zip(&captures);
    let mut names: SmallVec<[(String, String); 4]> =
        of_path.map(|(name, value)| (name.to_owned(), value.to_string())).collect();
    let json = match facts::needs_body(&spec.sources) {
        true => serde_json::from_slice(body).ok(),
        false => None,
    };
    let of_entity = facts::values(spec, request, &captures, json.as_ref())?;
    for (name, value) in route.flag.entity.placeholders().iter().zip(of_entity) {
        if !names.iter().any(|(known, _)| known == name) {
            names.push((name.clone(), value.into_owned()));
        }
    }
    Some(names)
}

fn given(
    edit: &EffectConfig,
    spec: &RouteConfig,
    request: &Request<RequestBody>,
    names: &[(String, String)],
) -> Result<Given, Refused> {
    let no_captures = SmallVec::new();
    let text = match &edit.value {
        Source::Body(pointer) => return Ok(Given::Body(pointer.clone())),
        Source::Path(name) => value_of(names, name),
        source => facts::value(source, spec, request, &no_captures, None),
    };
    text.map(|text| Given::Text(text.into_owned())).ok_or(Refused::NoValue)
}
