//! Answers that are read as a candidate's, and such as are none.

use http::header::ETAG;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1000;

/// What an answer came to: its status, its body, and whether its connection may be used again.
type Outcome = Result<(u16, Vec<u8>, bool), CandidateError>;

/// Reads an answer in pieces of that length; the connection is closed after it.
fn read(bytes: &[u8], step: usize, asked_for_head: bool) -> Outcome {
    let (rules, memory) = (Rules::default(), BodyMemory::new(10 * LIMIT));
    let capturing = Capturing { rules: &rules, memory: &memory, limit: LIMIT };
    let mut arriving = Arriving::new(capturing, asked_for_head);
    let of = |answer: Captured, keeps| {
        let whole = answer.body().into_owned();
        (answer.answer(&Default::default(), &[]).status, whole, keeps)
    };
    for (number, data) in bytes.chunks(step).enumerate() {
        if arriving.take(data)? == Progress::Whole {
            let all = (number + 1) * step >= bytes.len();
            let keeps = arriving.keeps && all;
            return Ok(of(arriving.into_answer()?, keeps));
        }
    }
    Ok(of(arriving.close()?, false))
}

fn check(text: &str, status: u16, body: &str, keeps: bool) {
    for step in 1..=text.len() {
        let (s, b, k) = read(text.as_bytes(), step, false).unwrap();
        assert_eq!((s, b.as_slice(), k), (status, body.as_bytes(), keeps), "{text:?} by {step}");
    }
}

#[test]
fn answers_are_read_in_whatever_pieces_they_come() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true);
    check("HTTP/1.1 201 \r\ncontent-LENGTH:0\r\n\r\n", 201, "", true);
    check("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true);
    check("HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", 304, "", true);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    check(chunked, 200, "hello", true);
    check("HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", false);
    check(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 404 x\r\nContent-Length: 1\r\n\r\nx",
        404,
        "x",
        true,
    );
}

#[test]
fn a_connection_that_is_not_to_be_trusted_is_not_used_again() {
    let closes = "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\nx";
    check(closes, 200, "x", false);
    check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false);
    let both =
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(both, 200, "", false);
    let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n";
    check(surplus, 200, "x", false);
}

#[test]
fn an_answer_to_head_has_no_body_whatever_it_says() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

    assert!(read(answer, 100, false).is_err());
    assert_eq!(read(answer, 100, true).unwrap(), (200, Vec::new(), true));
}

#[test]
fn what_is_no_whole_answer_is_none() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "garbage\r\n\r\n",
        "HTTP/1.1 two\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
    ] {
        for step in [1, 7, 1000] {
            assert!(read(text.as_bytes(), step, false).is_err(), "{text:?}");
        }
    }
}

#[test]
fn heads_and_bodies_without_end_are_cut_off_at_their_bounds() {
    let interim = "HTTP/1.1 103 x\r\nLink: </x>\r\n\r\n".repeat(MAX_HEADS / 20);
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_HEADS));
    for heads in [interim, endless] {
        let error = read(heads.as_bytes(), 4096, false).unwrap_err();
        assert!(matches!(error, CandidateError::EndlessHead { .. }), "{error}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS + 1));
    assert!(read(many.as_bytes(), 4096, false).is_err());
    let body = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(LIMIT + 1));
    assert!(matches!(read(body.as_bytes(), 64, false), Err(CandidateError::Capture(_))));
}

#[test]
fn fields_that_are_compared_are_kept_by_whatever_spelling_of_their_name() {
    let rules = Rules { headers: vec![ETAG], ..Rules::default() };
    let memory = BodyMemory::new(LIMIT);
    let capturing = Capturing { rules: &rules, memory: &memory, limit: LIMIT };
    let mut arriving = Arriving::new(capturing, false);

    let head = b"HTTP/1.1 204 x\r\nX: y\r\nETAG: 1\r\netag: 2\r\nContent-Type: a/b\r\n\r\n";
    assert_eq!(arriving.take(head).unwrap(), Progress::Whole);
    let kept = arriving.into_answer().unwrap().headers();

    assert_eq!(kept.get_all(ETAG).iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((kept.len(), &kept["content-type"] == "a/b"), (3, true));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_find_more_than_there_is(
        tail in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n')], 0..300),
        head in prop_oneof![Just(""), Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")],
        step in 1..100usize,
    ) {
        let bytes = [head.as_bytes(), &tail].concat();
        if let Ok((_, body, _)) = read(&bytes, step, false) {
            prop_assert!(body.len() <= bytes.len());
        }
    }

    #[test]
    fn how_an_answer_is_cut_into_pieces_makes_no_difference(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n')], 0..100),
        step in 1..20usize,
    ) {
        let bytes = [b"HTTP/1.1 200 OK\r\n".as_slice(), &bytes].concat();
        let whole = read(&bytes, bytes.len(), false).map(|(status, body, _)| (status, body));
        let cut = read(&bytes, step, false).map(|(status, body, _)| (status, body));

        prop_assert_eq!(whole.is_ok(), cut.is_ok());
        if let (Ok(whole), Ok(cut)) = (whole, cut) {
            prop_assert_eq!(whole, cut);
        }
    }
}
