//! The endpoints about divergence records: the list, and one of them as JSON or as a diagram.

use http::StatusCode;
use http::header::{self, HeaderValue};
use http::request::Parts;
use serde::Serialize;

use crate::domain::divergence::{Cause, Difference, Record, RecordId, Summary};
use crate::domain::timeline::Timeline;
use crate::shadow::records::{Found, Listed, Page, Query, Source};

use super::flags::no_parameters;
use super::problem::{Fault, Refusal};
use super::view::rfc3339;
use super::{AdminResponse, AdminState, accept, body_response, input, json_response};

/// How many records a list shows unless it is asked for more.
const DEFAULT_LIMIT: usize = 100;

/// The most records that a list shows.
const MAX_LIMIT: usize = 1000;

/// The longest id that is quoted back, in characters: none of ours is longer.
const MAX_QUOTED: usize = 64;

/// What every record can be had as.
const JSON: &str = "application/json";

/// What a record with a timeline can be had as.
const MERMAID: &str = "text/vnd.mermaid";

/// The same in full.
const MERMAID_IN_UTF8: &str = "text/vnd.mermaid; charset=utf-8";

/// What there is, for whoever wants something else.
const BOTH: &str = "application/json and text/vnd.mermaid";

/// What there is of a record that can't be drawn.
const NO_TIMELINE: &str = "application/json; this record has no timeline that could be drawn";

/// The words for causes, for whoever writes another.
const CAUSES: &str = "one of status, headers, body, state, lost_update, concurrent_write, \
                      unmanaged_writer, timeout, error";

/// A record in a list.
#[derive(Serialize)]
struct Row<'a> {
    id: RecordId,
    at: String,
    flag: &'a str,
    route: &'a str,
    entity: &'a str,
    path: &'static str,
    cause: &'static str,
    contended: bool,
    pointers: &'a [String],
    trace_ids: &'a [String],
}

/// A list.
#[derive(Serialize)]
struct Rows<'a> {
    divergences: Vec<Row<'a>>,
    next: Option<RecordId>,
    from: &'static str,
}

/// All that a record says.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    differences: &'a [Difference],
    truncated: bool,
    timeline: Option<&'a Timeline>,
    from: &'static str,
}

impl<'a> Row<'a> {
    fn of(id: RecordId, summary: &'a Summary, trace_ids: &'a [String]) -> Self {
        Self {
            id,
            at: rfc3339(summary.at_ms),
            flag: &summary.flag,
            route: &summary.route,
            entity: &summary.entity,
            path: summary.path.as_str(),
            cause: summary.cause.as_str(),
            contended: summary.contended,
            pointers: &summary.pointers,
            trace_ids,
        }
    }

    fn listed(listed: &'a Listed) -> Self {
        Self::of(listed.id, &listed.summary, &listed.summary.trace_ids)
    }
}

/// Answers with a part of the list, the latest first.
pub(super) async fn list(
    state: &AdminState,
    query: Option<&str>,
) -> Result<AdminResponse, Refusal> {
    let query = read_query(state, query)?;
    let Page { divergences, next, from } = state.records.list(&query).await;
    let divergences = divergences.iter().map(Row::listed).collect();
    Ok(json_response(StatusCode::OK, &Rows { divergences, next, from: from.as_str() }))
}

fn read_query(state: &AdminState, query: Option<&str>) -> Result<Query, Refusal> {
    let mut read = Query { flag: None, cause: None, after: None, limit: DEFAULT_LIMIT };
    for (key, value) in input::query(query)? {
        let refused = |fault| Refusal::field(&key, Some(value.as_str().into()), fault);
        match key.as_str() {
            "flag" if state.store.flag(&value).is_some() => read.flag = Some(value),
            "flag" => {
                return Err(refused(Fault::Type("a flag here: GET /api/v1/flags lists them")));
            }
            "cause" => {
                let cause = Cause::from_word(&value);
                read.cause = Some(cause.ok_or_else(|| refused(Fault::Type(CAUSES)))?);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                let fault = Fault::Type("a number from 1 to 1000");
                read.limit = limit.ok_or_else(|| refused(fault))?;
            }
            "after" => {
                let fault = Fault::Type("the id of a record, as \"next\" gives it");
                read.after = Some(value.parse().map_err(|_| refused(fault))?);
            }
            _ => return Err(refused(Fault::Unknown("flag, cause, limit, after"))),
        }
    }
    Ok(read)
}

/// Answers with one record, in the form that is asked for.
pub(super) async fn show(
    state: &AdminState,
    parts: &Parts,
    id: &str,
) -> Result<AdminResponse, Refusal> {
    no_parameters(parts.uri.query())?;
    let unknown = |in_memory_alone| {
        let id = id.chars().take(MAX_QUOTED).collect();
        Refusal::UnknownDivergence { id, in_memory_alone }
    };
    let Ok(asked) = id.parse() else { return Err(unknown(false)) };
    let Found { record, from } = state.records.find(asked).await;
    let record = record.ok_or_else(|| unknown(from == Source::Memory))?;
    let mermaid = record.divergence.mermaid();
    let offered = if mermaid.is_some() { &[JSON, MERMAID][..] } else { &[JSON] };
    let chosen = accept::choose(&parts.headers, offered).and_then(|place| offered.get(place));
    let mut response = match (chosen, mermaid) {
        (Some(&MERMAID), Some(diagram)) => {
            body_response(StatusCode::OK, MERMAID_IN_UTF8, diagram.into())
        }
        (Some(_), _) => whole(&record, from),
        (None, Some(_)) => return Err(Refusal::NotAcceptable { offered: BOTH }),
        (None, None) => return Err(Refusal::NotAcceptable { offered: NO_TIMELINE }),
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// All that a record says, as JSON.
fn whole(record: &Record, from: Source) -> AdminResponse {
    let (id, divergence) = (record.id, &record.divergence);
    let summary = divergence.summary();
    let whole = Whole {
        row: Row::of(id, &summary, &divergence.trace_ids),
        differences: &divergence.differences,
        truncated: divergence.truncated,
        timeline: divergence.timeline.as_ref(),
        from: from.as_str(),
    };
    json_response(StatusCode::OK, &whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_named_to_whoever_writes_another() {
        let named = CAUSES.strip_prefix("one of ").unwrap();

        assert_eq!(named.split(", ").collect::<Vec<_>>(), Cause::ALL.map(Cause::as_str));
    }
}
