//! The endpoint about the fleet: which sidecars there are, and which of them have applied what.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::json;

use crate::fleet::FleetView;

use super::flags::no_parameters;
use super::problem::Refusal;
use super::view::{SidecarRow, rfc3339};
use super::{AdminResponse, AdminState, json_response};

/// Answers with all sidecars.
pub(super) fn read(state: &AdminState, query: Option<&str>) -> Result<AdminResponse, Refusal> {
    no_parameters(query)?;
    let fleet = state.fleet.load();
    let latest = latest_versions(&fleet);
    let rows: Vec<SidecarRow<'_>> =
        fleet.sidecars.iter().map(|sidecar| SidecarRow::of(sidecar, &latest)).collect();
    let answer = json!({"sidecars": rows, "at": rfc3339(fleet.at_ms)});
    Ok(json_response(StatusCode::OK, &answer))
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
