//! The names of spans, of their events and of their attributes: OpenTelemetry's where it has one, `interlock.` otherwise.

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$doc])* pub const $name: &str = $text;)+

        #[cfg(test)]
        const ALL: &[&str] = &[$($name,)+];
    };
}

names! {
    /// The span of a wait for an entity's lease.
    LEASE_WAIT = "interlock.lease.wait";
    /// The span of the lost-update detector's reading an entity back.
    VERIFY = "interlock.verify";
    /// The span of a comparison of a candidate's answer with the control's that found something.
    COMPARE = "interlock.compare";
    /// The event of a divergence that was found.
    DIVERGENCE = "divergence";

    /// The method, or [`OTHER_METHOD`].
    HTTP_REQUEST_METHOD = "http.request.method";
    /// The template of the route that matched.
    HTTP_ROUTE = "http.route";
    /// The answer's status.
    HTTP_RESPONSE_STATUS_CODE = "http.response.status_code";
    /// How many attempts came before, where there were any.
    HTTP_REQUEST_RESEND_COUNT = "http.request.resend_count";
    /// The path; the values that the route takes out of it are left out.
    URL_PATH = "url.path";
    /// Always `http`.
    URL_SCHEME = "url.scheme";
    /// The whole URL; the values that the route takes out of the path, and all of the query, are left out.
    URL_FULL = "url.full";
    /// The version of HTTP that the client speaks.
    NETWORK_PROTOCOL_VERSION = "network.protocol.version";
    /// The address from which the client connected.
    CLIENT_ADDRESS = "client.address";
    /// What the client says it is.
    USER_AGENT_ORIGINAL = "user_agent.original";
    /// The upstream's host.
    SERVER_ADDRESS = "server.address";
    /// The upstream's port.
    SERVER_PORT = "server.port";
    /// What went wrong, as a closed set of words.
    ERROR_TYPE = "error.type";

    /// The flag's name.
    FLAG_KEY = "feature_flag.key";
    /// The path that was decided: `legacy` or `fixed`.
    FLAG_VARIANT = "feature_flag.result.variant";
    /// Why, in OpenTelemetry's words.
    FLAG_REASON = "feature_flag.result.reason";
    /// The version of the flag's state that decided.
    FLAG_VERSION = "feature_flag.version";
    /// Always `interlock`.
    FLAG_PROVIDER = "feature_flag.provider.name";
    /// A hash of the entity's key; the key itself leaves the sidecar in no span.
    FLAG_CONTEXT = "feature_flag.context.id";

    /// Always `redis`.
    DB_SYSTEM = "db.system.name";
    /// The command.
    DB_OPERATION = "db.operation.name";

    /// The path that the call took in the end.
    PATH = "interlock.path";
    /// The protection that an update really had.
    PROTECTION = "interlock.protection";
    /// What became of an update.
    OUTCOME = "interlock.outcome";
    /// What a call to an upstream is for: `serving` or `shadow`.
    ROLE = "interlock.role";
    /// How a wait for a lease ended.
    LEASE_RESULT = "interlock.lease.result";
    /// The lease's number.
    FENCING_TOKEN = "interlock.fencing_token";
    /// What a command to the store was for.
    STORE_OPERATION = "interlock.store.operation";
    /// Why two things that should be the same are not.
    CAUSE = "interlock.cause";
    /// How many of them.
    COUNT = "interlock.count";
}

/// What stands for a method that has no name of its own.
pub const OTHER_METHOD: &str = "_OTHER";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_every_one() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/traces.md");
        let page = std::fs::read_to_string(page).unwrap();

        let absent: Vec<_> =
            ALL.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();

        assert!(absent.is_empty(), "docs/traces.md does not name {absent:?}");
    }

    #[test]
    fn no_name_stands_for_two_things() {
        let distinct: std::collections::BTreeSet<_> = ALL.iter().collect();

        assert_eq!(distinct.len(), ALL.len());
    }
}
