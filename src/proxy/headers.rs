//! Header fields on their way through: what ends here, what is added, what must not be passed on.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, FORWARDED, HOST,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use smallvec::SmallVec;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Which path serves.
pub(crate) const INTERLOCK_PATH: HeaderName = HeaderName::from_static("interlock-path");
/// Which flag decided.
pub(crate) const INTERLOCK_FLAG: HeaderName = HeaderName::from_static("interlock-flag");
/// The lease's number.
pub(crate) const INTERLOCK_FENCING_TOKEN: HeaderName =
    HeaderName::from_static("interlock-fencing-token");
/// No effect is wanted.
pub(crate) const INTERLOCK_SHADOW: HeaderName = HeaderName::from_static("interlock-shadow");
/// In which way a guarantee is weaker.
pub(crate) const INTERLOCK_DEGRADED: HeaderName = HeaderName::from_static("interlock-degraded");

/// Clients can't speak for us: whatever they send under this prefix is removed.
const OURS: &str = "interlock-";

/// How many fields are added to a usual request: room for them is made at once.
const ADDED: usize = 7;

/// What this hop adds to each request of one client connection, made once.
#[derive(Debug)]
pub(crate) struct Hop {
    peer: HeaderValue,
    element: HeaderValue,
}

impl Hop {
    pub(crate) fn new(peer: IpAddr) -> Self {
        let peer = peer.to_canonical();
        let element = match peer {
            IpAddr::V4(v4) => format!("for={v4};proto=http"),
            IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto=http"),
        };
        let value = |text: String| {
            HeaderValue::from_maybe_shared(Bytes::from(text))
                .unwrap_or(HeaderValue::from_static("unknown"))
        };
        Self { peer: value(peer.to_string()), element: value(element) }
    }

    /// Makes the fields of a client's request those of ours to the upstream. Gives back the protocol that the client
    /// asks to change to, if it does.
    pub(crate) fn prepare(&self, headers: &mut HeaderMap, version: Version) -> Option<HeaderValue> {
        headers.reserve(ADDED);
        let seen = Seen::of(headers);
        let upgrade = seen.upgrade_wanted(headers);
        let trailers_wanted = seen.te && lists(headers, &TE, "trailers");
        seen.remove_hop_by_hop(headers);
        if seen.ours {
            remove_ours(headers);
        }
        if trailers_wanted {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
        // The version by which the message came here (RFC 9110 section 7.6.3).
        let via = if version < Version::HTTP_11 { "1.0 interlock" } else { "1.1 interlock" };
        append(headers, VIA, &HeaderValue::from_static(via), seen.via);
        append(headers, X_FORWARDED_FOR, &self.peer, seen.forwarded_for);
        if seen.forwarded {
            append(headers, FORWARDED, &self.element, true);
        }
        if !seen.forwarded_proto {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
        if !seen.forwarded_host
            && let Some(host) = headers.get(HOST).cloned()
        {
            headers.insert(X_FORWARDED_HOST, host);
        }
        upgrade
    }
}

/// Makes the fields of an upstream's answer those of ours to the client.
pub(crate) fn prepare_response(headers: &mut HeaderMap) {
    let seen = Seen::of(headers);
    seen.remove_hop_by_hop(headers);
    if seen.ours {
        remove_ours(headers);
    }
}

/// What a message carries, found in one walk: looking up each absent name would cost more.
#[derive(Default)]
struct Seen {
    connection: bool,
    /// `Keep-Alive`, `Proxy-Connection`, `Transfer-Encoding` or fields for the next proxy.
    hop_by_hop: bool,
    te: bool,
    upgrade: bool,
    ours: bool,
    via: bool,
    forwarded: bool,
    forwarded_for: bool,
    forwarded_host: bool,
    forwarded_proto: bool,
}

impl Seen {
    fn of(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for name in headers.keys() {
            match *name {
                CONNECTION => seen.connection = true,
                TRANSFER_ENCODING | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION => {
                    seen.hop_by_hop = true
                }
                TE => seen.te = true,
                UPGRADE => seen.upgrade = true,
                VIA => seen.via = true,
                FORWARDED => seen.forwarded = true,
                _ => seen.note_unusual(name.as_str()),
            }
        }
        seen
    }

    fn note_unusual(&mut self, name: &str) {
        match name.as_bytes().first() {
            Some(b'x') => {
                self.forwarded_for |= name == "x-forwarded-for";
                self.forwarded_host |= name == "x-forwarded-host";
                self.forwarded_proto |= name == "x-forwarded-proto";
            }
            Some(b'i') => self.ours |= name.starts_with(OURS),
            Some(b'k') => self.hop_by_hop |= name == KEEP_ALIVE.as_str(),
            Some(b'p') => self.hop_by_hop |= name == PROXY_CONNECTION.as_str(),
            _ => {}
        }
    }

    fn upgrade_wanted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let asked = self.upgrade && self.connection && lists(headers, &CONNECTION, "upgrade");
        // HTTP/2 without TLS would be another protocol altogether between client and app, past every check.
        let protocol = asked.then(|| headers.get(UPGRADE)).flatten()?;
        let h2c = protocol.as_bytes().to_ascii_lowercase().windows(3).any(|w| w == b"h2c");
        (!h2c).then(|| protocol.clone())
    }

    fn remove_hop_by_hop(&self, headers: &mut HeaderMap) {
        if self.connection && !says_nothing_of_fields(headers) {
            let named: SmallVec<[HeaderName; 4]> = elements(headers, &CONNECTION)
                .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
                .filter(|name| {
                    !matches!(*name, HOST | CONTENT_LENGTH | CONTENT_TYPE | header::DATE)
                })
                .collect();
            for name in named {
                headers.remove(name);
            }
        }
        if self.connection {
            headers.remove(CONNECTION);
        }
        if self.te {
            headers.remove(TE);
        }
        if self.upgrade {
            headers.remove(UPGRADE);
        }
        if self.hop_by_hop {
            for name in [
                TRANSFER_ENCODING,
                PROXY_AUTHENTICATE,
                PROXY_AUTHORIZATION,
                KEEP_ALIVE,
                PROXY_CONNECTION,
            ] {
                headers.remove(name);
            }
        }
    }
}

/// The usual `Connection`, which names no field.
fn says_nothing_of_fields(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONNECTION).iter();
    let usual = |value: &HeaderValue| {
        value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || value.as_bytes().eq_ignore_ascii_case(b"close")
    };
    lines.next().is_none_or(usual) && lines.next().is_none()
}

fn remove_ours(headers: &mut HeaderMap) {
    let ours: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| name.as_str().starts_with(OURS)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Whether a comma-separated field has an element, letter case aside; parameters of it don't count.
pub(crate) fn lists(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    elements(headers, name)
        .map(|e| e.split(';').next().unwrap_or_default().trim())
        .any(|e| e.eq_ignore_ascii_case(element))
}

/// Adds an element at the end of a list field. Its lines become one: apps that look at a single line must see them all.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &HeaderValue, present: bool) {
    let mut value = element.clone();
    if present {
        let lines = headers.get_all(&name).iter().chain([element]).map(HeaderValue::as_bytes);
        let joined = Bytes::from(lines.collect::<Vec<_>>().join(&b", "[..]));
        value = HeaderValue::from_maybe_shared(joined).unwrap_or(value);
    }
    headers.insert(name, value);
}

/// Whether a field may stand in a trailer: none that frames, routes, authenticates or explains the content
/// (RFC 9110 section 6.5.1).
fn allowed_in_trailer(name: &HeaderName) -> bool {
    !matches!(
        *name,
        CONNECTION
            | CONTENT_ENCODING
            | CONTENT_LENGTH
            | CONTENT_RANGE
            | CONTENT_TYPE
            | HOST
            | SET_COOKIE
            | TE
            | TRAILER
            | TRANSFER_ENCODING
            | UPGRADE
            | header::AUTHORIZATION
            | header::CACHE_CONTROL
            | header::EXPECT
            | header::MAX_FORWARDS
            | PROXY_AUTHENTICATE
            | PROXY_AUTHORIZATION
    ) && !name.as_str().starts_with(OURS)
}

/// Drops what may not stand in a trailer.
pub(crate) fn clean_trailers(trailers: HeaderMap) -> HeaderMap {
    let mut clean = HeaderMap::with_capacity(trailers.len());
    for (name, value) in &trailers {
        if allowed_in_trailer(name) {
            clean.append(name, value.clone());
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn prepared(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = headers(lines);
        Hop::new("192.0.2.7".parse().unwrap()).prepare(&mut headers, Version::HTTP_11);
        headers
    }

    fn all<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        let out = prepared(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-public", "1"),
        ]);

        for gone in [
            "connection",
            "x-private",
            "keep-alive",
            "proxy-connection",
            "te",
            "transfer-encoding",
            "upgrade",
        ] {
            assert!(!out.contains_key(gone), "{gone}");
        }
        assert!(out.contains_key("x-public"));
    }

    #[test]
    fn connection_can_t_take_away_what_frames_or_routes() {
        let out = prepared(&[
            ("connection", "host, content-length"),
            ("host", "a"),
            ("content-length", "3"),
        ]);

        assert_eq!((all(&out, "host"), all(&out, "content-length")), (vec!["a"], vec!["3"]));
    }

    #[test]
    fn a_client_can_t_speak_for_us() {
        let out = prepared(&[("interlock-path", "fixed"), ("Interlock-Anything", "1")]);

        assert!(!out.keys().any(|name| name.as_str().starts_with("interlock")));
    }

    #[test]
    fn each_hop_is_recorded_after_the_earlier_ones() {
        let out = prepared(&[
            ("host", "app"),
            ("via", "1.0 a"),
            ("x-forwarded-for", "198.51.100.1"),
            ("forwarded", "for=198.51.100.1"),
            ("x-forwarded-proto", "https"),
        ]);

        assert_eq!(all(&out, "via"), ["1.0 a, 1.1 interlock"]);
        assert_eq!(all(&out, "x-forwarded-for"), ["198.51.100.1, 192.0.2.7"]);
        assert_eq!(all(&out, "forwarded"), ["for=198.51.100.1, for=192.0.2.7;proto=http"]);
        assert_eq!(all(&out, "x-forwarded-proto"), ["https"]);
        assert_eq!(all(&out, "x-forwarded-host"), ["app"]);
    }

    #[test]
    fn an_upgrade_needs_both_fields_and_is_never_h2c() {
        let wanted = |lines: &[(&str, &str)]| {
            Hop::new("192.0.2.7".parse().unwrap()).prepare(&mut headers(lines), Version::HTTP_11)
        };

        assert_eq!(
            wanted(&[("connection", "Upgrade"), ("upgrade", "websocket")]).unwrap(),
            "websocket"
        );
        assert_eq!(wanted(&[("upgrade", "websocket")]), None);
        assert_eq!(wanted(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")]), None);
    }

    #[test]
    fn a_wish_for_trailers_is_our_own_wish_upstream() {
        let out = prepared(&[("te", "gzip, Trailers"), ("connection", "te")]);

        assert_eq!((all(&out, "te"), all(&out, "connection")), (vec!["trailers"], vec!["te"]));
    }

    #[test]
    fn trailers_lose_what_may_not_stand_there() {
        let clean =
            clean_trailers(headers(&[("content-length", "5"), ("x-checksum", "a"), ("host", "b")]));

        assert_eq!(clean.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-checksum"]);
    }
}
