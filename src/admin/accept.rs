//! `Accept`: which of the forms that there are a caller wants, by RFC 9110 section 12.5.1.

use http::header::{self, HeaderMap};

/// The most ranges of a header that are looked at; what stands further behind counts for nothing.
const MAX_RANGES: usize = 32;

/// How much a caller wants something, in thousandths, and how exactly it is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    quality: u16,
    exactness: u8,
}

/// The place of what a caller wants most among the media types that are offered, of equal ones the first that is named most
/// exactly. `None` where nothing will do. Without the header anything does; what can't be read in it counts for nothing.
pub(super) fn choose(headers: &HeaderMap, offered: &[&str]) -> Option<usize> {
    let mut lines = headers.get_all(header::ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return (!offered.is_empty()).then_some(0);
    }
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    let ranges: Vec<Range<'_>> =
        lines.iter().flat_map(|line| line.split(',')).take(MAX_RANGES).filter_map(range).collect();
    let wishes = offered.iter().map(|media_type| wish(&ranges, media_type));
    let wanted = wishes.enumerate().filter(|(_, wish)| wish.quality > 0);
    // Of equal ones `max_by_key` takes the last.
    wanted.rev().max_by_key(|(_, wish)| *wish).map(|(place, _)| place)
}

/// A media range and its quality.
struct Range<'h> {
    kind: &'h str,
    subtype: &'h str,
    quality: u16,
}

/// What the most exact range says of a media type.
fn wish(ranges: &[Range<'_>], media_type: &str) -> Wish {
    let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
    let says = |range: &Range<'_>| {
        let exactness = match (range.kind, range.subtype) {
            ("*", "*") => 0,
            (of, "*") if of.eq_ignore_ascii_case(kind) => 1,
            (of, exact) if of.eq_ignore_ascii_case(kind) && exact.eq_ignore_ascii_case(subtype) => {
                2
            }
            _ => return None,
        };
        Some((exactness, range.quality))
    };
    let most_exact = ranges.iter().filter_map(says).max();
    let (exactness, quality) = most_exact.unwrap_or_default();
    Wish { quality, exactness }
}

/// Reads `type/subtype;parameter=…;q=0.5`. Parameters other than `q` are passed over: what is here has none to tell apart.
fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let mut quality = 1000;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.eq_ignore_ascii_case("q") {
            quality = thousandths(value)?;
        }
    }
    Some(Range { kind, subtype, quality })
}

/// `0`, `1`, `0.5` and such, with up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || decimals.len() > 3 || !matches!(whole, "0" | "1") {
        return None;
    }
    let thousandths = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFERED: [&str; 2] = ["application/json", "text/vnd.mermaid"];

    fn chosen(lines: &[&str]) -> Option<&'static str> {
        let lines = lines.iter().map(|line| (header::ACCEPT, line.parse().unwrap()));
        let headers: HeaderMap = lines.collect();
        choose(&headers, &OFFERED).map(|place| OFFERED[place])
    }

    #[test]
    fn a_caller_gets_what_it_wants_most() {
        let [json, mermaid] = OFFERED.map(Some);
        let check = |accept: &str, expected| assert_eq!(chosen(&[accept]), expected, "{accept}");

        assert_eq!(chosen(&[]), json);
        check("*/*", json);
        check("application/*", json);
        check("text/vnd.mermaid", mermaid);
        check("TEXT/Vnd.Mermaid; charset=utf-8", mermaid);
        check("text/*", mermaid);
        check("text/html, application/json;q=0.9", json);
        check("application/json;q=0.5, text/vnd.mermaid;q=0.501", mermaid);
        check("application/json;q=1.000, text/vnd.mermaid;q=0.999", json);
        check("text/vnd.mermaid, */*", mermaid);
        check("application/json, text/vnd.mermaid", json);
        check("*/*;q=0.1, application/json;q=0", mermaid);
        check("application/json;q=0.1, */*", mermaid);
        assert_eq!(chosen(&["text/html", "text/vnd.mermaid"]), mermaid, "two lines are one list");
    }

    #[test]
    fn nothing_is_chosen_that_is_not_wanted() {
        for accept in [
            "text/html",
            "text/plain, image/*",
            "*/*;q=0",
            "application/json;q=0, text/*;q=0",
            "",
            "json",
            "application/json;q=2",
            "application/json;q=0.1234",
            "application/json;q=1.001",
            "application/json;q=x",
            "application/json;q",
        ] {
            assert_eq!(chosen(&[accept]), None, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(accept in "[ -~]{0,80}") {
            chosen(&[&accept]);
        }
    }
}
