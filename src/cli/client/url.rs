//! Where an admin plane listens.

use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// The port of a URL that names none.
const PORT: u16 = 80;
const TLS_PORT: u16 = 443;

/// Where an admin plane listens: `http://host[:port]` or `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct AdminUrl {
    authority: Authority,
    tls: bool,
}

/// Why a text is no [`AdminUrl`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum AdminUrlError {
    /// Not a URL with a host.
    #[error("not a URL: write http://host:port, such as http://127.0.0.1:9901, or https://")]
    NotAUrl,
    /// Another scheme.
    #[error("only http:// and https:// are spoken here")]
    NotHttp,
    /// There is a path, a query or a user in it.
    #[error("more than http://host:port: leave out the path, the query and the user")]
    TooMuch,
}

impl AdminUrl {
    /// The host and port as written.
    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// A name or an address, without brackets.
    pub(super) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls { TLS_PORT } else { PORT })
    }

    /// Whether it is `https://`.
    pub(in crate::cli) fn is_tls(&self) -> bool {
        self.tls
    }
}

impl FromStr for AdminUrl {
    type Err = AdminUrlError;

    fn from_str(text: &str) -> Result<Self, AdminUrlError> {
        let uri: Uri = text.parse().map_err(|_| AdminUrlError::NotAUrl)?;
        let authority = uri.authority().ok_or(AdminUrlError::NotAUrl)?;
        let scheme = uri.scheme().ok_or(AdminUrlError::NotAUrl)?;
        let tls = *scheme == Scheme::HTTPS;
        if !tls && *scheme != Scheme::HTTP {
            return Err(AdminUrlError::NotHttp);
        }
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(AdminUrlError::TooMuch);
        }
        Ok(Self { authority: authority.clone(), tls })
    }
}

impl std::fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}
