//! A store's URL: which Redis, how it is found, and how it is spoken to.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::mask::MASK;
use super::url::{self, UrlFault};

/// The most hosts that a URL may name: some nodes are enough to find all others.
const MAX_NODES: usize = 32;
/// Where Redis listens unless told otherwise.
const REDIS_PORT: u16 = 6379;
/// Where Sentinel listens unless told otherwise.
const SENTINEL_PORT: u16 = 26379;
/// What is escaped of a user's name when it is written out.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text that never shows in a log, an error or a dump.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for whoever has to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// How the Redis that serves is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// It is the one at the address.
    Single,
    /// The addresses are Sentinels; they know the master of this service.
    Sentinel {
        /// The service's name, as Sentinel calls it.
        service: String,
    },
    /// The addresses are some nodes of a Redis Cluster.
    Cluster,
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    /// Hosts (names or addresses, without brackets) and ports; at least one, and only one for [`StoreMode::Single`].
    pub nodes: Vec<(String, u16)>,
    /// How the one that serves is found.
    pub mode: StoreMode,
    /// Whether TLS is spoken, to Sentinels as well.
    pub tls: bool,
    /// The user, where the URL names one.
    pub username: Option<String>,
    /// The password, where the URL holds one.
    pub password: Option<Secret>,
    /// The number of the database; 0 where none was written, and always in a cluster.
    pub db: u32,
}

/// Why a text is no store's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlFault {
    /// Another scheme, or none.
    #[error(
        "write redis://, rediss:// (TLS), redis+sentinel:// or rediss+sentinel://, such as \"redis://127.0.0.1:6379\""
    )]
    NotRedis,
    /// A socket in the file system.
    #[error(
        "a Unix socket is not supported: let Redis listen on loopback too, and write \"redis://127.0.0.1:6379\""
    )]
    UnixSocket,
    /// A character in the user or password that ends them.
    #[error(
        "its user or password has a character that must be escaped: write '/' as %2F, '?' as %3F, '#' as %23 and '@' as \
         %40"
    )]
    Unescaped,
    /// A `%` that escapes nothing.
    #[error(
        "its user or password has a '%' without two hexadecimal digits behind it, or stands for no UTF-8: write '%' as %25"
    )]
    BadEscape,
    /// `@` or `:@` with nothing before it.
    #[error(
        "its password is empty: write user:password@, :password@, or take out everything up to the '@'"
    )]
    NoPassword,
    /// It was copied from where it was masked.
    #[error("its password is masked: write the real one, or name its file in store.password_file")]
    Masked,
    /// More hosts than anybody needs.
    #[error(
        "it names {count} hosts, and at most {MAX_NODES} are allowed: some nodes find all others"
    )]
    TooManyHosts {
        /// How many.
        count: usize,
    },
    /// No name or address.
    #[error(
        "it has no valid host; IPv6 addresses stand in brackets, such as \"redis://[::1]:6379\""
    )]
    BadHost,
    /// Not 1 to 65535.
    #[error("its port must be a number from 1 to 65535")]
    BadPort,
    /// Options that would be passed over.
    #[error(
        "it has a query or fragment, and no option is set that way: take out '?' or '#' and what follows"
    )]
    QueryOrFragment,
    /// Something else than a number where the database stands.
    #[error("its database must be a number, such as \"redis://127.0.0.1:6379/0\"")]
    BadDatabase,
    /// Sentinels without the name of what they watch.
    #[error(
        "it names no service of the Sentinels, in letters, digits, '.', '-' and '_': write it behind them, such as \
         \"redis+sentinel://127.0.0.1:26379/mymaster\""
    )]
    NoService,
    /// A cluster has one database.
    #[error("a cluster has no database but 0: take out the number")]
    ClusterDatabase,
    /// Sentinel watches no cluster.
    #[error(
        "Sentinels know no cluster: write redis:// and some of its nodes, or take out store.cluster"
    )]
    ClusterOfSentinels,
}

impl StoreUrl {
    /// The same addresses, as nodes of a cluster.
    ///
    /// # Errors
    /// It names Sentinels, or a database.
    pub fn of_cluster(self) -> Result<Self, StoreUrlFault> {
        match self.mode {
            StoreMode::Sentinel { .. } => Err(StoreUrlFault::ClusterOfSentinels),
            _ if self.db != 0 => Err(StoreUrlFault::ClusterDatabase),
            _ => Ok(Self { mode: StoreMode::Cluster, ..self }),
        }
    }

    /// Writes it with this in the place of a password.
    fn write(&self, f: &mut impl fmt::Write, password: &str) -> fmt::Result {
        let sentinel =
            if matches!(self.mode, StoreMode::Sentinel { .. }) { "+sentinel" } else { "" };
        write!(f, "{}{sentinel}://", if self.tls { "rediss" } else { "redis" })?;
        if let Some(username) = &self.username {
            write!(f, "{}", utf8_percent_encode(username, ESCAPED))?;
        }
        if self.password.is_some() {
            write!(f, ":{password}")?;
        }
        if self.username.is_some() || self.password.is_some() {
            f.write_char('@')?;
        }
        for (index, (host, port)) in self.nodes.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}", url::authority(host, *port))?;
        }
        if let StoreMode::Sentinel { service } = &self.mode {
            write!(f, "/{service}")?;
        }
        if self.db == 0 { Ok(()) } else { write!(f, "/{}", self.db) }
    }
}

/// With its password masked.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, MASK)
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlFault;

    /// Reads `redis://[[user]:password@]host[:port][/database]`, or with `redis+sentinel` several hosts, the service
    /// and then the database. With an `s` after `redis`, TLS is spoken; `valkey` means the same as `redis`. Several
    /// hosts without Sentinel are nodes of a cluster.
    fn from_str(url: &str) -> Result<Self, StoreUrlFault> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(StoreUrlFault::NotRedis)?;
        let (tls, sentinel) = match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => (false, false),
            "rediss" | "valkeys" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            "unix" | "redis+unix" => return Err(StoreUrlFault::UnixSocket),
            _ => return Err(StoreUrlFault::NotRedis),
        };
        let (username, password, rest) = match rest.rsplit_once('@') {
            Some((userinfo, rest)) => {
                let (username, password) = credentials(userinfo)?;
                (username, password, rest)
            }
            None => (None, None, rest),
        };
        if rest.contains(['?', '#']) {
            return Err(StoreUrlFault::QueryOrFragment);
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let nodes = nodes(hosts, if sentinel { SENTINEL_PORT } else { REDIS_PORT })?;
        let (service, db) = match (sentinel, path.split_once('/')) {
            (true, Some((service, db))) => (Some(service), db),
            (true, None) => (Some(path), ""),
            (false, _) => (None, path),
        };
        let several = nodes.len() > 1;
        let mode = service.map_or(Ok(StoreMode::Single), sentinel_of)?;
        let url = Self { nodes, mode, tls, username, password, db: database(db)? };
        if several && !sentinel { url.of_cluster() } else { Ok(url) }
    }
}

/// The user and the password in `user:password`; at least one of them.
fn credentials(userinfo: &str) -> Result<(Option<String>, Option<Secret>), StoreUrlFault> {
    if userinfo.contains(['/', '?', '#', '@']) {
        return Err(StoreUrlFault::Unescaped);
    }
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (userinfo, None),
    };
    let username = (!user.is_empty()).then(|| decoded(user)).transpose()?;
    match password {
        Some("") => Err(StoreUrlFault::NoPassword),
        None if username.is_none() => Err(StoreUrlFault::NoPassword),
        // A real one of asterisks can be escaped.
        Some(MASK) => Err(StoreUrlFault::Masked),
        Some(password) => Ok((username, Some(Secret(decoded(password)?)))),
        None => Ok((username, None)),
    }
}

/// Without its percent-escapes.
fn decoded(text: &str) -> Result<String, StoreUrlFault> {
    let escapes_something = |after: &str| {
        after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(escapes_something) {
        return Err(StoreUrlFault::BadEscape);
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| StoreUrlFault::BadEscape)?;
    Ok(decoded.into_owned())
}

fn nodes(hosts: &str, default_port: u16) -> Result<Vec<(String, u16)>, StoreUrlFault> {
    let count = hosts.split(',').count();
    if count > MAX_NODES {
        return Err(StoreUrlFault::TooManyHosts { count });
    }
    let node = |host: &str| {
        url::host_and_port(host, default_port).map_err(|fault| match fault {
            UrlFault::BadPort => StoreUrlFault::BadPort,
            _ => StoreUrlFault::BadHost,
        })
    };
    hosts.split(',').map(node).collect()
}

/// The names that Sentinel itself allows.
fn sentinel_of(service: &str) -> Result<StoreMode, StoreUrlFault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if service.is_empty() || !service.bytes().all(allowed) {
        return Err(StoreUrlFault::NoService);
    }
    Ok(StoreMode::Sentinel { service: service.to_owned() })
}

/// The number of a database; 0 in nothing.
fn database(text: &str) -> Result<u32, StoreUrlFault> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or(StoreUrlFault::BadDatabase)
}

#[cfg(test)]
mod tests;
