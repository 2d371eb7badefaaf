//! A journey as it is stored: one JSON document with its segments inside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// The most ids that one part of a document keeps in its `Log`: the whole document travels with every update.
pub const MAX_LOG_ENTRIES: usize = 10_000;

/// How many segments a seeded journey has.
pub const SEGMENTS: usize = 20;

/// The key under which a journey is stored.
pub fn key(journey: &str) -> String {
    format!("journey:{journey}")
}

/// The document. Prices keep the text that they were written with: 850.50 stays 850.50.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Journey {
    /// The journey's id, without the key's prefix.
    pub id: String,
    /// Who travels.
    pub passenger_name: String,
    /// How to reach them.
    pub passenger_email: String,
    /// ISO 8601, UTC.
    pub booking_date: String,
    /// The journey's own status.
    pub status: String,
    /// A decimal number.
    pub total_price: Box<RawValue>,
    /// The legs.
    pub segments: Vec<Segment>,
    /// Anything; with the update log on, `Log` holds the ids of the updates to the journey's own status.
    #[serde(default)]
    pub metadata: BTreeMap<String, Box<RawValue>>,
}

/// One leg of a journey.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Segment {
    /// Unique within the journey.
    pub segment_id: String,
    /// An airport's code.
    pub origin: String,
    /// An airport's code.
    pub destination: String,
    /// ISO 8601, UTC.
    pub departure_time: String,
    /// ISO 8601, UTC.
    pub arrival_time: String,
    /// The carrier's number of it.
    pub flight_number: String,
    /// Who flies.
    pub carrier: String,
    /// The segment's status.
    pub status: String,
    /// A decimal number.
    pub price: Box<RawValue>,
    /// With the update log on: the ids of the updates to this segment, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// The part of a document that an update changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The journey's own status.
    Journey,
    /// The status of the segment with this id.
    Segment(String),
}

/// Why a document was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The journey has no such segment.
    #[error("no such segment")]
    NoSegment,
    /// The part's log holds [`MAX_LOG_ENTRIES`] ids: another one could not be found again.
    #[error("the update log of this part is full")]
    LogFull,
    /// `Metadata.Log` holds something else than a list of ids.
    #[error("the update log is no list of strings")]
    BadLog,
}

impl Journey {
    /// Sets the status of one part and, where an id is given, appends it to the part's log.
    pub fn set_status(
        &mut self,
        part: &Part,
        status: &str,
        log_id: Option<&str>,
    ) -> Result<(), ChangeError> {
        match part {
            Part::Journey => {
                if let Some(id) = log_id {
                    let mut log = self.log()?;
                    append(&mut log, id)?;
                    let log = to_raw_value(&log).map_err(|_| ChangeError::BadLog)?;
                    self.metadata.insert("Log".to_owned(), log);
                }
                self.status = status.to_owned();
            }
            Part::Segment(id) => {
                let segment = self.segments.iter_mut().find(|s| s.segment_id == *id);
                let segment = segment.ok_or(ChangeError::NoSegment)?;
                if let Some(id) = log_id {
                    append(&mut segment.log, id)?;
                }
                segment.status = status.to_owned();
            }
        }
        Ok(())
    }

    /// The status of one part; `None` when there is no such segment.
    pub fn status_of(&self, part: &Part) -> Option<&str> {
        match part {
            Part::Journey => Some(&self.status),
            Part::Segment(id) => {
                self.segments.iter().find(|s| s.segment_id == *id).map(|s| s.status.as_str())
            }
        }
    }

    /// The ids of the updates to the journey's own status, oldest first.
    pub fn log(&self) -> Result<Vec<String>, ChangeError> {
        match self.metadata.get("Log") {
            Some(log) => serde_json::from_str(log.get()).map_err(|_| ChangeError::BadLog),
            None => Ok(Vec::new()),
        }
    }
}

fn append(log: &mut Vec<String>, id: &str) -> Result<(), ChangeError> {
    if log.len() >= MAX_LOG_ENTRIES {
        return Err(ChangeError::LogFull);
    }
    log.push(id.to_owned());
    Ok(())
}

/// The stored document turned into what clients get: the same, in camelCase.
pub fn to_client_json(document: &str) -> Result<String, serde_json::Error> {
    serde_json::to_string(&serde_json::from_str::<JourneyView<'_>>(document)?)
}

/// [`Journey`] on its way out. Read from the stored text, so that numbers pass as they are.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
struct JourneyView<'d> {
    id: String,
    passenger_name: String,
    passenger_email: String,
    booking_date: String,
    status: String,
    #[serde(borrow)]
    total_price: &'d RawValue,
    #[serde(borrow)]
    segments: Vec<SegmentView<'d>>,
    #[serde(borrow, default)]
    metadata: BTreeMap<String, &'d RawValue>,
}

/// [`Segment`] on its way out.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"))]
struct SegmentView<'d> {
    segment_id: String,
    origin: String,
    destination: String,
    departure_time: String,
    arrival_time: String,
    flight_number: String,
    carrier: String,
    status: String,
    #[serde(borrow)]
    price: &'d RawValue,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
}

/// The id of the `index`-th segment of a seeded journey, counted from 0: `S01` and so on.
pub fn segment_id(index: usize) -> String {
    format!("S{:02}", index + 1)
}

/// A new document, as text: nineteen segments of 42.50 and one of 43.00 make 850.50.
pub fn seeded(id: &str) -> String {
    const AIRPORTS: [&str; 5] = ["VIE", "ZRH", "AMS", "CPH", "HEL"];
    let segments: Vec<String> = (0..SEGMENTS)
        .map(|index| {
            let [from, to] = [index, index + 1].map(|at| AIRPORTS[at % AIRPORTS.len()]);
            let day = index + 1;
            let price = if index == 0 { "43.00" } else { "42.50" };
            format!(
                r#"{{"SegmentId":"{}","Origin":"{from}","Destination":"{to}","DepartureTime":"2027-05-{day:02}T08:00:00Z","ArrivalTime":"2027-05-{day:02}T10:15:00Z","FlightNumber":"IL{}","Carrier":"Interlock Air","Status":"Scheduled","Price":{price}}}"#,
                segment_id(index),
                100 + index,
            )
        })
        .collect();
    let id = serde_json::Value::from(id);
    format!(
        r#"{{"Id":{id},"PassengerName":"Ada Example","PassengerEmail":"ada@example.com","BookingDate":"2027-04-01T12:00:00Z","Status":"Booked","TotalPrice":850.50,"Segments":[{}],"Metadata":{{"Source":"demo"}}}}"#,
        segments.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journey() -> Journey {
        serde_json::from_str(&seeded("J1")).unwrap()
    }

    #[test]
    fn a_document_comes_back_byte_for_byte() {
        let text = seeded("J1");

        let journey: Journey = serde_json::from_str(&text).unwrap();

        assert_eq!(serde_json::to_string(&journey).unwrap(), text);
        assert!(text.contains(r#""TotalPrice":850.50"#));
    }

    #[test]
    fn clients_see_camel_case_and_the_same_numbers() {
        let answer = to_client_json(&seeded("J1")).unwrap();

        assert!(answer.starts_with(r#"{"id":"J1","passengerName":"#), "{answer}");
        assert!(answer.contains(r#""totalPrice":850.50"#), "{answer}");
        assert!(answer.contains(r#""segmentId":"S01""#) && answer.contains(r#""price":43.00"#));
        assert!(answer.ends_with(r#""metadata":{"Source":"demo"}}"#), "{answer}");
    }

    #[test]
    fn a_change_touches_its_part_alone() {
        let mut changed = journey();

        changed.set_status(&Part::Segment("S07".into()), "Departed", None).unwrap();

        let before = seeded("J1");
        let expected = before.replacen(
            r#""FlightNumber":"IL106","Carrier":"Interlock Air","Status":"Scheduled""#,
            r#""FlightNumber":"IL106","Carrier":"Interlock Air","Status":"Departed""#,
            1,
        );
        assert_ne!(expected, before);
        assert_eq!(serde_json::to_string(&changed).unwrap(), expected);
    }

    #[test]
    fn a_segment_that_is_not_there_changes_nothing() {
        let mut unchanged = journey();

        let result = unchanged.set_status(&Part::Segment("S99".into()), "Departed", Some("1"));

        assert_eq!(result, Err(ChangeError::NoSegment));
        assert_eq!(serde_json::to_string(&unchanged).unwrap(), seeded("J1"));
    }

    #[test]
    fn the_log_lies_in_the_part_that_was_changed() {
        let mut logged = journey();

        logged.set_status(&Part::Journey, "Active", Some("a")).unwrap();
        logged.set_status(&Part::Journey, "Done", Some("b")).unwrap();
        logged.set_status(&Part::Segment("S02".into()), "Departed", Some("c")).unwrap();

        assert_eq!(logged.log().unwrap(), ["a", "b"]);
        assert_eq!(logged.segments[1].log, ["c"]);
        assert!(logged.segments[0].log.is_empty());
    }

    #[test]
    fn a_full_log_refuses_the_update_instead_of_forgetting_it() {
        let mut full = journey();
        full.segments[0].log = vec!["x".to_owned(); MAX_LOG_ENTRIES];

        let result = full.set_status(&Part::Segment("S01".into()), "Departed", Some("y"));

        assert_eq!(result, Err(ChangeError::LogFull));
        assert_eq!(full.status_of(&Part::Segment("S01".into())), Some("Scheduled"));
    }
}
