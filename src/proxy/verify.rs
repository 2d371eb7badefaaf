//! What the lost-update detector has to know of an update: noted before it is sent, and the first look at an entity that was not
//! seen lately.

use std::borrow::Cow;
use std::rc::Rc;
use std::task::{Context, Waker};

use http::Request;

use super::body::RequestBody;
use super::error::Refusal;
use super::facts::{self, Values};
use super::worker::{RouteOf, Worker};
use crate::domain::flag::Path;
use crate::domain::route::Captures;
use crate::domain::source::Source;
use crate::domain::trace::TraceContext;
use crate::shadow::detector::EntityReader;
use crate::shadow::notebook::{Watched, Written};

/// The update as the detector will note it; `None` where its entity is none of those that are verified.
pub(super) fn watch(
    worker: &Worker,
    route: &RouteOf<'_>,
    entity: &str,
    values: &Values<'_>,
    request: &Request<RequestBody>,
    captures: &Captures<'_>,
) -> Option<Box<Watched>> {
    let notebook = worker.shared.notebook.as_ref()?;
    let (verify, spec) = (route.flag.verify.as_ref()?, route.config()?);
    let effect = spec.effect.as_ref()?;
    if request.method().is_safe() || !notebook.verifies(route.flag_index, &route.flag.name, entity)
    {
        return None;
    }
    let of_entity = |name: &str| {
        let place = route.flag.entity.placeholders().iter().position(|known| known == name)?;
        values.get(place)
    };
    let placeholder = |name: &str| {
        let source = Source::Path(name.to_owned());
        facts::value(&source, spec, request, captures, None)
            .or_else(|| of_entity(name).map(|value| Cow::Borrowed(value.as_ref())))
    };
    let value = match &effect.value {
        Source::Body(_) => Written::Unknown,
        source => facts::value(source, spec, request, captures, None)
            .map_or(Written::Unknown, |value| Written::Text(value.into_owned())),
    };
    Some(Box::new(Watched {
        flag: route.flag_index,
        route: route.route_index,
        read: verify.read.fill(|name| of_entity(name).map(AsRef::as_ref))?,
        entity: entity.to_owned(),
        field: effect.pointer.fill(placeholder)?,
        value,
        path: Path::Legacy,
        trace: TraceContext::NONE,
    }))
}

/// Holds the body where the value stands in it. One that is too large streams, and its value is not known.
pub(super) async fn hold_value(
    worker: &Worker,
    route: &RouteOf<'_>,
    watched: &mut Watched,
    request: &mut Request<RequestBody>,
) -> Result<(), Refusal> {
    let effect = route.config().and_then(|spec| spec.effect.as_ref());
    if !effect.is_some_and(|effect| matches!(effect.value, Source::Body(_))) {
        return Ok(());
    }
    let body = request.body_mut();
    match body.hold(worker.shared.config.proxy.max_body, &worker.memory).await {
        Ok(true) => {
            watched.value = Written::Body(body.join_held());
            Ok(())
        }
        // Not to know the value is no reason to refuse a call.
        Ok(false) | Err(Refusal::BodyMemory) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

/// Sends a read of an entity that was not seen lately, ahead of its first update; what it shows is waited for elsewhere.
pub(super) fn look_ahead(worker: &Rc<Worker>, watched: &Watched) {
    let (Some(notebook), Some(reader)) = (&worker.shared.notebook, &worker.reader) else { return };
    if !notebook.wants_a_look(watched.flag, &watched.entity) {
        return;
    }
    let notebook = notebook.clone();
    let (flag, entity, path) = (watched.flag, watched.entity.clone(), watched.read.clone());
    let read = reader.read(path.clone());
    let mut look = Box::pin(async move {
        notebook.looked(flag, entity, path, read.await);
    });
    // Over a kept connection it leaves right here, ahead of the update.
    if look.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::task::spawn_local(look);
    }
}
