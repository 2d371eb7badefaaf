//! The flag that most tests are about: updates of a journey and of its segments.

use std::fmt::Display;

use serde_json::json;

use super::upstream::Upstream;

/// The flag's name.
pub(crate) const JOURNEYS: &str = "journey-updates";
/// The route of a segment's status.
pub(crate) const SEGMENT: &str = "segment-status";
/// The route of the journey's own status.
pub(crate) const STATUS: &str = "journey-status";

/// The flag, in the making.
#[derive(Clone, Debug)]
pub(crate) struct JourneyFlag {
    /// Its percentage at the start.
    pub(crate) percent: u8,
    /// The inside of the table `fixed`.
    pub(crate) fixed: String,
    /// The inside of the table `lease`.
    pub(crate) lease: String,
    /// More lines of the flag's table.
    pub(crate) more: String,
    /// The routes that declare an edit of the journey's document.
    pub(crate) edits: &'static [&'static str],
    /// More of the inside of their tables `atomic`.
    pub(crate) edit: &'static str,
    /// The inside of the table `verify`, beside what is read, where the flag is verified.
    pub(crate) verify: Option<String>,
}

impl JourneyFlag {
    /// One whose fixed path serialises.
    pub(crate) fn serialized(percent: u8) -> Self {
        let (lease, more) = Default::default();
        let fixed = r#"strategy = "serialize""#.to_owned();
        Self { percent, fixed, lease, more, edits: &[], edit: "", verify: None }
    }

    /// One whose fixed path edits the document: both routes declare it. Beside the strategy `fixed` is inside of that table.
    pub(crate) fn edited(percent: u8, fixed: &str) -> Self {
        let fixed = format!(r#"strategy = "atomic", {fixed}"#);
        Self { fixed, edits: &[SEGMENT, STATUS], ..Self::serialized(percent) }
    }

    /// The same, with every entity verified once it was quiet for a moment.
    pub(crate) fn verified(self) -> Self {
        Self { verify: Some("settle = \"400ms\"\nmax_reads = 1000".to_owned()), ..self }
    }

    /// As a part of a configuration.
    pub(crate) fn toml(&self) -> String {
        let Self { percent, fixed, lease, more, edits, edit, verify } = self;
        let declared = if edit.is_empty() { String::new() } else { format!(", {edit}") };
        let edit = |route: &str, pointer: &str| match edits.contains(&route) {
            true => format!(
                r#"atomic = {{ document = "journey:{{journeyId}}", pointer = "{pointer}", value = "body:/status"{declared} }}"#
            ),
            false => String::new(),
        };
        let edit_of_segment = edit(SEGMENT, "/Segments/[SegmentId={segmentId}]/Status");
        let edit_of_journey = edit(STATUS, "/Status");
        let effect = |pointer: &str| match verify {
            Some(_) => format!(r#"effect = {{ pointer = "{pointer}", value = "body:/status" }}"#),
            None => String::new(),
        };
        let of_segment = effect("/segments/[segmentId={segmentId}]/status");
        let of_journey = effect("/status");
        let verify = verify.as_ref().map_or(String::new(), |verify| {
            format!(
                r#"
[flags.{JOURNEYS}.verify]
read = "/api/journeys/{{journeyId}}"
{verify}
"#
            )
        });
        format!(
            r#"
[flags.{JOURNEYS}]
entity = "journey:{{journeyId}}"
percent = {percent}
lease = {{ {lease} }}
fixed = {{ {fixed} }}
{more}

[[flags.{JOURNEYS}.routes]]
name = "{SEGMENT}"
methods = ["PUT"]
path = "/api/journeys/{{journeyId}}/segments/{{segmentId}}/status"
{of_segment}
{edit_of_segment}

[[flags.{JOURNEYS}.routes]]
name = "{STATUS}"
methods = ["PUT"]
path = "/api/journeys/{{journeyId}}/status"
{of_journey}
{edit_of_journey}
{verify}
"#
        )
    }
}

/// The flag whose fixed path serialises, with the inside of its lease's table.
pub(crate) fn serialized_with(percent: u8, lease: &str) -> String {
    JourneyFlag { lease: lease.to_owned(), ..JourneyFlag::serialized(percent) }.toml()
}

/// The flag whose fixed path serialises.
pub(crate) fn serialized(percent: u8) -> String {
    JourneyFlag::serialized(percent).toml()
}

/// The flag whose fixed path is a fixed version of the app.
pub(crate) fn to_fixed_app(percent: u8, app: &Upstream) -> String {
    to_fixed_app_at(percent, &app.url())
}

/// The flag whose fixed path is a fixed version of the app at a URL.
pub(crate) fn to_fixed_app_at(percent: u8, url: &str) -> String {
    let fixed = format!(r#"strategy = "upstream", url = "{url}""#);
    JourneyFlag { fixed, ..JourneyFlag::serialized(percent) }.toml()
}

/// The store's part of a configuration, with how long a command may take.
pub(crate) fn store_at(url: &str, timeout: &str) -> String {
    format!("[store]\nurl = \"{url}\"\ntimeout = \"{timeout}\"\n")
}

/// The body that sets a status.
pub(crate) fn set_to(status: &str) -> String {
    json!({ "status": status }).to_string()
}

/// The path of a segment's status.
pub(crate) fn segment_of(journey: impl Display, segment: impl Display) -> String {
    format!("/api/journeys/{journey}/segments/{segment}/status")
}

/// The path of a journey's status.
pub(crate) fn status_of(journey: impl Display) -> String {
    format!("/api/journeys/{journey}/status")
}
