//! Why there is no connection.

use std::io;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use redis::RedisError;

use super::credentials::CredentialsError;
use super::place::Address;
use super::tls::TlsError;

/// Why a connection was not made, or was given up. No text of it holds a password.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configuration names no address.
    #[error("store.url names no address")]
    Nowhere,
    /// Who we are can't be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Nobody listens there, or the name is unknown.
    #[error("{address}: {source}")]
    Dial {
        /// Where.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// It took too long.
    #[error("{address}: not connected within {} ms", limit.as_millis())]
    Slow {
        /// Where.
        address: Address,
        /// How long was waited.
        limit: Duration,
    },
    /// No secure connection.
    #[error("{address}: {source}")]
    Tls {
        /// Where.
        address: Address,
        /// Why.
        source: TlsError,
    },
    /// The server refused the login or can't serve, or answered nonsense.
    #[error("{address}: {source}")]
    Handshake {
        /// Where.
        address: Address,
        /// What it said.
        source: RedisError,
    },
    /// A replica: what is written there is refused or lost.
    #[error("{address} is not the master")]
    NotMaster {
        /// Where.
        address: Address,
    },
    /// It does not say which run of which server it is.
    #[error("{address}: INFO tells no run_id: is that Redis?")]
    NoRunId {
        /// Where.
        address: Address,
    },
    /// It is connected, and too slow to be of use.
    #[error("{address} does not answer within store.timeout ({} ms)", limit.as_millis())]
    Lame {
        /// Where.
        address: Address,
        /// The timeout.
        limit: Duration,
    },
    /// A Sentinel answers, and knows no such service.
    #[error(
        "the Sentinel {address} knows no service \"{service}\"; store.url has to name one that it knows"
    )]
    UnknownService {
        /// Where.
        address: Address,
        /// As the configuration calls it.
        service: String,
    },
    /// No Sentinel tells where the master is.
    #[error("no Sentinel tells where the master is{}", because(last.as_deref()))]
    NoSentinel {
        /// What one of them said.
        last: Option<Box<Failure>>,
    },
    /// No node of the cluster tells where its masters are.
    #[error("no node of the cluster tells where its masters are{}", because(last.as_deref()))]
    NoCluster {
        /// What one of them said.
        last: Option<Box<Failure>>,
    },
    /// The cluster says of itself that it does not serve, or some keys have no owner.
    #[error("{address}: the cluster does not serve every key")]
    Incomplete {
        /// Who said so.
        address: Address,
    },
    /// It was connected.
    #[error("{address}: {source}")]
    Lost {
        /// Where.
        address: Address,
        /// Why it is not any more.
        source: Loss,
    },
}

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Loss {
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// It stayed silent for several commands.
    #[error("no answer within store.timeout, several times in a row")]
    Silent,
    /// An answer says that the server can't serve.
    #[error("it serves no more: {code}")]
    Unable {
        /// The error's code.
        code: String,
    },
    /// The other connection leads to another server, and is the newer one.
    #[error("the connections led to different servers")]
    Elsewhere,
}

/// A kind of failure: in an outage each is told once.
pub(super) type FailureKind = Discriminant<Failure>;

impl Failure {
    /// Its kind.
    pub(super) fn kind(&self) -> FailureKind {
        discriminant(self)
    }
}

fn because(last: Option<&Failure>) -> String {
    last.map_or_else(String::new, |last| format!(": {last}"))
}
