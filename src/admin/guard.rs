//! What keeps a web page that an operator happens to have open from reading or changing flags.

use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::uri::Authority;
use http::{Uri, Version};

use super::problem::Refusal;

/// Which `Host` a call may name. On loopback only names of this machine count: without that, a page whose name was
/// rebound to 127.0.0.1 could talk to the admin plane as if it were its own server.
#[derive(Clone, Debug)]
pub struct HostPolicy {
    bound_to: Option<IpAddr>,
}

impl HostPolicy {
    /// The policy for a listener bound to this address. Beyond loopback any host will do: tokens guard there.
    pub fn for_listener(address: SocketAddr) -> Self {
        let ip = address.ip();
        Self { bound_to: ip.is_loopback().then_some(ip) }
    }

    /// The port is not compared: a forwarded port is a legitimate way in.
    pub(super) fn check(&self, parts: &Parts) -> Result<(), Refusal> {
        let host = requested_host(parts)?;
        let Some(bound_to) = self.bound_to else {
            return Ok(());
        };
        let allowed = host.is_none_or(|host| {
            let host = host.host().to_ascii_lowercase();
            let literal = host.trim_start_matches('[').trim_end_matches(']');
            let named = ["localhost", "127.0.0.1", "::1"].contains(&literal);
            named || literal.parse() == Ok(bound_to)
        });
        if allowed { Ok(()) } else { Err(Refusal::ForeignHost) }
    }
}

/// The authority that a call is meant for, in an absolute target, in `Host`, or in both alike. `None` for HTTP/1.0 without one.
fn requested_host(parts: &Parts) -> Result<Option<Authority>, Refusal> {
    let named = only(&parts.headers, &header::HOST).map_err(|()| Refusal::BadHost)?;
    let named: Option<Authority> =
        named.map(str::parse).transpose().map_err(|_| Refusal::BadHost)?;
    let host = match (parts.uri.authority(), named) {
        (Some(target), Some(named)) if *target != named => return Err(Refusal::BadHost),
        (Some(target), _) => Some(target.clone()),
        (None, None) if parts.version == Version::HTTP_11 => return Err(Refusal::BadHost),
        (None, named) => named,
    };
    match host {
        Some(host) if host.as_str().contains('@') => Err(Refusal::BadHost),
        host => Ok(host),
    }
}

/// What a write must look like: JSON, uncompressed, and not sent by another site's page.
pub(super) fn check_write(parts: &Parts) -> Result<(), Refusal> {
    check_same_site(parts)?;
    check_json(&parts.headers)
}

fn check_same_site(parts: &Parts) -> Result<(), Refusal> {
    let cross_site = |()| Refusal::CrossSite;
    let sec_fetch_site = HeaderName::from_static("sec-fetch-site");
    let site = only(&parts.headers, &sec_fetch_site).map_err(cross_site)?;
    if !matches!(site, None | Some("same-origin" | "none")) {
        return Err(Refusal::CrossSite);
    }
    let Some(origin) = only(&parts.headers, &header::ORIGIN).map_err(cross_site)? else {
        return Ok(());
    };
    let origin: Uri = origin.parse().map_err(|_| Refusal::CrossSite)?;
    let host = requested_host(parts)?;
    let ours = matches!(origin.scheme_str(), Some("http" | "https")) && host.is_some();
    let same = ours && origin.authority() == host.as_ref();
    if same { Ok(()) } else { Err(Refusal::CrossSite) }
}

fn check_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = only(headers, &header::CONTENT_TYPE).ok().flatten().unwrap_or_default();
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let parameters = parameters.trim().replace('"', "");
    let json = essence.trim().eq_ignore_ascii_case("application/json");
    let utf8 = parameters.is_empty() || parameters.eq_ignore_ascii_case("charset=utf-8");
    if json && utf8 && !headers.contains_key(header::CONTENT_ENCODING) {
        Ok(())
    } else {
        Err(Refusal::NotJson)
    }
}

/// The value of a header that may be there once; `Err` where it is there twice or is no text.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}
