//! From a listening socket to calls: accepts, bounds every wait and every number, and ends gracefully.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::{AdminState, handle};
use crate::net::{TcpListener, TcpStream};
use crate::telemetry::events::HandshakeFailed;

/// The most connections at once: probes, a scraper, a few consoles. With one more, the oldest is closed.
const MAX_CONNECTIONS: usize = 256;

/// The most of them that have not come to the end of their handshake. With one more, the oldest such is closed.
const MAX_HANDSHAKES: usize = 64;

/// The read buffer, in bytes: a header block that it doesn't hold is refused. What comes in one piece may be up to twice as
/// large.
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
    let mut places = Places::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // On a socket for both, IPv4 comes in IPv6's clothes.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        places.make_room();
        let handshaking = Arc::new(AtomicBool::new(state.secure.is_some()));
        let secured = Arc::clone(&handshaking);
        let (state, ending) = (Arc::clone(&state), ending.subscribe());
        let task = connections.spawn(connection(stream, peer, secured, state, ending));
        places.oldest_first.push_back(Place { task, handshaking });
    }
    drop(listener);
    ending.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(GRACE, ended).await);
}

/// A connection.
struct Place {
    task: AbortHandle,
    /// Whether it is still about its handshake.
    handshaking: Arc<AtomicBool>,
}

/// The connections that there are.
#[derive(Default)]
struct Places {
    oldest_first: VecDeque<Place>,
}

impl Places {
    /// Where all places are taken, the connection that has lasted longest goes: whoever holds connections open, or never
    /// ends a handshake, must not lock out the probes.
    fn make_room(&mut self) {
        self.oldest_first.retain(|place| !place.task.is_finished());
        if self.oldest_first.len() >= MAX_CONNECTIONS {
            self.end(0);
        }
        let is_handshaking = |place: &Place| place.handshaking.load(Ordering::Relaxed);
        let mut handshakes =
            self.oldest_first.iter().enumerate().filter(|(_, it)| is_handshaking(it));
        let oldest = handshakes.next().map(|(index, _)| index);
        if handshakes.count() + 1 >= MAX_HANDSHAKES
            && let Some(oldest) = oldest
        {
            self.end(oldest);
        }
    }

    fn end(&mut self, index: usize) {
        if let Some(place) = self.oldest_first.remove(index) {
            place.task.abort();
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    handshaking: Arc<AtomicBool>,
    state: Arc<AdminState>,
    ending: watch::Receiver<bool>,
) {
    // Without it an answer may wait for a delayed acknowledgement; a socket that refuses it works all the same.
    drop(stream.set_nodelay(true));
    let Some(secure) = &state.secure else {
        return calls(stream, peer, state, ending).await;
    };
    let secured = match secure.handshake(stream).await {
        Some(Ok(secured)) => secured,
        Some(Err(error)) => return HandshakeFailed { peer, error: &error }.emit(&state.telemetry),
        None => return,
    };
    handshaking.store(false, Ordering::Relaxed);
    calls(secured, peer, state, ending).await;
}

/// Serves the calls of one connection.
async fn calls<S>(
    stream: S,
    peer: SocketAddr,
    state: Arc<AdminState>,
    mut ending: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(handle(&state, peer, request).await) }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(handshaking: bool) -> Place {
        let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
        Place { task, handshaking: Arc::new(AtomicBool::new(handshaking)) }
    }

    /// Makes room among these; tells how many are left that are secure, and that are not.
    async fn left_of(secure: usize, handshaking: usize) -> (usize, usize) {
        let places = (0..secure).map(|_| place(false)).chain((0..handshaking).map(|_| place(true)));
        let mut places = Places { oldest_first: places.collect() };
        let first: Vec<AbortHandle> =
            places.oldest_first.iter().map(|place| place.task.clone()).collect();
        let before = places.oldest_first.len();

        places.make_room();

        let lost = before - places.oldest_first.len();
        let ended = || first.iter().filter(|task| task.is_finished()).count();
        let all_ended = async {
            while ended() < lost {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), all_ended).await;
        in_time.expect("who has no place any more ends");
        assert_eq!(ended(), lost, "and nobody else does");
        let is_secure = |place: &&Place| !place.handshaking.load(Ordering::Relaxed);
        let secure = places.oldest_first.iter().filter(is_secure).count();
        (secure, places.oldest_first.len() - secure)
    }

    #[tokio::test]
    async fn handshakes_make_room_for_each_other_and_never_at_the_cost_of_calls() {
        assert_eq!(left_of(100, 63).await, (100, 63), "there is room");
        assert_eq!(left_of(100, 64).await, (100, 63));
        assert_eq!(left_of(255, 0).await, (255, 0), "there is room");
        assert_eq!(left_of(256, 0).await, (255, 0));
    }
}
