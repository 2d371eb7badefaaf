//! From a path and a method to an endpoint, and who may use it.

use http::Method;
use percent_encoding::percent_decode_str;

use super::problem::Refusal;

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Livez,
    Readyz,
    Metrics,
    Flags,
    Flag { name: String },
    Kill { name: String },
    Resume { name: String },
    Force { name: String },
    History { name: String },
    Explain { name: String },
    Fleet,
    Forget { id: String },
    Divergences,
    Divergence { id: String },
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody, without a token.
    Open,
    /// Viewers and operators.
    Read,
    /// Operators.
    Change,
}

/// The routes there are, for whoever asks for another.
pub(super) const ROUTES: [&str; 14] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/api/v1/flags",
    "/api/v1/flags/{name}",
    "/api/v1/flags/{name}/kill",
    "/api/v1/flags/{name}/resume",
    "/api/v1/flags/{name}/force",
    "/api/v1/flags/{name}/history",
    "/api/v1/flags/{name}/explain",
    "/api/v1/fleet",
    "/api/v1/fleet/{id}/forget",
    "/api/v1/divergences",
    "/api/v1/divergences/{id}",
];

/// Finds the endpoint of a path.
pub(super) fn route(path: &str) -> Result<Endpoint, Refusal> {
    let segments: Vec<&str> = path.split('/').collect();
    let name = |text: &&str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(|name| name.into_owned()).map_err(|_| Refusal::UnknownRoute)
    };
    Ok(match segments.as_slice() {
        ["", "livez"] => Endpoint::Livez,
        ["", "readyz"] => Endpoint::Readyz,
        ["", "metrics"] => Endpoint::Metrics,
        ["", "api", "v1", "fleet"] => Endpoint::Fleet,
        ["", "api", "v1", "fleet", id, "forget"] => Endpoint::Forget { id: name(id)? },
        ["", "api", "v1", "divergences"] => Endpoint::Divergences,
        ["", "api", "v1", "divergences", id] => Endpoint::Divergence { id: name(id)? },
        ["", "api", "v1", "flags"] => Endpoint::Flags,
        ["", "api", "v1", "flags", flag] => Endpoint::Flag { name: name(flag)? },
        ["", "api", "v1", "flags", flag, "kill"] => Endpoint::Kill { name: name(flag)? },
        ["", "api", "v1", "flags", flag, "resume"] => Endpoint::Resume { name: name(flag)? },
        ["", "api", "v1", "flags", flag, "force"] => Endpoint::Force { name: name(flag)? },
        ["", "api", "v1", "flags", flag, "history"] => Endpoint::History { name: name(flag)? },
        ["", "api", "v1", "flags", flag, "explain"] => Endpoint::Explain { name: name(flag)? },
        _ => return Err(Refusal::UnknownRoute),
    })
}

impl Endpoint {
    /// Its path, as it stands among [`ROUTES`].
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
            Self::Flags => "/api/v1/flags",
            Self::Flag { .. } => "/api/v1/flags/{name}",
            Self::Kill { .. } => "/api/v1/flags/{name}/kill",
            Self::Resume { .. } => "/api/v1/flags/{name}/resume",
            Self::Force { .. } => "/api/v1/flags/{name}/force",
            Self::History { .. } => "/api/v1/flags/{name}/history",
            Self::Explain { .. } => "/api/v1/flags/{name}/explain",
            Self::Fleet => "/api/v1/fleet",
            Self::Forget { .. } => "/api/v1/fleet/{id}/forget",
            Self::Divergences => "/api/v1/divergences",
            Self::Divergence { .. } => "/api/v1/divergences/{id}",
        }
    }

    /// Who may use this method here.
    pub(super) fn access(&self, method: &Method) -> Result<Access, Refusal> {
        let reads = method == Method::GET || method == Method::HEAD;
        match self {
            Self::Livez | Self::Readyz | Self::Metrics if reads => Ok(Access::Open),
            Self::Kill { .. } | Self::Resume { .. } | Self::Force { .. } | Self::Forget { .. }
                if method == Method::POST =>
            {
                Ok(Access::Change)
            }
            Self::Kill { .. } | Self::Resume { .. } | Self::Force { .. } | Self::Forget { .. } => {
                Err(Refusal::MethodNotAllowed { allow: "POST" })
            }
            Self::Flag { .. } if method == Method::PATCH => Ok(Access::Change),
            _ if reads => Ok(Access::Read),
            Self::Flag { .. } => Err(Refusal::MethodNotAllowed { allow: "GET, HEAD, PATCH" }),
            _ => Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_leads_to_an_endpoint_that_knows_it() {
        for template in ROUTES {
            assert_eq!(route(template).unwrap().template(), template);
        }
    }
}
