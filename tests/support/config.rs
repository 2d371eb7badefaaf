//! The flag that most tests are about: updates of a journey and of its segments.

use std::fmt::Display;

use super::upstream::Upstream;

/// The flag's name.
pub(crate) const JOURNEYS: &str = "journey-updates";
/// The route of a segment's status.
pub(crate) const SEGMENT: &str = "segment-status";
/// The route of the journey's own status.
pub(crate) const STATUS: &str = "journey-status";

/// The flag whose fixed path serialises, with the inside of its lease's table.
pub(crate) fn serialized_with(percent: u8, lease: &str) -> String {
    journey_flag(percent, r#"strategy = "serialize""#, lease)
}

/// The flag whose fixed path serialises.
pub(crate) fn serialized(percent: u8) -> String {
    serialized_with(percent, "")
}

/// The flag whose fixed path is a fixed version of the app.
pub(crate) fn to_fixed_app(percent: u8, app: &Upstream) -> String {
    to_fixed_app_at(percent, &app.url())
}

/// The flag whose fixed path is a fixed version of the app at a URL.
pub(crate) fn to_fixed_app_at(percent: u8, url: &str) -> String {
    journey_flag(percent, &format!(r#"strategy = "upstream", url = "{url}""#), "")
}

fn journey_flag(percent: u8, fixed: &str, lease: &str) -> String {
    format!(
        r#"
[flags.{JOURNEYS}]
entity = "journey:{{journeyId}}"
percent = {percent}
lease = {{ {lease} }}
fixed = {{ {fixed} }}

[[flags.{JOURNEYS}.routes]]
name = "{SEGMENT}"
methods = ["PUT"]
path = "/api/journeys/{{journeyId}}/segments/{{segmentId}}/status"

[[flags.{JOURNEYS}.routes]]
name = "{STATUS}"
methods = ["PUT"]
path = "/api/journeys/{{journeyId}}/status"
"#
    )
}

/// The path of a segment's status.
pub(crate) fn segment_of(journey: impl Display, segment: impl Display) -> String {
    format!("/api/journeys/{journey}/segments/{segment}/status")
}

/// The path of a journey's status.
pub(crate) fn status_of(journey: impl Display) -> String {
    format!("/api/journeys/{journey}/status")
}
