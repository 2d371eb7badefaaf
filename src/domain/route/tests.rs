//! Which calls a route is about, and how their paths may be spelled.

use super::*;
use proptest::prelude::*;

#[test]
fn a_filled_path_is_one_that_the_template_matches_with_the_same_values() {
    let template: PathTemplate = "/api/a b/{id}/x/{n}".parse().unwrap();
    let values = |name: &str| Some(if name == "id" { "J/1 ?%ü" } else { "7" });

    let path = template.fill(values).unwrap();

    assert_eq!(path, "/api/a%20b/J%2F1%20%3F%25%C3%BC/x/7");
    let captures = template.captures(&PathSegments::of(&path)).unwrap();
    assert_eq!(captures.as_slice(), ["J/1 ?%ü", "7"]);
    assert_eq!(template.fill(|_| None), None);
}

fn router(paths: &[&str]) -> Router {
    Router::new(
        paths
            .iter()
            .map(|path| RouteSpec { methods: vec![Method::PUT], path: path.parse().unwrap() })
            .collect(),
    )
}

fn found(router: &Router, path: &str) -> Option<(usize, Vec<String>)> {
    let (index, captures) = router.find(&Method::PUT, path)?;
    Some((index, captures.into_iter().map(Cow::into_owned).collect()))
}

#[test]
fn a_route_takes_its_method_and_path_only() {
    let router = router(&["/api/journeys/{journeyId}/status"]);

    assert_eq!(found(&router, "/api/journeys/7/status"), Some((0, vec!["7".into()])));
    assert_eq!(router.find(&Method::GET, "/api/journeys/7/status"), None);
    for path in
        ["/", "*", "/api/journeys/7", "/api/journeys/7/status/x", "/x/api/journeys/7/status"]
    {
        assert_eq!(found(&router, path), None, "{path}");
    }
}

#[test]
fn no_other_spelling_slips_past_a_route() {
    let router = router(&["/api/journeys/{journeyId}/status"]);

    for path in [
        "/api//journeys/7/status",
        "//api/journeys/7/status/",
        "/api/./journeys/7/status",
        "/api/x/../journeys/7/status",
        "/../api/journeys/7/status",
        "/api/%6aourneys/7/statu%73",
        "/api/journeys/%37/status",
        "/api/%2e/journeys/7/%2E%2e/7/status",
        "/API/Journeys/7/STATUS",
    ] {
        assert_eq!(found(&router, path), Some((0, vec!["7".into()])), "{path}");
    }
}

#[test]
fn a_path_is_spelled_as_its_template_or_otherwise() {
    let template: PathTemplate = "/api/journeys/{journeyId}/status".parse().unwrap();

    for path in ["/api/journeys/7/status", "/%61pi/journeys/%37%20..%C3%BC/status"] {
        assert!(template.is_spelled(path), "{path}");
    }
    for path in [
        "/api//journeys/7/status",
        "//api/journeys/7/status",
        "/api/journeys/7/status/",
        "/api/journeys/7",
        "/API/journeys/7/status",
        "/api/journeys/8/../7/status",
        "/x/../api/journeys/7/status",
        "/api/journeys/%2e%2e/status",
        "/api/journeys/./status",
        "/api/journeys//status",
        "/api/journeys/7%2F8/status",
        "/api/journeys/%FF/status",
        "*",
    ] {
        assert!(!template.is_spelled(path), "{path}");
    }
}

#[test]
fn an_encoded_slash_stays_inside_its_segment_and_decoding_happens_once() {
    let router = router(&["/api/journeys/{journeyId}/status"]);

    assert_eq!(found(&router, "/api/journeys/a%2Fb/status"), Some((0, vec!["a/b".into()])));
    assert_eq!(found(&router, "/api/journeys/%2537/status"), Some((0, vec!["%37".into()])));
}

#[test]
fn the_more_specific_route_wins_whatever_the_order() {
    for paths in [["/a/{x}", "/a/all"], ["/a/all", "/a/{x}"]] {
        let router = router(&paths);
        let all = paths.iter().position(|path| *path == "/a/all").unwrap();

        assert_eq!(found(&router, "/a/all").unwrap().0, all);
        assert_eq!(found(&router, "/a/7").unwrap().0, 1 - all);
    }
}

#[test]
fn refuses_what_is_no_template() {
    let check = |text: &str, why: PathTemplateError| {
        assert_eq!(text.parse::<PathTemplate>(), Err(why), "{text}");
    };

    check("api", PathTemplateError::NoLeadingSlash);
    check("/", PathTemplateError::DeadSegment);
    check("/a//b", PathTemplateError::DeadSegment);
    check("/a/../b", PathTemplateError::DeadSegment);
    check("/a?b", PathTemplateError::NotAPath);
    check("/a/{id}.json", PathTemplateError::BadPlaceholder { segment: "{id}.json".into() });
    check("/{a}/{a}", PathTemplateError::Repeated { name: "a".into() });
}

#[test]
fn a_template_reads_back_as_it_is_shown() {
    for text in ["/a%2Fb/{id}", "/a%25%3F%23%7Bx%7D/{id}", "/caf%C3%A9/b"] {
        let template: PathTemplate = text.parse().unwrap();

        assert_eq!(template.to_string().parse::<PathTemplate>().unwrap(), template, "{text}");
    }
}

proptest! {
    #[test]
    fn encoding_any_byte_of_a_path_changes_nothing(
        id in "[A-Za-z0-9_-]{1,12}", encode in proptest::collection::vec(any::<bool>(), 40)
    ) {
        let router = router(&["/api/journeys/{journeyId}/status"]);
        let plain = format!("/api/journeys/{id}/status");
        let spelled: String = plain
            .bytes()
            .zip(encode.into_iter().chain(std::iter::repeat(false)))
            .map(|(b, encode)| match b {
                b'/' => "/".to_owned(),
                _ if encode => format!("%{b:02X}"),
                _ => char::from(b).to_string(),
            })
            .collect();

        prop_assert_eq!(found(&router, &spelled), found(&router, &plain));
    }

    #[test]
    fn no_path_panics(path in ".*") {
        found(&router(&["/{a}/b/{c}"]), &path);
    }
}
