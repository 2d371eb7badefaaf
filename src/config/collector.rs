//! A collector's URL: where traces are sent.

use std::str::FromStr;

use http::uri::PathAndQuery;

use super::url::{self, UrlFault};

/// Where `http://` is served when no port is written.
const HTTP: u16 = 80;
/// Where a collector takes traces by OTLP over HTTP, below its own path.
const TRACES: &str = "/v1/traces";

/// A collector that is reached over plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CollectorUrl {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// As written; empty where none was.
    pub(super) path: String,
}

/// Who named a collector, which says what its path means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// `telemetry.otlp_endpoint`: a path is the whole one; without it, the usual one is meant.
    #[default]
    Key,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the usual path stands below it.
    Base,
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: used as it is.
    Traces,
}

/// Why a text is no collector's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectorFault {
    /// No scheme, or one that is not HTTP.
    #[error("write http://, a host and a port, such as \"http://127.0.0.1:4317\"")]
    NotHttp,
    /// TLS towards the collector.
    #[error(
        "https:// is not supported by this version: put a collector beside the sidecar that speaks TLS onwards, and write \
         where it listens, such as \"http://127.0.0.1:4317\""
    )]
    Https,
    /// A name or password.
    #[error("it has a user name or password: send it as a header, with OTEL_EXPORTER_OTLP_HEADERS")]
    UserInfo,
    /// More than where to connect and post.
    #[error("it has a query or fragment: write no more than host, port and path")]
    Query,
    /// A path that can't stand in a request.
    #[error("its path has a character that must be escaped, such as a space as %20")]
    BadPath,
    /// No name or address, or no port.
    #[error("{0}")]
    BadAuthority(#[from] UrlFault),
}

impl CollectorUrl {
    /// Where OTLP over gRPC goes.
    pub(super) fn for_grpc(&self) -> String {
        format!("http://{}", url::authority(&self.host, self.port))
    }

    /// Where OTLP over HTTP is posted to.
    pub(super) fn for_http(&self, named_by: NamedBy) -> String {
        let path = match (named_by, self.path.as_str()) {
            (NamedBy::Key, "" | "/") => TRACES.to_owned(),
            (NamedBy::Base, base) => format!("{}{TRACES}", base.trim_end_matches('/')),
            (NamedBy::Traces, "") => "/".to_owned(),
            (NamedBy::Key | NamedBy::Traces, whole) => whole.to_owned(),
        };
        format!("{}{path}", self.for_grpc())
    }
}

impl FromStr for CollectorUrl {
    type Err = CollectorFault;

    fn from_str(url: &str) -> Result<Self, CollectorFault> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(CollectorFault::NotHttp)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(CollectorFault::Https),
            _ => return Err(CollectorFault::NotHttp),
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(CollectorFault::UserInfo);
        }
        if path.contains(['?', '#']) {
            return Err(CollectorFault::Query);
        }
        if !path.is_empty() && (!path.is_ascii() || path.parse::<PathAndQuery>().is_err()) {
            return Err(CollectorFault::BadPath);
        }
        let (host, port) = url::host_and_port(authority, HTTP)?;
        Ok(Self { host, port, path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_completed_by_who_wrote_it() {
        let check = |url: &str, named_by: NamedBy, expected: &str| {
            let read: CollectorUrl = url.parse().unwrap();
            assert_eq!(read.for_http(named_by), expected, "{url} {named_by:?}");
        };

        check("http://c:4318", NamedBy::Key, "http://c:4318/v1/traces");
        check("http://c:4318/", NamedBy::Key, "http://c:4318/v1/traces");
        check("http://c:4318/otlp", NamedBy::Key, "http://c:4318/otlp");
        check("http://c:4318", NamedBy::Base, "http://c:4318/v1/traces");
        check("http://c:4318/otlp/", NamedBy::Base, "http://c:4318/otlp/v1/traces");
        check("http://c:4318/otlp", NamedBy::Traces, "http://c:4318/otlp");
        check("http://c:4318", NamedBy::Traces, "http://c:4318/");
    }

    #[test]
    fn grpc_needs_no_path() {
        let for_grpc = |url: &str| url.parse::<CollectorUrl>().unwrap().for_grpc();

        assert_eq!(for_grpc("http://[::1]:4317/v1/traces"), "http://[::1]:4317");
        assert_eq!(for_grpc("HTTP://Collector"), "http://collector:80");
    }

    #[test]
    fn what_is_no_collector_is_told_apart() {
        let check = |url: &str, fault: CollectorFault| {
            assert_eq!(url.parse::<CollectorUrl>(), Err(fault), "{url}");
        };

        check("127.0.0.1:4317", CollectorFault::NotHttp);
        check("grpc://c:4317", CollectorFault::NotHttp);
        check("https://c:4317", CollectorFault::Https);
        check("http://u:p@c:4317", CollectorFault::UserInfo);
        check("http://c:4317/?key=x", CollectorFault::Query);
        check("http://c:4317#x", CollectorFault::Query);
        check("http://c:4317/a b", CollectorFault::BadPath);
        check("http://c:4317/ä", CollectorFault::BadPath);
        check("http://:4317", UrlFault::BadHost.into());
        check("http://c:0", UrlFault::BadPort.into());
    }

    proptest! {
        #[test]
        fn what_was_read_reads_back(url in "http://[a-z]{1,9}(:[1-9][0-9]{0,3})?(/[a-z0-9%._~-]{0,9}){0,3}") {
            let read: CollectorUrl = url.parse().unwrap();
            let whole = read.for_http(NamedBy::Traces);

            prop_assert_eq!(whole.parse::<CollectorUrl>().unwrap().for_http(NamedBy::Traces), whole);
        }

        #[test]
        fn no_text_panics(text in "(http://)?.{0,40}") {
            drop(text.parse::<CollectorUrl>());
        }
    }
}
