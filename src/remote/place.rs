//! Where a server is.

use std::fmt;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    /// A name or an IP address, without brackets.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
}

impl Address {
    pub(super) fn new((host, port): &(String, u16)) -> Self {
        Self { host: host.clone(), port: *port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

/// What a connection is to lead to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The one server that serves, wherever it is at the moment.
    Master,
    /// This node of a cluster.
    Node(Address),
}
