//! The oracle: what the documents hold in the end, against what the senders of the updates were told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::journey::{Part, key_of};
use super::redis::Redis;
use super::updates::{Knowledge, Sent};

/// The ids that a document holds, under the part whose updates they were.
#[track_caller]
pub(crate) fn logged(redis: &Redis, journey: &str) -> BTreeMap<String, Vec<String>> {
    let text = redis.get(&key_of(journey)).unwrap_or_else(|| panic!("no document of {journey}"));
    let document: Value = serde_json::from_str(&text).unwrap();
    let ids = |log: &Value| -> Vec<String> {
        let ids = log.as_array().into_iter().flatten();
        ids.map(|id| id.as_str().expect("an id").to_owned()).collect()
    };
    let mut logs = BTreeMap::from([(Part::Journey.to_string(), ids(&document["Metadata"]["Log"]))]);
    for segment in document["Segments"].as_array().expect("segments") {
        logs.insert(segment["SegmentId"].as_str().expect("an id").to_owned(), ids(&segment["Log"]));
    }
    logs
}

/// What the oracle says about updates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// How many were acknowledged.
    pub(crate) acknowledged: usize,
    /// The ids of those that were acknowledged and are not where they belong.
    pub(crate) lost: Vec<String>,
    /// The ids of those that took effect more than once.
    pub(crate) repeated: Vec<String>,
    /// The ids of those that took effect although their senders were told that nothing had happened.
    pub(crate) disowned: Vec<String>,
}

/// The oracle. To be asked when all updates were answered: an update that was acknowledged is in the log of its part,
/// once, whatever came after it. One that was refused is not. One of which nothing is known may be there.
#[track_caller]
pub(crate) fn findings<'s>(redis: &Redis, sent: impl IntoIterator<Item = &'s Sent>) -> Findings {
    let mut logs = BTreeMap::new();
    let mut findings = Findings::default();
    for update in sent {
        let journey = &update.journey;
        let log = logs.entry(journey.clone()).or_insert_with(|| logged(redis, journey));
        let times = log[&update.part.to_string()].iter().filter(|id| **id == update.id).count();
        let id = || update.id.clone();
        match update.knowledge() {
            Knowledge::Acknowledged => {
                findings.acknowledged += 1;
                findings.lost.extend((times == 0).then(id));
            }
            Knowledge::Refused => findings.disowned.extend((times > 0).then(id)),
            Knowledge::Unknown => {}
        }
        findings.repeated.extend((times > 1).then(id));
    }
    findings
}

/// The lost ones among these updates that no update without protection can have undone: an update on the same journey
/// that was under way at the same time and ran degraded, or of which nobody knows what it did until `settle` after its end.
#[track_caller]
pub(crate) fn unexplained(redis: &Redis, sent: &[Sent], settle: Duration) -> Vec<String> {
    let lost = findings(redis, sent).lost;
    let explains = |victim: &Sent, other: &Sent| {
        let later = if other.knowledge() == Knowledge::Unknown { settle } else { Duration::ZERO };
        let exposed = other.unprotected() || other.knowledge() == Knowledge::Unknown;
        let meets = other.began < victim.ended && victim.began < other.ended + later;
        exposed && meets && other.journey == victim.journey
    };
    let victims = sent.iter().filter(|update| lost.contains(&update.id));
    let unexplained = victims.filter(|victim| !sent.iter().any(|other| explains(victim, other)));
    unexplained.map(|update| update.id.clone()).collect()
}
