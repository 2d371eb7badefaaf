//! What must hold between a flag's detector, its entity and what its routes' updates do.

use http::Method;

use super::check::Findings;
use super::conflict::Conflict;
use super::tree::Branch;
use super::values;
use super::warning::Notice;
use crate::domain::effects::EffectPointer;
use crate::domain::entity::EntityTemplate;
use crate::domain::route::PathTemplate;
use crate::domain::source::Source;

/// Those that change nothing (RFC 9110, section 9.2.1).
const SAFE: [Method; 4] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];

/// Checks all of it, for one flag.
pub(super) fn check(flag: &Branch<'_>, findings: &mut Findings) {
    let verified = flag.at("verify").value().is_some();
    let entity = flag.peek("entity", values::parsed::<EntityTemplate>);
    if let Some(entity) = &entity {
        read(flag, entity, findings);
    }
    for route in flag.at("routes").elements() {
        let effect = route.at("effect");
        match (verified, effect.value()) {
            (true, None) => needs_effect(&route, findings),
            (false, Some(_)) => findings.warn(&effect, Notice::NoVerify),
            _ => {}
        }
        if let (Some(entity), Some(path)) =
            (&entity, route.peek("path", values::parsed::<PathTemplate>))
        {
            pointer(&effect, entity, &path, findings);
            value(&effect, &path, findings);
        }
    }
}

/// An entity is read by nothing but what makes it up.
fn read(flag: &Branch<'_>, entity: &EntityTemplate, findings: &mut Findings) {
    let Some(path) = flag.peek("verify.read", values::parsed::<PathTemplate>) else {
        return;
    };
    for placeholder in path.placeholders().filter(|name| !is_of(entity, name)) {
        let conflict = Conflict::UnfilledRead {
            placeholder: placeholder.to_owned(),
            placeholders: entity.placeholders().to_vec(),
        };
        findings.refuse(&flag.at("verify.read"), conflict);
    }
}

fn is_of(entity: &EntityTemplate, placeholder: &str) -> bool {
    entity.placeholders().iter().any(|known| known == placeholder)
}

/// An update of which nothing is known looks like a stranger's when its value is found.
fn needs_effect(route: &Branch<'_>, findings: &mut Findings) {
    let methods = route.peek("methods", values::methods).unwrap_or_default();
    let known_of = findings.covers(route.at("effect").path());
    if methods.iter().any(|method| !SAFE.contains(method)) && !known_of {
        findings.refuse(&route.at("methods"), Conflict::NoEffect);
    }
}

fn pointer(
    effect: &Branch<'_>,
    entity: &EntityTemplate,
    path: &PathTemplate,
    findings: &mut Findings,
) {
    let Some(pointer) = effect.peek("pointer", values::parsed::<EffectPointer>) else {
        return;
    };
    let known = |name: &str| is_of(entity, name) || path.placeholders().any(|known| known == name);
    for placeholder in pointer.placeholders().filter(|name| !known(name)) {
        let placeholder = placeholder.to_owned();
        findings.refuse(&effect.at("pointer"), Conflict::UnfilledEffect { placeholder });
    }
}

fn value(effect: &Branch<'_>, path: &PathTemplate, findings: &mut Findings) {
    if let Some(Source::Path(name)) = effect.peek("value", values::parsed::<Source>)
        && !path.placeholders().any(|known| known == name)
    {
        findings.refuse(&effect.at("value"), Conflict::NotInPath { name });
    }
}
