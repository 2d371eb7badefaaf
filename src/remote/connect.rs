//! One attempt to connect: find the server, dial, log in, and see that it is one that can serve.

use std::pin::Pin;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError,
    RedisResult, Value, pipe,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::credentials::Credentials;
use super::failure::Failure;
use super::place::{Address, Place};
use super::sentinel::Sentinels;
use super::tls::Tls;
use crate::config::{RedisConfig, StoreMode};
use crate::net;

/// The least time that an attempt to connect gets, however short a command's timeout is: it is several round trips, a
/// name's resolution and, perhaps, TLS.
const LEAST_CONNECT_TIME: Duration = Duration::from_secs(1);

/// The least time for one question to a server that is not the only one to know: the next one is asked after it.
const LEAST_QUESTION_TIME: Duration = Duration::from_millis(250);

/// How many timeouts of a command an attempt to connect gets, where that is more.
const CONNECT_ROUND_TRIPS: u32 = 4;

/// Commands that may wait to be written. Far more than wait in a sidecar that is well; beyond, they wait for their turn
/// within their own timeout.
const PIPELINE_BUFFER: usize = 1000;

/// What a connection is called at the server (`CLIENT LIST`).
const CLIENT_NAME: &str = "interlock";

/// Moves the bytes of a connection; to be polled for as long as it shall live.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()>>>;

/// Receives what is pushed on a connection.
pub(super) type OnPush = Box<dyn Fn(PushInfo) + Send + Sync>;

/// A connection that is logged in.
pub(super) struct Opened {
    /// To speak over.
    pub(super) connection: MultiplexedConnection,
    /// What moves its bytes.
    pub(super) driver: Driver,
}

/// A connection to a server that can serve.
pub(super) struct Session {
    /// To speak over, and what moves its bytes.
    pub(super) opened: Opened,
    /// Where it leads.
    pub(super) address: Address,
    /// The server's run id: another one after each of its starts.
    pub(super) server: String,
}

/// How to log in.
#[derive(Clone, Copy)]
pub(super) enum Login<'c> {
    /// As a Redis wants it.
    Redis(&'c Credentials),
    /// As a Sentinel wants it: not at all, unless it says so.
    Sentinel,
}

/// Makes connections.
pub(super) struct Connector {
    config: RedisConfig,
    sentinels: Option<Sentinels>,
    tls: Option<Tls>,
}

impl Opened {
    /// Speaks over the connection while its bytes are moved.
    pub(super) async fn converse<T>(
        &mut self,
        say: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> RedisResult<T> {
        tokio::select! {
            biased;
            said = say(&mut self.connection) => said,
            () = &mut self.driver => Err((ErrorKind::Io, "the connection broke").into()),
        }
    }
}

impl Connector {
    pub(super) fn new(config: RedisConfig) -> Self {
        let addresses = config.url.nodes.iter().map(Address::new).collect();
        let sentinels = match &config.url.mode {
            StoreMode::Sentinel { service } => Some(Sentinels::new(service.clone(), addresses)),
            StoreMode::Single | StoreMode::Cluster => None,
        };
        let tls = config.url.tls.then(|| Tls::new(config.ca_file.clone()));
        Self { config, sentinels, tls }
    }

    /// The addresses that the configuration names.
    pub(super) fn configured(&self) -> impl Iterator<Item = Address> {
        self.config.url.nodes.iter().map(Address::new)
    }

    /// Connects to a server that can serve; within a bounded time.
    pub(super) async fn connect(
        &self,
        place: &Place,
        on_push: Option<OnPush>,
    ) -> Result<Session, Failure> {
        let credentials = self.credentials()?;
        let address = match (place, &self.sentinels) {
            (Place::Node(address), _) => address.clone(),
            (Place::Master, Some(sentinels)) => sentinels.master(self, &credentials).await?,
            (Place::Master, None) => self.configured().next().ok_or(Failure::Nowhere)?,
        };
        self.within(LEAST_CONNECT_TIME, &address, async {
            let opened = self.open(&address, Login::Redis(&credentials), on_push).await?;
            self.introduce(&address, opened).await
        })
        .await
    }

    /// Connects, has a conversation and parts again; within a bounded time.
    pub(super) async fn consult<T>(
        &self,
        address: &Address,
        login: Login<'_>,
        say: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        self.within(LEAST_QUESTION_TIME, address, async {
            let mut opened = self.open(address, login, None).await?;
            opened.converse(say).await.map_err(|source| handshake(address, source))
        })
        .await
    }

    /// Bounds an attempt: it gets the least time, or what its round trips may take.
    async fn within<T>(
        &self,
        least: Duration,
        address: &Address,
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = self.config.timeout.saturating_mul(CONNECT_ROUND_TRIPS).max(least);
        let ended = timeout(limit, attempt).await;
        ended.unwrap_or_else(|_| Err(Failure::Slow { address: address.clone(), limit }))
    }

    /// Who we are; read anew, since passwords change.
    pub(super) fn credentials(&self) -> Result<Credentials, Failure> {
        Ok(Credentials::read(&self.config)?)
    }

    /// Dials and logs in.
    async fn open(
        &self,
        address: &Address,
        login: Login<'_>,
        on_push: Option<OnPush>,
    ) -> Result<Opened, Failure> {
        let dialed = net::dial_store(&address.host, address.port).await;
        let stream = dialed.map_err(|source| Failure::Dial { address: address.clone(), source })?;
        let info = self.info(login);
        let opened = match &self.tls {
            None => log_in(&info, stream, on_push).await,
            Some(tls) => {
                let secured = tls.secure(&address.host, stream).await;
                let stream =
                    secured.map_err(|source| Failure::Tls { address: address.clone(), source })?;
                log_in(&info, stream, on_push).await
            }
        };
        opened.map_err(|source| handshake(address, source))
    }

    fn info(&self, login: Login<'_>) -> RedisConnectionInfo {
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let Login::Redis(credentials) = login else {
            return info.set_protocol(ProtocolVersion::RESP2);
        };
        let mut info =
            info.set_protocol(ProtocolVersion::RESP3).set_db(i64::from(self.config.url.db));
        if let Some(username) = &credentials.username {
            info = info.set_username(username);
        }
        if let Some(password) = &credentials.password {
            info = info.set_password(password);
        }
        info
    }

    /// Asks who is there, and sees that it answers as fast as it has to.
    async fn introduce(&self, address: &Address, mut opened: Opened) -> Result<Session, Failure> {
        let asked = opened.converse(async |connection| who(connection).await).await;
        let info = asked.map_err(|source| handshake(address, source))?;
        if field(&info, "role") != Some("master") {
            return Err(Failure::NotMaster { address: address.clone() });
        }
        let Some(server) = field(&info, "run_id").map(str::to_owned) else {
            return Err(Failure::NoRunId { address: address.clone() });
        };
        let limit = self.config.timeout;
        let ping = redis::cmd("PING");
        let trial = opened.converse(async |connection| connection.send_packed_command(&ping).await);
        match timeout(limit, trial).await {
            Ok(Ok(_)) => Ok(Session { opened, address: address.clone(), server }),
            Ok(Err(source)) => Err(handshake(address, source)),
            Err(_) => Err(Failure::Lame { address: address.clone(), limit }),
        }
    }
}

async fn log_in(
    info: &RedisConnectionInfo,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    on_push: Option<OnPush>,
) -> RedisResult<Opened> {
    // Every wait is bounded by whoever waits: a limit of the library would be a second, hidden one.
    let mut settings = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(PIPELINE_BUFFER);
    if let Some(on_push) = on_push {
        settings = settings.set_push_sender(move |info| {
            on_push(info);
            Ok::<(), ()>(())
        });
    }
    let (connection, driver) =
        MultiplexedConnection::new_with_config(info, stream, settings).await?;
    Ok(Opened { connection, driver: Box::pin(driver) })
}

/// Asks who is there. A server that can't serve (it loads, or lost its master) refuses `PING`.
async fn who(connection: &mut MultiplexedConnection) -> RedisResult<String> {
    let mut questions = pipe();
    questions.cmd("PING").ignore();
    questions.cmd("INFO").arg("server");
    questions.cmd("INFO").arg("replication");
    let (server, replication): (String, String) = questions.query_async(connection).await?;
    // A name helps people alone: a user who may not set one is still welcome.
    let _answer: Value = connection
        .send_packed_command(redis::cmd("CLIENT").arg("SETNAME").arg(CLIENT_NAME))
        .await?;
    Ok(server + "\n" + &replication)
}

fn handshake(address: &Address, source: RedisError) -> Failure {
    Failure::Handshake { address: address.clone(), source }
}

/// A field of `INFO`.
fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info = "# Replication\r\nrole_x:slave\r\nrole:master\r\nrun_id:abc\r\n";

        assert_eq!(field(info, "role"), Some("master"));
        assert_eq!(field(info, "run_id"), Some("abc"));
        assert_eq!(field(info, "run"), None);
    }
}
