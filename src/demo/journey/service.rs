//! The journey service as a running HTTP server, on a thread and a runtime of its own like another process.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::handler::Handler;
use super::store::DocumentStore;
use crate::net::{self, BoundListener, TcpListener, TcpStream};

/// The most connections open at once; more wait in the backlog.
const MAX_CONNECTIONS: usize = 4096;
/// For a whole header block, and so for an idle connection too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// The longest that a stop waits for calls in flight.
const DRAIN: Duration = Duration::from_secs(1);
/// After an accept failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How the journey service runs.
#[derive(Clone, Debug)]
pub struct JourneyOptions {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the documents are.
    pub store: DocumentStore,
    /// Between reading and writing a document: the width of the race.
    pub window: Duration,
    /// Whether an update leaves its `X-Update-Id` in the `Log` of the part that it changed, so that whoever holds the
    /// ids of all acknowledged updates can tell exactly which ones are gone.
    pub update_log: bool,
}

impl JourneyOptions {
    /// The legacy service's own pace: it thinks for about 10 ms.
    pub const WINDOW: Duration = Duration::from_millis(10);

    /// A free loopback port, a window of [`Self::WINDOW`], no update log.
    pub fn on_loopback(store: DocumentStore) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen, store, window: Self::WINDOW, update_log: false }
    }
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The address can't be listened on.
    #[error(
        "the journey service can't listen on {address}: {source}; free the port or name another"
    )]
    Listen {
        /// As asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No thread or no runtime was to be had.
    #[error("the journey service can't get a thread: {0}")]
    Thread(io::Error),
}

/// A running journey service. Dropped or stopped, it finishes the calls in flight for a moment and goes.
#[derive(Debug)]
pub struct JourneyService {
    address: SocketAddr,
    stop: watch::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl JourneyService {
    /// Starts a service; it accepts connections when this returns.
    pub fn start(options: JourneyOptions) -> Result<Self, ServiceError> {
        let address = options.listen;
        let listener = net::listen(address, false)
            .map_err(|source| ServiceError::Listen { address, source })?;
        let address = listener.local_addr().map_err(ServiceError::Thread)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServiceError::Thread)?;
        let (stop, stopped) = watch::channel(());
        let handler = Arc::new(Handler {
            documents: options.store.open(),
            window: options.window,
            update_log: options.update_log,
        });
        let thread = std::thread::Builder::new()
            .name("journey-service".to_owned())
            .spawn(move || runtime.block_on(serve(listener, handler, stopped)))
            .map_err(ServiceError::Thread)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops it and waits, at most about a second, until it is gone.
    pub fn stop(mut self) {
        self.stop.send_replace(());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by the panic hook; there is nothing left to stop.
            thread.join().unwrap_or_default();
        }
    }
}

impl Drop for JourneyService {
    fn drop(&mut self) {
        self.stop.send_replace(());
    }
}

async fn serve(listener: BoundListener, handler: Arc<Handler>, mut stop: watch::Receiver<()>) {
    // Registering a socket that has just been made fails only where the process is out of resources; clients then see
    // their connections refused.
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(_) = connections.join_next(), if connections.len() >= MAX_CONNECTIONS => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&handler), stop.clone()));
                    while connections.try_join_next().is_some() {}
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What is still open after that is cut off with the runtime.
    tokio::time::timeout(DRAIN, drained).await.unwrap_or_default();
}

async fn connection(stream: TcpStream, handler: Arc<Handler>, mut stop: watch::Receiver<()>) {
    // Without it a small answer may wait for an acknowledgement; harmless where the system refuses.
    stream.set_nodelay(true).unwrap_or_default();
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.answer(request).await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A client that breaks its connection is its own affair: there is nobody to tell.
    let stopped = tokio::select! {
        _ = connection.as_mut() => false,
        _ = stop.changed() => true,
    };
    if stopped {
        connection.as_mut().graceful_shutdown();
        connection.await.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::demo::journey::document;

    fn start(window: Duration, store: &DocumentStore) -> JourneyService {
        let options = JourneyOptions { window, ..JourneyOptions::on_loopback(store.clone()) };
        JourneyService::start(options).unwrap()
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = start(JourneyOptions::WINDOW, &DocumentStore::in_process());
        let listen = taken.addr();
        let options = JourneyOptions::on_loopback(DocumentStore::in_process());

        let error = JourneyService::start(JourneyOptions { listen, ..options }).unwrap_err();

        assert!(error.to_string().contains(&listen.to_string()), "{error}");
    }

    #[test]
    fn a_stop_lets_the_call_in_flight_finish() {
        let store = DocumentStore::in_process();
        let DocumentStore::InProcess(documents) = &store else { unreachable!() };
        documents.lock().unwrap().insert("journey:J1".to_owned(), document::seeded("J1"));
        let service = start(JourneyOptions::WINDOW, &store);
        let server = service.addr();
        let mut client = TcpStream::connect(server).unwrap();
        let mut asked = [0; 25];
        write!(
            client,
            "PUT /api/journeys/J1/status HTTP/1.1\r\nhost: x\r\ncontent-length: 19\r\nexpect: 100-continue\r\n\r\n"
        )
        .unwrap();
        // Being asked for the body shows that the call is in the handler.
        client.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");

        client.write_all(br#"{"status":"Active"}"#).unwrap();
        service.stop();

        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(TcpStream::connect(server).is_err());
    }
}
