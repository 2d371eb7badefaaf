//! What must hold between a flag's strategy, the edits that its routes declare, and the store that has the documents.

use http::Method;

use super::check::{self, Findings};
use super::conflict::Conflict;
use super::tree::Branch;
use super::values;
use super::warning::Notice;
use crate::domain::edit::{AnswerTemplate, MAX_EDITS};
use crate::domain::effects::EffectPointer;
use crate::domain::entity::EntityTemplate;
use crate::domain::flag::Strategy;
use crate::domain::route::PathTemplate;
use crate::domain::source::Source;

/// The status codes among those of an answer that have no body (RFC 9110, sections 15.3.5 and 15.3.6).
pub(super) const WITHOUT_BODY: [u64; 2] = [204, 205];

/// Checks all of it, for one flag.
pub(super) fn check(root: &Branch<'_>, flag: &Branch<'_>, findings: &mut Findings) {
    let strategy = flag.at("fixed.strategy");
    let is_atomic = check::text(&strategy) == Some(Strategy::Atomic.as_str());
    let is_planned = check::text(&flag.at("shadow.mode")) == Some("plan");
    let routes = flag.at("routes").elements();
    if is_atomic {
        if root.at("store.url").value().is_none() && !findings.covers("store.url") {
            findings.refuse(&strategy, Conflict::NoDocuments);
        }
        let declared = |route: &Branch<'_>| {
            let edit = route.at("atomic");
            edit.value().is_some() || findings.covers(edit.path())
        };
        if !routes.is_empty() && !routes.iter().any(declared) {
            findings.refuse(&strategy, Conflict::NoEdit);
        }
    }
    for route in &routes {
        let edit = route.at("atomic");
        if edit.value().is_none() {
            continue;
        }
        if !is_atomic && !is_planned {
            findings.warn(&edit, Notice::UnusedEdit);
        }
        declaration(root, flag, route, findings);
        let methods = route.peek("methods", values::methods).unwrap_or_default();
        if let Some(method) = methods.into_iter().find(Method::is_safe) {
            findings.refuse(&route.at("methods"), Conflict::EditBySafeMethod { method });
        }
    }
}

fn declaration(root: &Branch<'_>, flag: &Branch<'_>, route: &Branch<'_>, findings: &mut Findings) {
    let edit = route.at("atomic");
    let several = edit.at("edits").elements();
    let is_one = edit.at("pointer").value().is_some() && edit.at("value").value().is_some();
    let is_half = edit.at("pointer").value().is_some() || edit.at("value").value().is_some();
    let is_told = ["pointer", "value", "edits"].iter().any(|name| {
        // What is wrong with one of them has been told.
        findings.covers(edit.at(name).path())
    });
    match several.len() {
        0 if is_one || is_told => {}
        1..=MAX_EDITS if !is_half => {}
        count if count > MAX_EDITS => {
            findings.refuse(&edit.at("edits"), Conflict::TooManyEdits { count, max: MAX_EDITS });
        }
        _ => findings.refuse(&edit, Conflict::OneEditOrSeveral),
    }
    let (Some(entity), Some(path)) = (
        flag.peek("entity", values::parsed::<EntityTemplate>),
        route.peek("path", values::parsed::<PathTemplate>),
    ) else {
        return;
    };
    document(root, &edit, &entity, &path, findings);
    for one in std::iter::once(&edit).chain(&several) {
        field(one, &entity, &path, findings);
    }
    if several.len() <= MAX_EDITS {
        apart(&several, findings);
    }
    let status = edit.peek("status", values::integer);
    if status.is_some_and(|code| WITHOUT_BODY.contains(&code))
        && edit.at("answer").value().is_some()
    {
        findings.refuse(&edit.at("status"), Conflict::AnswerWithoutBody { key: "answer" });
    }
    // Where there is nothing to edit there is no new value either.
    for (name, edits) in [("answer", several.len().max(1)), ("missing", 0)] {
        let at = edit.at(name);
        if let Some(text) = check::text(&at)
            && !findings.covers(at.path())
            && let Err(source) =
                AnswerTemplate::parse(text, edits, |name| is_known(name, &entity, &path))
        {
            findings.refuse(&at, Conflict::BadAnswer { source });
        }
    }
}

fn document(
    root: &Branch<'_>,
    edit: &Branch<'_>,
    entity: &EntityTemplate,
    path: &PathTemplate,
    findings: &mut Findings,
) {
    let at = edit.at("document");
    let Some(document) = edit.peek("document", values::parsed::<EntityTemplate>) else {
        return;
    };
    for placeholder in document.placeholders().iter().filter(|name| !is_known(name, entity, path)) {
        let placeholder = placeholder.clone();
        findings.refuse(&at, Conflict::UnfilledEffect { placeholder });
    }
    let in_cluster = root.peek("store.cluster", values::boolean).unwrap_or_default();
    if in_cluster && document != *entity {
        findings.refuse(&at, Conflict::DocumentInAnotherSlot { entity: entity.to_string() });
    }
}

/// One of the fields that are written.
fn field(edit: &Branch<'_>, entity: &EntityTemplate, path: &PathTemplate, findings: &mut Findings) {
    if let Some(pointer) = edit.peek("pointer", values::parsed::<EffectPointer>) {
        for placeholder in pointer.placeholders().filter(|name| !is_known(name, entity, path)) {
            let placeholder = placeholder.to_owned();
            findings.refuse(&edit.at("pointer"), Conflict::UnfilledEffect { placeholder });
        }
    }
    if let Some(Source::Path(name)) = edit.peek("value", values::parsed::<Source>)
        && !path.placeholders().any(|known| known == name)
    {
        findings.refuse(&edit.at("value"), Conflict::NotInPath { name });
    }
}

/// Two edits of one place can't both be made. Where that is up to the call's values, the call is refused.
fn apart(several: &[Branch<'_>], findings: &mut Findings) {
    let pointer = |edit: &Branch<'_>| edit.peek("pointer", values::parsed::<EffectPointer>);
    let known: Vec<_> = several.iter().map(|edit| (edit, pointer(edit))).collect();
    for (index, (edit, pointer)) in known.iter().enumerate() {
        let Some(pointer) = pointer else { continue };
        let before = known.iter().take(index).filter_map(|(_, other)| other.as_ref());
        let met = before.into_iter().find(|other| other.covers(pointer) || pointer.covers(other));
        if let Some(other) = met {
            let other = other.to_string();
            findings.refuse(&edit.at("pointer"), Conflict::EditsMeet { other });
        }
    }
}

/// Whether a call has a value for the placeholder.
fn is_known(name: &str, entity: &EntityTemplate, path: &PathTemplate) -> bool {
    entity.placeholders().iter().any(|known| known == name)
        || path.placeholders().any(|known| known == name)
}
