//! From a listening socket to calls: accepts, bounds every wait and every number, and ends gracefully.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
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

use super::failures::network;
use super::{AdminState, handle};
use crate::net::{TcpListener, TcpStream};
use crate::telemetry::events::ConnectionRefused;
use crate::telemetry::labels::AdminRefusal;

/// The most connections at once: probes, a scraper, a few consoles. With one more, the oldest of the address that has the most is
/// closed.
const MAX_CONNECTIONS: usize = 256;

/// The most of them that have not come to the end of their handshake. With one more, one such is closed in the same way.
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

/// Why a connection was closed that had done nothing wrong.
const CROWDED_OUT: &str = "as many are open as may be, and its address had the most";

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
        for peer in places.make_room() {
            let (refusal, error) = (AdminRefusal::CrowdedOut, &CROWDED_OUT);
            ConnectionRefused { peer, refusal, error }.emit(&state.telemetry);
        }
        let handshaking = Arc::new(AtomicBool::new(state.secure.is_some()));
        let secured = Arc::clone(&handshaking);
        let (state, ending) = (Arc::clone(&state), ending.subscribe());
        let task = connections.spawn(connection(stream, peer, secured, state, ending));
        places.oldest_first.push_back(Place { task, peer, handshaking });
    }
    drop(listener);
    ending.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(GRACE, ended).await);
}

/// A connection.
struct Place {
    task: AbortHandle,
    peer: SocketAddr,
    /// Whether it is still about its handshake.
    handshaking: Arc<AtomicBool>,
}

/// The connections that there are.
#[derive(Default)]
struct Places {
    oldest_first: VecDeque<Place>,
}

impl Places {
    /// Where all places are taken, one of the address that has the most of them goes, the oldest: whoever holds connections open,
    /// never ends a handshake, or begins thousands, must not lock out the probes. Gives whose went.
    fn make_room(&mut self) -> Vec<SocketAddr> {
        self.oldest_first.retain(|place| !place.task.is_finished());
        let all = self.end_one_of(MAX_CONNECTIONS, |_| true);
        let handshaking = |place: &Place| place.handshaking.load(Ordering::Relaxed);
        all.into_iter().chain(self.end_one_of(MAX_HANDSHAKES, handshaking)).collect()
    }

    /// Ends one of these, if there are that many.
    fn end_one_of(&mut self, most: usize, is_one: impl Fn(&Place) -> bool) -> Option<SocketAddr> {
        let these = || self.oldest_first.iter().enumerate().filter(|(_, place)| is_one(place));
        if these().count() < most {
            return None;
        }
        let mut by_network: HashMap<IpAddr, (usize, usize)> = HashMap::new();
        for (index, place) in these() {
            by_network.entry(network(place.peer.ip())).or_insert((0, index)).0 += 1;
        }
        // Of two with as many, the one whose oldest has lasted longer.
        let greatest = |(count, oldest): &&(usize, usize)| (*count, std::cmp::Reverse(*oldest));
        let (_, oldest) = by_network.values().max_by_key(greatest)?;
        let place = self.oldest_first.remove(*oldest)?;
        place.task.abort();
        Some(place.peer)
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
        Some(Err(error)) => {
            let (refusal, error) = (AdminRefusal::Handshake, &error);
            return ConnectionRefused { peer, refusal, error }.emit(&state.telemetry);
        }
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
        place_of(1, handshaking)
    }

    fn place_of(address: u8, handshaking: bool) -> Place {
        let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
        let peer = SocketAddr::from(([10, 0, 0, address], 4711));
        Place { task, peer, handshaking: Arc::new(AtomicBool::new(handshaking)) }
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

    #[tokio::test]
    async fn who_has_the_most_gives_way_though_others_have_lasted_longer() {
        let operator = (0..3).map(|_| place_of(1, true));
        let flood = (0..MAX_HANDSHAKES - 3).map(|_| place_of(2, true));
        let mut places = Places { oldest_first: operator.chain(flood).collect() };

        for _ in 0..10 {
            let gone = places.make_room();
            assert_eq!(gone, [SocketAddr::from(([10, 0, 0, 2], 4711))]);
            places.oldest_first.push_back(place_of(2, true));
        }

        assert!(
            places.make_room().len() == 1 && places.make_room().is_empty(),
            "there is room now"
        );
    }
}
