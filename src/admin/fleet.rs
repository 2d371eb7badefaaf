//! The endpoint about the fleet: which sidecars there are, and which of them have applied what.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::json;

use crate::domain::decision::Freshness;
use crate::domain::transition::SILENT_AFTER_MS;
use crate::fleet::FleetView;
use crate::store::StoreChangeError;

use super::audit::Audit;
use super::flags::no_parameters;
use super::input;
use super::problem::Refusal;
use super::view::{SidecarRow, rfc3339};
use super::{AdminResponse, AdminState, Changes, json_response};

/// Answers with all sidecars.
pub(super) fn read(state: &AdminState, query: Option<&str>) -> Result<AdminResponse, Refusal> {
    no_parameters(query)?;
    Ok(shown(&state.fleet.load()))
}

fn shown(fleet: &FleetView) -> AdminResponse {
    let latest = latest_versions(fleet);
    let rows: Vec<SidecarRow<'_>> =
        fleet.sidecars.iter().map(|sidecar| SidecarRow::of(sidecar, &latest)).collect();
    // Before the store was reached first there is no picture.
    let at = (fleet.at_ms > 0).then(|| rfc3339(fleet.at_ms));
    let answer = json!({"sidecars": rows, "at": at});
    json_response(StatusCode::OK, &answer)
}

/// Takes a silent sidecar off the register, as an operator knows that it is gone, and that nothing of it can write any more.
/// Answers with all that are left.
pub(super) async fn forget(
    state: &AdminState,
    audit: &Audit,
    id: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<AdminResponse, Refusal> {
    no_parameters(query)?;
    let reason = input::reason(body)?;
    let unknown = || Refusal::UnknownSidecar { id: id.to_owned() };
    let Changes::Fleet(flags) = &state.changes else { return Err(unknown()) };
    if state.store.snapshot().freshness != Freshness::Live {
        // Who is silent is not known either.
        let error = StoreChangeError::StoreUnreachable("it was not heard of lately".into());
        return Err(Refusal::StoreUnavailable(error));
    }
    let known = state.fleet.load_full();
    let sidecar = known.sidecars.iter().find(|sidecar| sidecar.id == id).ok_or_else(unknown)?;
    let silent_ms = sidecar.silent_ms;
    if silent_ms <= SILENT_AFTER_MS {
        return Err(Refusal::NotSilent { id: id.to_owned(), silent_ms });
    }
    flags.forget(id).await.map_err(Refusal::StoreUnavailable)?;
    audit.forgot(id, &reason);
    let mut left = (*known).clone();
    left.sidecars.retain(|sidecar| sidecar.id != id);
    Ok(shown(&left))
}

/// The latest version of each flag that any sidecar has applied.
fn latest_versions(fleet: &FleetView) -> BTreeMap<&str, u64> {
    let mut latest = BTreeMap::new();
    for (flag, version) in fleet.sidecars.iter().flat_map(|sidecar| &sidecar.flags) {
        let known: &mut u64 = latest.entry(flag.as_str()).or_default();
        *known = (*known).max(*version);
    }
    latest
}
