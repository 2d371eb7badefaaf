//! From a flag's branch of the tree, in which everything was checked, to the validated flag.

use http::Method;

use super::{bytes, count};
use crate::config::atomic_rules::WITHOUT_BODY;
use crate::config::error::{ConfigProblems, Fault};
use crate::config::tree::Branch;
use crate::config::{
    AnswerConfig, AtomicConfig, Conflict, EffectConfig, FixedConfig, FlagConfig, IdempotencyConfig,
    LeaseConfig, OnRefusal, RouteConfig, ShadowConfig, ShadowMode, VerifyConfig, check, lists,
    values,
};
use crate::domain::compare::{DecimalText, Rules, StatusRule};
use crate::domain::edit::AnswerTemplate;
use crate::domain::entity::EntityTemplate;
use crate::domain::flag::{OnStoreLoss, Strategy};
use crate::domain::route::PathTemplate;
use crate::domain::source::Source;

/// What a caller is answered unless something else is declared: the body, and the status code.
const DONE: (&str, u16) = ("{}", 200);
const MISSING: (&str, u16) = (r#"{"error":"not found"}"#, 404);

/// Builds it.
pub(super) fn flag(name: &str, at: &Branch<'_>) -> Result<FlagConfig, ConfigProblems> {
    let entity: EntityTemplate = at.get("entity", values::parsed)?;
    let routes = at.at("routes").elements();
    let routes = routes.iter().map(|branch| route(&entity, branch)).collect::<Result<_, _>>()?;
    Ok(FlagConfig {
        name: name.to_owned(),
        percent: at.get("percent", values::percent)?,
        on_store_loss: match check::text(&at.at("on_store_loss")) {
            Some("reject") => OnStoreLoss::Reject,
            _ => OnStoreLoss::Legacy,
        },
        store_patience: at.get("store_patience", values::duration)?,
        lease: LeaseConfig {
            wait: at.get("lease.wait", values::duration)?,
            max_waiters: count(at, "lease.max_waiters")?,
        },
        idempotency: IdempotencyConfig {
            keep: at.get("idempotency.keep", values::duration)?,
            max_body: bytes(at, "idempotency.max_body")?,
        },
        fixed: fixed(at)?,
        max_document: bytes(at, "fixed.max_document")?,
        routes,
        entity,
        verify: verify(&at.at("verify"))?,
        shadow: shadow(&at.at("shadow"))?,
        reveal: at.get("reveal", lists::patterns)?,
    })
}

fn fixed(flag: &Branch<'_>) -> Result<FixedConfig, ConfigProblems> {
    match check::text(&flag.at("fixed.strategy")) {
        Some(text) if text == Strategy::Upstream.as_str() => {
            Ok(FixedConfig::Upstream { url: flag.get("fixed.url", values::upstream)? })
        }
        Some(text) if text == Strategy::Atomic.as_str() => Ok(FixedConfig::Atomic {
            refused: match check::text(&flag.at("fixed.refused")) {
                Some("reject") => OnRefusal::Reject,
                _ => OnRefusal::Serialize,
            },
        }),
        _ => Ok(FixedConfig::Serialize),
    }
}

fn route(entity: &EntityTemplate, at: &Branch<'_>) -> Result<RouteConfig, ConfigProblems> {
    let written = at.at("placeholders");
    let source = |placeholder: &String| {
        // A placeholder's name has no dot, so it is one step.
        let source = written.optional(placeholder, values::parsed::<Source>)?;
        let source = source.unwrap_or_else(|| Source::Path(placeholder.clone()));
        Ok::<_, ConfigProblems>(source)
    };
    let path: PathTemplate = at.get("path", values::parsed)?;
    let methods: Vec<Method> = at.get("methods", values::methods)?;
    Ok(RouteConfig {
        name: at.get("name", values::name)?,
        methods,
        sources: entity.placeholders().iter().map(source).collect::<Result<_, _>>()?,
        effect: effect(&at.at("effect"))?,
        atomic: atomic(&at.at("atomic"), entity, &path)?,
        path,
    })
}

/// A table that is not there means that the updates are the app's alone.
fn atomic(
    at: &Branch<'_>,
    entity: &EntityTemplate,
    path: &PathTemplate,
) -> Result<Option<AtomicConfig>, ConfigProblems> {
    if at.value().is_none() {
        return Ok(None);
    }
    let several = at.at("edits").elements();
    let edits = match several.as_slice() {
        [] => vec![field(at)?],
        several => several.iter().map(field).collect::<Result<_, _>>()?,
    };
    let known = |name: &str| {
        let of_entity = entity.placeholders().iter().any(|known| known == name);
        of_entity || path.placeholders().any(|known| known == name)
    };
    let answer = |body: &str, status: &str, edits: usize, default: (&str, u16)| {
        let code = at.optional(status, |value| values::integer(value).and_then(to_u16))?;
        let code = code.unwrap_or(default.1);
        if WITHOUT_BODY.contains(&code.into()) {
            return Ok::<_, ConfigProblems>(AnswerConfig { status: code, body: None });
        }
        let text = at.optional(body, values::json_text)?;
        let template = AnswerTemplate::parse(text.as_deref().unwrap_or(default.0), edits, known);
        let template =
            template.map_err(|source| at.at(body).problem(Conflict::BadAnswer { source }))?;
        Ok(AnswerConfig { status: code, body: Some(template) })
    };
    Ok(Some(AtomicConfig {
        document: at.get("document", values::parsed)?,
        answer: answer("answer", "status", edits.len(), DONE)?,
        missing: answer("missing", "missing_status", 0, MISSING)?,
        edits,
    }))
}

fn field(at: &Branch<'_>) -> Result<EffectConfig, ConfigProblems> {
    Ok(EffectConfig {
        pointer: at.get("pointer", values::parsed)?,
        value: at.get("value", values::parsed)?,
    })
}

/// A table that is not there means that updates do nothing anybody looks at.
fn effect(at: &Branch<'_>) -> Result<Option<EffectConfig>, ConfigProblems> {
    at.value().map(|_| field(at)).transpose()
}

/// A table that is not there means that nothing is verified.
fn verify(at: &Branch<'_>) -> Result<Option<VerifyConfig>, ConfigProblems> {
    let build = |_| {
        Ok(VerifyConfig {
            read: at.get("read", values::parsed)?,
            sample: at.get("sample", values::percent)?,
            settle: at.get("settle", values::duration)?,
            interval: at.get("interval", values::duration)?,
            max_reads: at.get("max_reads", |value| values::integer(value).and_then(to_u32))?,
        })
    };
    at.value().map(build).transpose()
}

fn shadow(at: &Branch<'_>) -> Result<Option<ShadowConfig>, ConfigProblems> {
    let mode = match check::text(&at.at("mode")) {
        Some("dry_run") => ShadowMode::DryRun,
        Some("isolated") => ShadowMode::Isolated,
        Some("plan") => ShadowMode::Plan,
        _ => return Ok(None),
    };
    Ok(Some(ShadowConfig {
        mode,
        sample: at.get("sample", values::percent)?,
        noise: at.get("noise", values::percent)?,
        url: at.optional("url", values::upstream)?,
        timeout: at.get("timeout", values::duration)?,
        max_inflight: count(at, "max_inflight")?,
        queue: count(at, "queue")?,
        rules: rules(&at.at("compare"))?,
    }))
}

fn rules(at: &Branch<'_>) -> Result<Rules, ConfigProblems> {
    Ok(Rules {
        status: match check::text(&at.at("status")) {
            Some("class") => StatusRule::Class,
            _ => StatusRule::Exact,
        },
        headers: at.get("headers", lists::header_names)?,
        ignore: at.get("ignore", lists::patterns)?,
        unordered: at.get("unordered", lists::patterns)?,
        tolerance: at.get("tolerance", values::ratio)?,
        decimal_text: match check::text(&at.at("decimal_text")) {
            Some("by_value") => DecimalText::ByValue,
            _ => DecimalText::Exact,
        },
    })
}

fn to_u16(number: u64) -> Result<u16, Fault> {
    u16::try_from(number)
        .map_err(|_| Fault::OutOfRange { min: "0".to_owned(), max: u16::MAX.to_string() })
}

fn to_u32(number: u64) -> Result<u32, Fault> {
    u32::try_from(number)
        .map_err(|_| Fault::OutOfRange { min: "0".to_owned(), max: u32::MAX.to_string() })
}
