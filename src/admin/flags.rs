//! The endpoints about flags: reading, explaining, changing.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header;
use http::request::Parts;
use serde_json::json;

use crate::clock;
use crate::domain::entity::MAX_ENTITY_BYTES;
use crate::domain::flag::{Author, Change, ChangeError, FlagState};
use crate::domain::transition::{Waiting, waits};
use crate::store::history::MAX_ENTRIES;
use crate::store::{Applied, FlagSeed, FlagStore, FleetFlags, StoreChangeError};
use crate::telemetry::events::SnapshotRefused;

use super::audit::Audit;
use super::auth::Caller;
use super::input::{self, Request};
use super::precondition::IfMatch;
use super::problem::{Fault, Refusal, etag};
use super::router::Endpoint;
use super::view::{EntryView, ExplainView, FlagView, Ground};
use super::{AdminResponse, AdminState, Changes, json_response};

/// For a change to be made. Past it nobody knows whether it will be.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(8);

/// How long the answer to a change waits for a flip to settle.
const SETTLES_WITHIN: Duration = Duration::from_millis(150);

/// Between two looks at whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How many changes a history shows unless it is asked for more.
const DEFAULT_HISTORY: usize = 100;

/// Answers what reads.
pub(super) fn read(
    state: &AdminState,
    endpoint: &Endpoint,
    query: Option<&str>,
) -> Result<AdminResponse, Refusal> {
    match endpoint {
        Endpoint::Flags => {
            no_parameters(query)?;
            Ok(list(state))
        }
        Endpoint::Flag { name } => {
            no_parameters(query)?;
            let (seed, flag) = find(&state.store, name)?;
            Ok(flag_response(state, seed, &flag))
        }
        Endpoint::History { name } => history(&state.store, name, query),
        Endpoint::Explain { name } => explain(state, name, query),
        _ => Err(Refusal::Internal),
    }
}

/// Answers what changes a flag: the flag as it is then.
pub(super) async fn change(
    state: &Arc<AdminState>,
    audit: &Audit,
    endpoint: &Endpoint,
    parts: &Parts,
    body: &[u8],
    caller: Caller,
) -> Result<AdminResponse, Refusal> {
    let (name, request) = match endpoint {
        Endpoint::Flag { name } => (name, input::patch(body)?),
        Endpoint::Kill { name } => (name, input::switch(body, Change::Kill)?),
        Endpoint::Resume { name } => (name, input::switch(body, Change::Resume)?),
        Endpoint::Force { name } => (name, input::switch(body, Change::Force)?),
        _ => return Err(Refusal::Internal),
    };
    no_parameters(parts.uri.query())?;
    let (seed, current) = find(&state.store, name)?;
    if let Change::Pin { entity, .. } = &request.change {
        check_entity(seed, "pin.entity", entity)?;
    }
    let precondition = IfMatch::from_headers(&parts.headers)?;
    let expected = match (precondition.expected(current.version), &state.changes) {
        // Somebody may have seen a version elsewhere that has not come here yet.
        (Err(Refusal::Stale { .. }), Changes::Fleet(flags)) => {
            flags.refresh().await;
            precondition.expected(find(&state.store, name)?.1.version)?
        }
        (expected, _) => expected?,
    };
    let applied = apply(state, audit, name, expected, request, caller).await?;
    see_it_settle(&state.store, name, &applied.after).await;
    let (seed, now) = find(&state.store, name)?;
    // What others made of it since is theirs to be told.
    let made = if now.version == applied.after.version { now } else { applied.after };
    Ok(flag_response(state, seed, &made))
}

/// Gives a flip that nobody has to wait for the time that its messages take, so that the answer shows it settled.
async fn see_it_settle(store: &FlagStore, name: &str, made: &FlagState) {
    let give_up = clock::now() + SETTLES_WITHIN;
    let is_under_way = || {
        let state = store.flag(name).map(|(_, state)| state);
        state.is_some_and(|it| it.version == made.version && it.transit.is_some())
    };
    while is_under_way() && clock::now() < give_up {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Makes a change and tells of it. It goes on when the caller goes away, or when this gives up waiting.
async fn apply(
    state: &Arc<AdminState>,
    audit: &Audit,
    name: &str,
    expected: Option<u64>,
    request: Request,
    caller: Caller,
) -> Result<Applied, Refusal> {
    let Request { change, reason } = request;
    let author = Author { by: caller.name, reason, at_ms: clock::wall_ms() };
    let (state, audit, name) = (Arc::clone(state), audit.clone(), name.to_owned());
    let made = tokio::spawn(async move {
        let made = match &state.changes {
            Changes::Fleet(flags) => in_fleet(flags, &name, expected, change, author).await,
            Changes::Local(_) => here(&state, &name, expected, change, author).await,
        };
        if let Ok(applied) = &made {
            audit.changed(&name, applied.after.version);
        }
        made
    });
    let made = tokio::time::timeout(CHANGE_TIMEOUT, made).await;
    made.map_err(|_| Refusal::OutcomeUnknown)?.unwrap_or(Err(Refusal::Internal))
}

async fn in_fleet(
    flags: &FleetFlags,
    name: &str,
    expected: Option<u64>,
    change: Change,
    author: Author,
) -> Result<Applied, Refusal> {
    let made = flags.change(name, expected, change, author).await;
    made.map_err(|error| refusal(error, name))
}

/// Where it may block: the disk comes first.
async fn here(
    state: &Arc<AdminState>,
    name: &str,
    expected: Option<u64>,
    change: Change,
    author: Author,
) -> Result<Applied, Refusal> {
    let (state, name) = (Arc::clone(state), name.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        let Changes::Local(on_change) = &state.changes else {
            return Err(Refusal::Internal);
        };
        let change = || {
            let made = state.store.change(&name, expected, &change, author);
            SnapshotRefused { refused: state.store.is_snapshot_refused() }.emit(&state.telemetry);
            made
        };
        let applied = on_change.tell(&name, change).map_err(|error| refusal(error, &name))?;
        on_change.tell_steps(|tell| state.store.take_steps(tell));
        Ok(applied)
    });
    written.await.unwrap_or(Err(Refusal::Internal))
}

fn refusal(error: StoreChangeError, name: &str) -> Refusal {
    match error {
        StoreChangeError::UnknownFlag => Refusal::UnknownFlag { name: name.to_owned() },
        StoreChangeError::VersionConflict { current } => Refusal::Stale { current },
        StoreChangeError::BadEntity { .. } => {
            let fault = Fault::Type("an entity's key of 1 to 1024 bytes");
            Refusal::field("pin.entity", None, fault)
        }
        StoreChangeError::Refused(ChangeError::TooManyPins | ChangeError::TooManyMoving) => {
            Refusal::NoRoom(error)
        }
        StoreChangeError::Refused(error) => Refusal::field("reason", None, Fault::Change(error)),
        StoreChangeError::NotPersisted(error) => Refusal::NotPersisted(error),
        StoreChangeError::OutcomeUnknown => Refusal::OutcomeUnknown,
        StoreChangeError::Unreadable { place } => Refusal::Unreadable { place },
        StoreChangeError::TooLarge { .. } => Refusal::NoRoom(error),
        StoreChangeError::StoreUnreachable(_)
        | StoreChangeError::StoreBusy { .. }
        | StoreChangeError::Ending => Refusal::StoreUnavailable(error),
    }
}

fn find<'s>(store: &'s FlagStore, name: &str) -> Result<(&'s FlagSeed, Arc<FlagState>), Refusal> {
    store.flag(name).ok_or_else(|| Refusal::UnknownFlag { name: name.to_owned() })
}

fn list(state: &AdminState) -> AdminResponse {
    let snapshot = state.store.snapshot();
    let flags: Vec<FlagView<'_>> = state
        .store
        .seeds()
        .iter()
        .zip(&snapshot.states)
        .map(|(seed, flag)| FlagView::of(seed, flag, waiting_for(state, seed, flag)))
        .collect();
    json_response(StatusCode::OK, &json!({"flags": flags}))
}

fn flag_response(state: &AdminState, seed: &FlagSeed, flag: &FlagState) -> AdminResponse {
    let view = FlagView::of(seed, flag, waiting_for(state, seed, flag));
    let mut response = json_response(StatusCode::OK, &view);
    response.headers_mut().insert(header::ETAG, etag(flag.version));
    response
}

/// Whom a flag's transition waits for.
fn waiting_for(state: &AdminState, seed: &FlagSeed, flag: &FlagState) -> Vec<Waiting> {
    let index = state.store.index_of(&seed.name);
    let own = index.and_then(|index| state.store.ledger().progress(index));
    waits(flag, &state.fleet.load().reports(&seed.name, own))
}

fn history(store: &FlagStore, name: &str, query: Option<&str>) -> Result<AdminResponse, Refusal> {
    let mut limit = DEFAULT_HISTORY;
    for (key, value) in input::query(query)? {
        if key != "limit" {
            return Err(Refusal::field(&key, Some(value.into()), Fault::Unknown("limit")));
        }
        let parsed = value.parse().ok().filter(|limit| (1..=MAX_ENTRIES).contains(limit));
        let fault = Fault::Type("a whole number from 1 to 1000");
        limit = parsed.ok_or_else(|| Refusal::field("limit", Some(value.into()), fault))?;
    }
    find(store, name)?;
    let entries = store.history(name).unwrap_or_default();
    let shown: Vec<EntryView<'_>> =
        entries.iter().take(limit).map(|entry| EntryView::of(entry)).collect();
    Ok(json_response(StatusCode::OK, &json!({"history": shown})))
}

fn explain(state: &AdminState, name: &str, query: Option<&str>) -> Result<AdminResponse, Refusal> {
    let (seed, flag) = find(&state.store, name)?;
    let mut asked = None;
    for (key, value) in input::query(query)? {
        if key != "entity" {
            return Err(Refusal::field(&key, Some(value.into()), Fault::Unknown("entity")));
        }
        asked = Some(value);
    }
    let remedy = "ask for an entity's key, as in ?entity=journey:7";
    let entity = asked.ok_or_else(|| Refusal::field("entity", None, Fault::Missing(remedy)))?;
    check_entity(seed, "entity", &entity)?;
    let freshness = state.store.snapshot().freshness;
    let ground = match &state.changes {
        Changes::Local(_) => Ground::Process,
        Changes::Fleet(_) if state.store.ledger().is_apart() => Ground::Apart,
        Changes::Fleet(_) => Ground::Fleet,
    };
    let view = ExplainView::of(seed, &flag, (freshness, ground), &entity);
    Ok(json_response(StatusCode::OK, &view))
}

pub(super) fn no_parameters(query: Option<&str>) -> Result<(), Refusal> {
    match input::query(query)?.into_iter().next() {
        None => Ok(()),
        Some((key, value)) => {
            Err(Refusal::field(&key, Some(value.into()), Fault::Unknown("no parameters")))
        }
    }
}

/// A key that no call of this flag can make is a slip of the pen: `7` where `journey:7` was meant.
fn check_entity(seed: &FlagSeed, key: &str, entity: &str) -> Result<(), Refusal> {
    let template = &seed.entity;
    let before = template.split('{').next().unwrap_or_default();
    let after = template.rsplit('}').next().unwrap_or_default();
    let fits = entity.len() > before.len() + after.len() && entity.len() <= MAX_ENTITY_BYTES;
    if fits && entity.starts_with(before) && entity.ends_with(after) {
        return Ok(());
    }
    let fault = Fault::OtherEntity { template: template.clone() };
    Err(Refusal::field(key, Some(entity.into()), fault))
}
