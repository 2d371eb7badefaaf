//! From a listening socket to calls: accepts, bounds every wait and every number, and ends gracefully.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::{AdminState, handle};
use crate::net::{TcpListener, TcpStream};

/// The most connections at once: probes, a scraper, a few consoles. With one more, the oldest is closed.
const MAX_CONNECTIONS: usize = 256;

/// The largest header block and read buffer, in bytes.
const MAX_BUFFER_BYTES: usize = 32 * 1024;

/// For a header block to arrive, counted from the end of the call before: an idle connection is closed after it.
/// Longer than the usual 15 s between two scrapes, so that a scraper keeps its connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that a connection lives: a client that never reads its answer holds a place no longer.
const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// For a call under way to finish when a connection or the server ends.
const GRACE: Duration = Duration::from_secs(5);

/// Before accepting again after it failed, as when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` completes, then lets calls under way finish, for 5 s at most.
pub async fn serve(
    listener: TcpListener,
    state: Arc<AdminState>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let (ending, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut oldest_first = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        make_room(&mut oldest_first);
        let (state, ending) = (Arc::clone(&state), ending.subscribe());
        oldest_first.push_back(connections.spawn(connection(stream, state, ending)));
    }
    drop(listener);
    ending.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(GRACE, ended).await);
}

/// Where all places are taken, the connection that has lasted longest goes: whoever holds connections open must not lock
/// out the probes.
fn make_room(oldest_first: &mut VecDeque<AbortHandle>) {
    if oldest_first.len() >= MAX_CONNECTIONS {
        oldest_first.retain(|connection| !connection.is_finished());
    }
    if oldest_first.len() >= MAX_CONNECTIONS
        && let Some(oldest) = oldest_first.pop_front()
    {
        oldest.abort();
    }
}

async fn connection(stream: TcpStream, state: Arc<AdminState>, mut ending: watch::Receiver<bool>) {
    // Without it an answer may wait for a delayed acknowledgement; a socket that refuses it works all the same.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(handle(&state, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let told = async { drop(ending.wait_for(|ending| *ending).await) };
    // How a connection of the admin plane ends is its client's business.
    tokio::select! {
        biased;
        _ended = connection.as_mut() => return,
        _told = tokio::time::timeout(CONNECTION_AGE, told) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(GRACE, connection).await);
}
