//! What the store pushes: one connection that only listens, made again whenever it breaks.

use std::rc::Rc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Pushed;
use super::breaker::Backoff;
use super::connect::{OnPush, Opened, Session};
use super::pool::Pool;
use crate::clock;

/// How often the server is asked whether it is there, and how long it may take to say so.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// After a refusal: people change what a user may do, and they do it seldom.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
enum End {
    /// It broke.
    #[error("the connection broke")]
    Broken,
    /// It stayed silent.
    #[error("no answer within {} ms", CHECK_EVERY.as_millis())]
    Silent,
    /// It leads to a server that serves no more.
    #[error("the server serves no more")]
    Elsewhere,
    /// The server does not let us listen.
    #[error("the server refuses a subscription: {0}")]
    Refused(#[source] RedisError),
}

/// Listens to channels, for ever. That it fails is told once an outage.
pub(super) async fn listen(
    pool: Rc<Pool>,
    channels: Vec<String>,
    pushed: mpsc::UnboundedSender<Pushed>,
) {
    let mut backoff = Backoff::default();
    let mut status = pool.status();
    loop {
        sleep(backoff.pause(fastrand::f64())).await;
        // Without the other connections nobody can use what is pushed.
        if status.wait_for(|status| status.connected.is_some()).await.is_err() {
            return;
        }
        let Some(place) = pool.any_place() else {
            continue;
        };
        let session = match pool.connector.connect(&place, Some(to(&pushed))).await {
            Ok(session) => session,
            Err(failure) => {
                pool.pushes(false, &failure.to_string());
                continue;
            }
        };
        let connected = clock::now();
        let Session { opened: Opened { mut connection, driver }, address, server } = session;
        let end = tokio::select! {
            biased;
            () = driver => End::Broken,
            end = serve(&pool, &mut connection, &server, &channels, &pushed) => end,
        };
        pool.pushes(false, &format!("{address}: {end}"));
        backoff.served(clock::now().saturating_duration_since(connected));
        if matches!(end, End::Refused(_)) {
            sleep(REFUSED_PAUSE).await;
        }
    }
}

async fn serve(
    pool: &Pool,
    connection: &mut MultiplexedConnection,
    server: &str,
    channels: &[String],
    pushed: &mpsc::UnboundedSender<Pushed>,
) -> End {
    match timeout(CHECK_EVERY, connection.subscribe(channels)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.code().is_some() => return End::Refused(error),
        Ok(Err(_)) => return End::Broken,
        Err(_) => return End::Silent,
    }
    pool.pushes(true, "subscribed");
    // Whoever listened has ended: so will this.
    let _told = pushed.send(Pushed::Subscribed);
    let ping = redis::cmd("PING");
    while pool.serves(server) {
        match timeout(CHECK_EVERY, connection.send_packed_command(&ping)).await {
            Ok(Ok(_)) => sleep(CHECK_EVERY).await,
            Ok(Err(_)) => return End::Broken,
            Err(_) => return End::Silent,
        }
    }
    End::Elsewhere
}

fn to(pushed: &mpsc::UnboundedSender<Pushed>) -> OnPush {
    let pushed = pushed.clone();
    Box::new(move |info| {
        if let Some(message) = message(info) {
            // Nobody listens any more: the connection is about to end.
            let _told = pushed.send(message);
        }
    })
}

fn message(info: PushInfo) -> Option<Pushed> {
    if info.kind != PushKind::Message {
        return None;
    }
    let mut parts = info.data.into_iter();
    let (Value::BulkString(channel), Value::BulkString(payload)) = (parts.next()?, parts.next()?)
    else {
        return None;
    };
    Some(Pushed::Message { channel: String::from_utf8(channel).ok()?, payload })
}
