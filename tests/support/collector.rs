//! A collector of traces: takes OTLP over gRPC or over HTTP from real sockets, hangs and dies as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use super::ports::ReservedPort;
use super::spans::{Span, read};
use super::wait::{eventually, until};

/// Where OTLP over gRPC is sent.
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Where OTLP over HTTP is posted.
const HTTP: &str = "/v1/traces";
/// What stands before a message of gRPC: whether it is compressed, and its length.
const GRPC_PREFIX: usize = 5;

/// How spans get to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otlp {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, as protobuf.
    Http,
}

/// What a collector does with an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    Hangs,
    Refuses,
}

/// A running collector.
pub(crate) struct Collector {
    otlp: Otlp,
    port: ReservedPort,
    seen: Arc<Seen>,
    mood: watch::Sender<Mood>,
    running: Option<Running>,
}

#[derive(Default)]
struct Seen {
    spans: Mutex<Vec<Span>>,
    headers: Mutex<Vec<HeaderMap>>,
    /// Exports that have arrived, whatever became of them.
    arrived: AtomicUsize,
    /// The spans in each export that was taken.
    sizes: Mutex<Vec<usize>>,
    garbage: AtomicBool,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Collector {
    /// One that takes what it is sent.
    pub(crate) fn start(otlp: Otlp) -> Self {
        let mut collector = Self::absent(otlp);
        collector.start_again();
        collector
    }

    /// The address of one that does not run.
    pub(crate) fn absent(otlp: Otlp) -> Self {
        let (mood, _) = watch::channel(Mood::Takes);
        Self { otlp, port: ReservedPort::new(), seen: Arc::default(), mood, running: None }
    }

    /// Runs it where it was, or was to be.
    pub(crate) fn start_again(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (otlp, address) = (self.otlp, self.port.address());
        let (seen, mood) = (Arc::clone(&self.seen), self.mood.subscribe());
        let (ready, listens) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let serving = async {
                let listener = TcpListener::bind(address).await.unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    () = accept(listener, otlp, seen, mood) => {}
                    _ = stopped => {}
                }
            };
            LocalSet::new().block_on(&runtime, serving);
        });
        listens.recv().expect("the collector listens");
        self.running = Some(Running { stop, thread });
    }

    /// Ends it as a crash would: its connections break, and nobody listens.
    pub(crate) fn stop(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }

    /// From now on it reads what it is sent and says nothing.
    pub(crate) fn hang(&self) {
        self.mood.send_replace(Mood::Hangs);
    }

    /// From now on it refuses what it is sent.
    pub(crate) fn refuse(&self) {
        self.mood.send_replace(Mood::Refuses);
    }

    /// From now on it takes what it is sent.
    pub(crate) fn take(&self) {
        self.mood.send_replace(Mood::Takes);
    }

    /// The table `telemetry` of a sidecar that sends it this share of its calls.
    pub(crate) fn traces(&self, ratio: f64) -> String {
        let protocol = match self.otlp {
            Otlp::Grpc => "grpc",
            Otlp::Http => "http/protobuf",
        };
        format!(
            "[telemetry]\notlp_endpoint = \"http://{}\"\notlp_protocol = \"{protocol}\"\n\
             trace_ratio = {ratio:?}\n",
            self.address()
        )
    }

    /// Where it listens, or is to listen.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it has taken so far.
    #[track_caller]
    pub(crate) fn spans(&self) -> Vec<Span> {
        assert!(!self.seen.garbage.load(Ordering::SeqCst), "something came that is no OTLP");
        self.seen.spans.lock().unwrap().clone()
    }

    /// Waits until it has as many spans.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans"), || {
            let spans = self.spans();
            (spans.len() >= count).then_some(spans)
        })
    }

    /// Waits until as many exports have come, taken or not.
    #[track_caller]
    pub(crate) fn wait_for_exports(&self, count: usize) {
        until(&format!("{count} exports"), || self.seen.arrived.load(Ordering::SeqCst) >= count);
    }

    /// How many spans came with each export that it took.
    pub(crate) fn exports(&self) -> Vec<usize> {
        self.seen.sizes.lock().unwrap().clone()
    }

    /// The header fields of each export so far.
    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.seen.headers.lock().unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, otlp: Otlp, seen: Arc<Seen>, mood: watch::Receiver<Mood>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(serve(stream, otlp, Arc::clone(&seen), mood.clone()));
    }
}

async fn serve(stream: TcpStream, otlp: Otlp, seen: Arc<Seen>, mood: watch::Receiver<Mood>) {
    let service = service_fn(move |request| take(request, otlp, Arc::clone(&seen), mood.clone()));
    let io = TokioIo::new(stream);
    // A connection may end as it likes.
    match otlp {
        Otlp::Grpc => {
            drop(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await);
        }
        Otlp::Http => drop(http1::Builder::new().serve_connection(io, service).await),
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn take(
    request: Request<Incoming>,
    otlp: Otlp,
    seen: Arc<Seen>,
    mut mood: watch::Receiver<Mood>,
) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    seen.headers.lock().unwrap().push(head.headers);
    seen.arrived.fetch_add(1, Ordering::SeqCst);
    // What hangs may be taken later, but by then nobody waits for it.
    let hung = *mood.borrow() == Mood::Hangs;
    if hung {
        drop(mood.wait_for(|mood| *mood != Mood::Hangs).await);
    }
    let taken = !hung && *mood.borrow() == Mood::Takes;
    if taken {
        let (path, message) = match otlp {
            Otlp::Grpc => (GRPC, body.slice(GRPC_PREFIX.min(body.len())..)),
            Otlp::Http => (HTTP, body),
        };
        match ExportTraceServiceRequest::decode(message) {
            Ok(request) if head.uri.path() == path => {
                let spans = read(request);
                seen.sizes.lock().unwrap().push(spans.len());
                seen.spans.lock().unwrap().extend(spans);
            }
            _ => seen.garbage.store(true, Ordering::SeqCst),
        }
    }
    Ok(answer(otlp, taken))
}

fn answer(otlp: Otlp, taken: bool) -> Answer {
    let mut trailers = HeaderMap::new();
    let status = if taken { "0" } else { "3" };
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let (kind, body) = match otlp {
        // An empty message, and then how it went.
        Otlp::Grpc => {
            let message = Full::new(Bytes::from_static(&[0; GRPC_PREFIX]));
            ("application/grpc", message.with_trailers(async { Some(Ok(trailers)) }).boxed())
        }
        Otlp::Http => ("application/x-protobuf", Full::new(Bytes::new()).boxed()),
    };
    let status = if taken || otlp == Otlp::Grpc { 200 } else { 400 };
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}
