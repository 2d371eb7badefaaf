//! An upstream's URL: where to connect, and nothing else.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::UpstreamUrl;

/// Why a text is not an upstream's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// No scheme, or one that is not HTTP.
    #[error("write http://, a host and a port, such as \"http://127.0.0.1:5000\"")]
    NotHttp,
    /// TLS towards the app.
    #[error(
        "https:// is not supported by this version: the app is reached in the same pod, over http://"
    )]
    Https,
    /// A name or password.
    #[error("it has a user name or password; take it out")]
    UserInfo,
    /// More than where to connect.
    #[error(
        "it has a path, query or fragment, but calls keep their own; write no more than host and port"
    )]
    PathOrQuery,
    /// No name or address.
    #[error(
        "it has no valid host; IPv6 addresses stand in brackets, such as \"http://[::1]:5000\""
    )]
    BadHost,
    /// Not 1 to 65535.
    #[error("its port must be a number from 1 to 65535")]
    BadPort,
}

/// The port of `http://` where none is written.
const HTTP: u16 = 80;

impl UpstreamUrl {
    /// `host:port`, as `Host` says it.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

impl FromStr for UpstreamUrl {
    type Err = UrlFault;

    /// Reads `http://host[:port]`, with an optional `/` behind it.
    fn from_str(url: &str) -> Result<Self, UrlFault> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(UrlFault::NotHttp)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(UrlFault::Https),
            _ => return Err(UrlFault::NotHttp),
        }
        let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlFault::UserInfo);
        }
        if !matches!(behind, "" | "/") {
            return Err(UrlFault::PathOrQuery);
        }
        let (host, port) = host_and_port(authority, HTTP)?;
        Ok(Self { host, port })
    }
}

/// Reads `host[:port]`, the host without its brackets. The faults are [`UrlFault::BadHost`] and [`UrlFault::BadPort`].
pub(super) fn host_and_port(authority: &str, default: u16) -> Result<(String, u16), UrlFault> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(UrlFault::BadHost)?;
        let host: Ipv6Addr = host.parse().map_err(|_| UrlFault::BadHost)?;
        (host.to_string(), port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (host_name(host)?, port)
    };
    Ok((host, port_number(port, default)?))
}

fn host_name(host: &str) -> Result<String, UrlFault> {
    /// The longest name that DNS can hold.
    const MAX_HOST_BYTES: usize = 253;

    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let fits = host.len() <= MAX_HOST_BYTES
        && host.strip_suffix('.').unwrap_or(host).split('.').all(label);
    if fits { Ok(host.to_ascii_lowercase()) } else { Err(UrlFault::BadHost) }
}

/// The port in `:5000`; the default in nothing.
fn port_number(written: &str, default: u16) -> Result<u16, UrlFault> {
    if written.is_empty() {
        return Ok(default);
    }
    let digits = written.strip_prefix(':').ok_or(UrlFault::BadHost)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UrlFault::BadPort);
    }
    digits.parse().ok().filter(|port| *port != 0).ok_or(UrlFault::BadPort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_host_and_a_port() {
        let check = |text: &str, host: &str, port: u16| {
            let expected = UpstreamUrl { host: host.to_owned(), port };
            assert_eq!(text.parse::<UpstreamUrl>(), Ok(expected.clone()), "{text}");
            assert_eq!(expected.to_string().parse::<UpstreamUrl>(), Ok(expected), "{text}");
        };

        check("http://127.0.0.1:5000", "127.0.0.1", 5000);
        check("http://127.0.0.1:5000/", "127.0.0.1", 5000);
        check("HTTP://Journeys.Example", "journeys.example", 80);
        check("http://journey_app-1.ns.svc.:80", "journey_app-1.ns.svc.", 80);
        check("http://[::1]:5000", "::1", 5000);
        check("http://[2001:db8::1]", "2001:db8::1", 80);
    }

    #[test]
    fn refuses_the_rest_with_the_reason() {
        let check =
            |text: &str, why: UrlFault| assert_eq!(text.parse::<UpstreamUrl>(), Err(why), "{text}");

        check("127.0.0.1:5000", UrlFault::NotHttp);
        check("ftp://host", UrlFault::NotHttp);
        check("https://host", UrlFault::Https);
        check("http://user:secret@host", UrlFault::UserInfo);
        for text in ["http://host/api", "http://host?x", "http://host#x", "http://host//"] {
            check(text, UrlFault::PathOrQuery);
        }
        for text in [
            "http://",
            "http://:80",
            "http://a..b",
            "http://a b",
            "http://::1",
            "http://[::1",
            "http://[x]:1",
        ] {
            check(text, UrlFault::BadHost);
        }
        for text in [
            "http://host:",
            "http://host:0",
            "http://host:65536",
            "http://host:+1",
            "http://host:80:80",
        ] {
            check(text, UrlFault::BadPort);
        }
    }
}
