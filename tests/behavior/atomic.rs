//! `strategy = "atomic"`: the sidecar makes the declared edit in the store itself, and nothing else of the document changes.

use crate::support::{
    Flavor, JourneyFlag, JourneyService, Part, Redis, Reply, Response, SEGMENT, SEGMENTS, Sidecar,
    get, in_parallel, key_of, put, segment_of, set_to, status_of, store_at,
};

/// Between the app's read and its write.
const WINDOW: &str = "2ms";

/// As it is unless configured.
const STORE_TIMEOUT: &str = "50ms";

/// A document as an app writes it: in an order of its own, with numbers that a re-encoding would change.
pub(crate) fn document(status: impl Fn(usize) -> String) -> String {
    let segments: Vec<String> = (1..=SEGMENTS)
        .map(|n| {
            format!(
                "{{\"SegmentId\":\"SEG-{n}\",\"Origin\":\"OSL\",\"Destination\":\"BGO\",\"DepartureTime\":\"2030-01-01T06:00:00Z\",\
                 \"ArrivalTime\":\"2030-01-01T07:00:00Z\",\"FlightNumber\":\"XX{n}\",\"Carrier\":\"Bj\\u00f8rn & S\u{f8}nn\",\
                 \"Status\":\"{}\",\"Price\":42.50}}",
                status(n)
            )
        })
        .collect();
    format!(
        "{{\"Id\":\"A\",\"PassengerName\":\"Grace Sample\",\"PassengerEmail\":\"grace@example.org\",\"BookingDate\":\"2029-12-01T10:00:00Z\",\
         \"Status\":\"Booked\",\"TotalPrice\":850.50,\"Segments\":[{}],\"Metadata\":{{}}}}",
        segments.join(",")
    )
}

pub(crate) fn planned(_: usize) -> String {
    "Planned".to_owned()
}

/// The segments' edit is declared; the journey's own status is left to the app, unless `journey` declares it.
pub(crate) fn flag(redis: &Redis, refused: &str, journey: &str) -> String {
    let edit = r#"answer = '{"journeyId":"{journeyId}","segmentId":"{segmentId}","status":"{value}"}', missing = '{"error":"no {journeyId}"}'"#;
    let fixed = format!(r#"refused = "{refused}", max_document = "64KiB""#);
    let flag = JourneyFlag { edits: &[SEGMENT], edit, ..JourneyFlag::edited(100, &fixed) };
    // The last table is that of the journey's route.
    store_at(&redis.url(), STORE_TIMEOUT) + &flag.toml() + journey
}

/// A sidecar, or several, in front of the racy app over its Redis.
struct Stage {
    sidecars: Vec<Sidecar>,
    redis: Redis,
    _app: JourneyService,
}

impl Stage {
    fn new(flavor: Flavor, sidecars: usize, refused: &str, journey: &str) -> Self {
        let redis = Redis::start_with(flavor, &[]);
        redis.set(&key_of("A"), &document(planned));
        let app = JourneyService::start(&redis.url(), WINDOW);
        let toml = flag(&redis, refused, journey);
        let sidecars = (0..sidecars).map(|_| Sidecar::at(&app.url()).with(&toml).start()).collect();
        Self { sidecars, redis, _app: app }
    }

    fn one(refused: &str) -> Self {
        Self::new(Flavor::Redis, 1, refused, "")
    }

    fn put(&self, path: &str, body: &str) -> Response {
        self.sidecars[0].call(&put(path, body))
    }

    fn stored(&self) -> String {
        self.redis.get(&key_of("A")).unwrap()
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sidecars.iter().filter_map(|it| it.metrics().sum(name, labels)).sum()
    }

    fn refused(&self, reason: &str) -> f64 {
        self.sum("interlock_edits_refused_total", &[("reason", reason)])
    }
}

#[test]
fn an_edit_changes_its_field_and_no_other_byte_and_keeps_the_time_to_live() {
    let stage = Stage::one("serialize");
    stage.redis.command(&["PEXPIRE", "journey:A", "3600000"]);

    let answer = stage.put(
        &segment_of("A", Part::Segment(3)),
        "{ \"status\" : \"D\\u00e9part \\ud83d\\ude00\" }",
    );

    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        "{\"journeyId\":\"A\",\"segmentId\":\"SEG-3\",\"status\":\"D\\u00e9part \\ud83d\\ude00\"}"
    );
    assert_eq!(answer.headers.get("interlock-path"), Some("fixed"));
    let expected =
        document(|n| if n == 3 { "D\\u00e9part \\ud83d\\ude00".to_owned() } else { planned(n) });
    assert_eq!(stage.stored(), expected);
    let Reply::Integer(left) = stage.redis.command(&["PTTL", "journey:A"]) else {
        panic!("no time")
    };
    assert!(left > 3_000_000, "{left} ms");
    let labels = [("protection", "protected"), ("outcome", "applied"), ("path", "fixed")];
    assert_eq!(stage.sum("interlock_updates_total", &labels), 1.0);
}

#[test]
fn an_answer_with_204_has_neither_a_body_nor_a_type() {
    let journey = r#"atomic = { document = "journey:{journeyId}", pointer = "/Status", value = "body:/status", status = 204 }"#;
    let stage = Stage::new(Flavor::Redis, 1, "reject", journey);

    let answer = stage.put(&status_of("A"), &set_to("Off"));

    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    assert!(!answer.headers.has("content-type") && !answer.headers.has("content-length"));
    assert_eq!(stage.stored(), document(planned).replace("Booked", "Off"));
}

#[test]
fn where_there_is_nothing_to_edit_the_declared_answer_says_so() {
    let stage = Stage::one("serialize");

    for path in [segment_of("A", "SEG-99"), segment_of("B", Part::Segment(1))] {
        let answer = stage.put(&path, &set_to("Gone"));

        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().starts_with("{\"error\":\"no "), "{path}");
    }
    assert_eq!(stage.stored(), document(planned));
    assert_eq!(stage.redis.get("journey:B"), None);
}

/// Documents that leave a doubt, calls that do, and the reason by which they are counted.
pub(crate) fn doubts() -> Vec<(String, String, &'static str)> {
    let whole = document(planned);
    let with = |old: &str, new: &str| whole.replacen(old, new, 1);
    let put = set_to("X");
    vec![
        (with("\"Segments\":[", "\"Segments\":[],\"Segments\":["), put.clone(), "duplicate_key"),
        (with("SEG-2", "SEG-1"), put.clone(), "ambiguous_element"),
        (with("\"Status\":\"Planned\"", "\"Status\":7"), put.clone(), "wrong_type"),
        (with("\"Status\":\"Planned\",\"Price\"", "\"Price\""), put.clone(), "no_field"),
        (
            whole.replace("Metadata\":{}", &format!("Metadata\":\"{}\"", "m".repeat(65_536))),
            put.clone(),
            "too_large",
        ),
        (whole.clone() + "}", put, "malformed"),
        (whole.clone(), "{\"state\":\"X\"}".to_owned(), "no_value"),
        (whole, "{\"status\":5}".to_owned(), "wrong_type"),
    ]
}

#[test]
fn what_leaves_a_doubt_is_rejected_with_nothing_written_where_the_flag_says_so() {
    let stage = Stage::one("reject");

    for (document, body, reason) in doubts() {
        let before = stage.refused(reason);
        stage.redis.set("journey:A", &document);

        let answer = stage.put(&segment_of("A", Part::Segment(1)), &body);

        answer.assert_problem(422, "safe");
        assert!(answer.text().contains(reason), "{}", answer.text());
        assert_eq!(stage.stored(), document, "{reason}");
        assert_eq!(stage.refused(reason), before + 1.0, "{reason}");
    }
}

#[test]
fn what_leaves_a_doubt_goes_to_the_app_under_the_lease_else() {
    let stage = Stage::one("serialize");
    stage.redis.set("journey:A", &document(planned).replacen("SEG-2", "SEG-1", 1));

    let answer = stage.put(&segment_of("A", Part::Segment(1)), &set_to("Departed"));

    assert_eq!(answer.status, 200);
    assert!(stage.stored().contains("Departed"), "the app has written");
    assert_eq!(stage.refused("ambiguous_element"), 1.0);
    assert_eq!(
        stage.sidecars[0].metrics().sum("interlock_lease_hold_seconds_count", &[]),
        Some(1.0)
    );
    let bad = stage.put(&segment_of("A", Part::Segment(4)), "{\"status\":5}");
    assert_eq!(bad.status, 400, "the app says what it thinks of it");
}

#[test]
fn a_path_that_is_spelled_otherwise_is_for_the_app_to_understand() {
    let stage = Stage::one("serialize");
    let spellings = [
        "/api/journeys/B/../A/segments/SEG-1/status",
        "/api/journeys/A/segments/SEG-1/x/%2e%2e/status",
        "/api//journeys/A/segments/SEG-1/status",
        "/api/journeys/A/segments/SEG-1/status/",
        "/API/journeys/A/segments/SEG-1/status",
    ];

    for path in spellings {
        assert_eq!(
            stage.put(path, &set_to("Slipped")).status,
            404,
            "{path}: the app knows no such path"
        );
    }

    assert_eq!(stage.stored(), document(planned));
    assert_eq!(stage.refused("spelling"), spellings.len() as f64);
    assert_eq!(
        stage.put("/api/journeys/%41/segments/SEG%2D1/status", &set_to("Meant")).status,
        200
    );
    assert!(stage.stored().contains("Meant"), "an encoded letter is no other spelling");
}

#[test]
fn a_call_with_a_precondition_is_for_the_app_to_judge() {
    let stage = Stage::one("reject");
    let (path, body) = (segment_of("A", Part::Segment(1)), set_to("Unseen"));
    let length = body.len();
    let conditions = [
        ("If-Match", "\"7\""),
        ("If-None-Match", "*"),
        ("If-Unmodified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("Content-Range", "bytes 0-4/9"),
    ];

    for (name, value) in conditions {
        let call = format!(
            "PUT {path} HTTP/1.1\r\nHost: app.test\r\n{name}: {value}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let answer = stage.sidecars[0].call(call.as_bytes());

        answer.assert_problem(422, "safe");
        assert!(answer.text().contains("conditional"), "{name}: {}", answer.text());
    }

    assert_eq!(stage.stored(), document(planned));
    assert_eq!(stage.refused("conditional"), 4.0);
}

#[test]
fn a_document_that_is_no_string_is_refused() {
    let stage = Stage::one("reject");
    stage.redis.command(&["DEL", "journey:A"]);
    stage.redis.command(&["HSET", "journey:A", "data", "{}"]);

    stage.put(&segment_of("A", Part::Segment(1)), &set_to("X")).assert_problem(422, "safe");

    assert_eq!(stage.refused("document_type"), 1.0);
}

#[test]
fn several_edits_are_made_together_or_not_at_all() {
    let journey = "atomic = { document = \"journey:{journeyId}\", edits = [{ pointer = \"/Status\", value = \"body:/status\" }, \
                   { pointer = \"/TotalPrice\", value = \"query:price\" }, { pointer = \"/Segments/[SegmentId=SEG-2]/Status\", value = \"body:/status\" }] }"
        .replace("[SegmentId=SEG-2]", "1");
    let stage = Stage::new(Flavor::Redis, 1, "reject", &journey);

    let made = stage.put(&(status_of("A") + "?price=900.10"), &set_to("Off"));
    let half = stage.put(&(status_of("A") + "?price=much"), &set_to("On"));

    assert_eq!(made.status, 200);
    half.assert_problem(422, "safe");
    let expected = document(|n| if n == 2 { "Off".to_owned() } else { planned(n) });
    let expected =
        expected.replace("\"Booked\",\"TotalPrice\":850.50", "\"Off\",\"TotalPrice\":900.10");
    assert_eq!(stage.stored(), expected);
}

#[test]
fn reads_pass_and_an_edit_is_what_they_show() {
    let stage = Stage::one("serialize");
    stage.put(&segment_of("A", Part::Segment(2)), &set_to("Boarding"));

    let read = stage.sidecars[0].call(&get("/api/journeys/A")).json();

    assert_eq!(read["segments"][1]["status"], "Boarding");
}

/// Twelve writers, each with segments of its own, over all sidecars; meanwhile somebody updates the journey's own status, which the
/// app does, under the lease.
fn race(flavor: Flavor, with_app: bool) {
    const WRITERS: usize = 12;
    const EACH: usize = 250;
    let stage = Stage::new(flavor, 3, "reject", "");

    let acknowledged = in_parallel(WRITERS + usize::from(with_app), |writer| {
        let mut caller = stage.sidecars[writer % 3].client();
        if writer == WRITERS {
            let updates = 60;
            for n in 0..updates {
                assert_eq!(
                    caller.call(&put(&status_of("A"), &set_to(&format!("J{n}")))).status,
                    200
                );
            }
            return updates;
        }
        let own: Vec<usize> = (1..=SEGMENTS).filter(|n| n % WRITERS == writer).collect();
        for n in 0..EACH {
            let segment = Part::Segment(own[n % own.len()]);
            let answer =
                caller.call(&put(&segment_of("A", segment), &set_to(&format!("{writer}-{n}"))));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        EACH
    });

    let last = |segment: usize| {
        let writer = segment % WRITERS;
        let own: Vec<usize> = (1..=SEGMENTS).filter(|n| n % WRITERS == writer).collect();
        let n = (0..EACH).rev().find(|n| own[n % own.len()] == segment).unwrap();
        format!("{writer}-{n}")
    };
    if with_app {
        let stored: serde_json::Value = serde_json::from_str(&stage.stored()).unwrap();
        assert_eq!(stored["Status"], "J59");
        for segment in 1..=SEGMENTS {
            assert_eq!(stored["Segments"][segment - 1]["Status"], last(segment), "SEG-{segment}");
        }
        assert!(stage.sum("interlock_edits_queued_total", &[("reason", "lease_held")]) > 0.0);
    } else {
        assert_eq!(stage.stored(), document(last));
    }
    let applied = [("outcome", "applied"), ("protection", "protected")];
    let total: usize = acknowledged.into_iter().sum();
    assert_eq!(stage.sum("interlock_updates_total", &applied), total as f64);
}

#[test]
fn three_thousand_updates_of_one_document_by_twelve_writers_are_all_there_on_redis() {
    race(Flavor::Redis, false);
}

#[test]
fn three_thousand_updates_of_one_document_by_twelve_writers_are_all_there_on_valkey() {
    race(Flavor::Valkey, false);
}

#[test]
fn calls_of_the_app_under_the_lease_in_between_lose_nothing_and_undo_nothing() {
    race(Flavor::Redis, true);
}

#[test]
fn writers_of_one_field_take_turns_and_all_are_answered() {
    let stage = Stage::new(Flavor::Redis, 3, "reject", "");

    let answers = in_parallel(24, |writer| {
        let mut caller = stage.sidecars[writer % 3].client();
        (0..40)
            .map(|n| {
                caller
                    .call(&put(
                        &segment_of("A", Part::Segment(1)),
                        &set_to(&format!("{writer}-{n}")),
                    ))
                    .status
            })
            .collect::<Vec<_>>()
    });

    assert!(answers.iter().flatten().all(|status| *status == 200));
    assert_eq!(stage.sum("interlock_updates_total", &[("outcome", "applied")]), 960.0);
    let stored: serde_json::Value = serde_json::from_str(&stage.stored()).unwrap();
    assert!(stored["Segments"][0]["Status"].as_str().unwrap().ends_with("-39"));
}
