//! What a request says, as far as a decision may see it; and whether it is one that a gateway serves at all.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::header::{EXPECT, HOST, MAX_FORWARDS, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use smallvec::SmallVec;

use super::error::Refusal;
use crate::config::RouteConfig;
use crate::domain::route::Captures;
use crate::domain::source::{self, Source};

/// Refuses what hyper lets through and RFC 9110 or 9112 doesn't, and brings the target into origin form.
/// `conflict` says that the wire showed both framings.
pub(crate) fn check<B>(request: &mut Request<B>, conflict: bool) -> Result<(), Refusal> {
    check_framing(request.headers(), conflict)?;
    check_host(request)?;
    check_target(request)
}

fn check_framing(headers: &HeaderMap, conflict: bool) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    if conflict {
        return Err(Refusal::LengthConflict);
    }
    if !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") || codings.next().is_some()
    {
        return Err(Refusal::TransferCoding);
    }
    Ok(())
}

fn check_target<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Refusal::Method);
    }
    let asterisk = request.uri().path() == "*";
    if asterisk && request.method() != Method::OPTIONS {
        return Err(Refusal::Target);
    }
    let Some(authority) = request.uri().authority() else {
        let origin_form = asterisk || request.uri().path().starts_with('/');
        return if origin_form { Ok(()) } else { Err(Refusal::Target) };
    };
    // Absolute form: its authority is the host, whatever Host says (RFC 9112 section 3.2.2).
    let known_scheme = matches!(request.uri().scheme_str(), Some("http" | "https"));
    if !known_scheme || !is_host(authority.as_str().as_bytes()) {
        return Err(Refusal::Target);
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Refusal::Target)?;
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = Uri::from(path);
    Ok(())
}

fn check_host<B>(request: &Request<B>) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        (None, _) | (_, Some(_)) => Err(Refusal::HostCount),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Refusal::HostSyntax),
    }
}

/// A host and an optional port, by the letters that RFC 3986 allows there.
fn is_host(host: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let literal = host.starts_with(b"[").then(|| memchr::memchr(b']', host)).flatten();
    let (name, port) = match literal {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(memchr::memchr(b':', host).unwrap_or(host.len())),
    };
    let port_is_fine = match port.split_first() {
        None => true,
        Some((colon, digits)) => {
            *colon == b':' && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit)
        }
    };
    let address =
        || std::str::from_utf8(name.get(1..name.len() - 1)?).ok()?.parse::<Ipv6Addr>().ok();
    let name_is_fine = match literal {
        Some(_) => address().is_some(),
        None => !name.is_empty() && name.iter().all(plain),
    };
    name_is_fine && port_is_fine
}

/// What `Max-Forwards` asks of us (RFC 9110 section 7.6.2).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Forwards {
    /// Pass it on.
    On,
    /// Answer it here.
    Here,
}

/// Counts `Max-Forwards` of an `OPTIONS` down; other methods don't have it.
pub(crate) fn count_forwards<B>(request: &mut Request<B>) -> Forwards {
    if request.method() != Method::OPTIONS {
        return Forwards::On;
    }
    let value = request.headers().get(MAX_FORWARDS);
    match value.and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok()) {
        None => Forwards::On,
        Some(0) => Forwards::Here,
        Some(left) => {
            request.headers_mut().insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            Forwards::On
        }
    }
}

/// Whether the client waits for `100 Continue` before it sends the body.
pub(crate) fn expects_continue<B>(request: &Request<B>) -> Result<bool, Refusal> {
    match request.headers().get(EXPECT) {
        None => Ok(false),
        Some(_) if request.version() < Version::HTTP_11 => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Refusal::Expectation),
    }
}

/// Whether a route's entity needs the body.
pub(crate) fn needs_body(sources: &[Source]) -> bool {
    sources.iter().any(|source| matches!(source, Source::Body(_)))
}

/// The values of an entity's placeholders.
pub(crate) type Values<'r> = SmallVec<[Cow<'r, str>; 4]>;

/// The values of the entity's placeholders, in their order; `None` when one is missing. `body` is the JSON body where a source
/// needs it.
pub(crate) fn values<'r, B>(
    route: &'r RouteConfig,
    request: &'r Request<B>,
    captures: &'r Captures<'_>,
    body: Option<&'r serde_json::Value>,
) -> Option<Values<'r>> {
    route.sources.iter().map(|source| value(source, route, request, captures, body)).collect()
}

/// The value that stands at one source.
pub(crate) fn value<'r, B>(
    source: &Source,
    route: &RouteConfig,
    request: &'r Request<B>,
    captures: &'r Captures<'_>,
    body: Option<&'r serde_json::Value>,
) -> Option<Cow<'r, str>> {
    match source {
        Source::Path(name) => {
            let index = route.path.placeholders().position(|placeholder| placeholder == name)?;
            captures.get(index).map(|value| Cow::Borrowed(value.as_ref()))
        }
        Source::Query(name) => source::query_value(request.uri().query()?, name).map(Cow::Owned),
        Source::Header(name) => single_header(request.headers(), name).map(Cow::Borrowed),
        Source::Body(pointer) => scalar(body?.pointer(pointer)?),
    }
}

fn single_header<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::trim),
        _ => None,
    }
}

fn scalar(value: &serde_json::Value) -> Option<Cow<'_, str>> {
    match value {
        serde_json::Value::String(text) => Some(Cow::Borrowed(text)),
        serde_json::Value::Number(number) => Some(Cow::Owned(plain_number(number))),
        _ => None,
    }
}

/// `7`, `7.0` and `7e0` are one number to an app, so they are one entity here.
fn plain_number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if !number.is_i64() && !number.is_u64() => float.to_string(),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::put(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn checked(target: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        check(&mut request(target, headers), false)
    }

    #[test]
    fn host_is_there_once_and_valid() {
        for host in ["app", "app:8080", "a_b.example", "192.0.2.1", "[::1]:80", "[::1]"] {
            assert_eq!(checked("/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["", "a b", "a/b", "user@app", "a,b", "app:port", ":80", "[::1", "app:123456"] {
            assert_eq!(checked("/", &[("host", host)]), Err(Refusal::HostSyntax), "{host}");
        }
        assert_eq!(checked("/", &[]), Err(Refusal::HostCount));
        assert_eq!(checked("/", &[("host", "a"), ("host", "a")]), Err(Refusal::HostCount));
    }

    #[test]
    fn an_old_client_needs_no_host() {
        let mut request = request("/", &[]);
        *request.version_mut() = Version::HTTP_10;

        assert_eq!(check(&mut request, false), Ok(()));
    }

    #[test]
    fn an_absolute_target_gives_the_host() {
        let mut request = request("http://real:81/a?b", &[("host", "other")]);

        assert_eq!(check(&mut request, false), Ok(()));
        assert_eq!(request.uri().to_string(), "/a?b");
        assert_eq!(request.headers()[HOST], "real:81");
    }

    #[test]
    fn only_one_plain_chunked_is_a_coding() {
        let coded = |values: &[&str]| {
            let mut headers = vec![("host", "a")];
            headers.extend(values.iter().map(|value| ("transfer-encoding", *value)));
            checked("/", &headers)
        };

        assert_eq!(coded(&["Chunked"]), Ok(()));
        for codings in
            [&["gzip, chunked"][..], &["chunked, chunked"], &["chunked", "chunked"], &["identity"]]
        {
            assert_eq!(coded(codings), Err(Refusal::TransferCoding), "{codings:?}");
        }
    }

    #[test]
    fn max_forwards_counts_down_to_here() {
        let mut options = request("/", &[("max-forwards", "2")]);
        *options.method_mut() = Method::OPTIONS;

        assert_eq!(count_forwards(&mut options), Forwards::On);
        assert_eq!(options.headers()[MAX_FORWARDS], "1");
        assert_eq!(count_forwards(&mut options), Forwards::On);
        assert_eq!(count_forwards(&mut options), Forwards::Here);
    }
}
