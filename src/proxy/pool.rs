//! Connections to one upstream, kept by one worker.
//!
//! No task drives a connection: whoever uses it does, inside the call's own future, which saves a task, a wake-up and
//! a channel hop per call. An unused connection therefore notices only when it is taken up again that the upstream has closed
//! it; [`Pool::link`] looks before it hands one out.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Sleep, sleep_until, timeout_at};

use super::body::RequestBody;
use super::error::ConnectError;
use super::upstream_io::{Line, UpstreamIo};
use crate::clock::{self, Instant};
use crate::config::{LegacyConfig, UpstreamUrl};
use crate::domain::flag::Path;
use crate::net::{self, TcpStream};
use crate::telemetry::events::UpstreamFailed;
use crate::telemetry::labels::{Role, UpstreamError};
use crate::telemetry::{GaugeGuard, Telemetry};

/// Bytes read ahead of what the client has taken, per connection.
const READ_AHEAD: usize = 64 * 1024;

/// Unused connections kept per upstream and worker.
const MAX_IDLE: usize = 1024;

/// Between two attempts to connect: from the first to the longest, doubling.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The kept connections to one upstream.
pub(crate) struct Pool {
    upstream: UpstreamUrl,
    /// Which path it serves.
    pub(crate) path: Path,
    /// What its calls are for: those that don't serve move the series of their role alone.
    pub(crate) role: Role,
    /// What `Host` says where a client of HTTP/1.0 sent none.
    pub(crate) host: HeaderValue,
    pub(crate) connect_timeout: Duration,
    /// To the end of an answer's header.
    pub(crate) timeout: Duration,
    /// The longest silence inside an answer's body.
    pub(crate) body_timeout: Duration,
    idle_timeout: Duration,
    /// When unused connections were looked at last. Times of use are told by it: a clock costs more than a call can spare.
    swept_at: Cell<Instant>,
    #[allow(
        clippy::vec_box,
        reason = "a connection moves between here and its call: one pointer, not its whole state"
    )]
    idle: RefCell<Vec<Box<Link>>>,
    pub(crate) telemetry: Telemetry,
}

impl Pool {
    pub(crate) fn new(
        path: Path,
        role: Role,
        upstream: UpstreamUrl,
        legacy: &LegacyConfig,
        body_timeout: Duration,
        telemetry: Telemetry,
    ) -> Rc<Self> {
        let host = HeaderValue::try_from(upstream.authority());
        Rc::new(Self {
            upstream,
            path,
            role,
            host: host.unwrap_or(HeaderValue::from_static("localhost")),
            connect_timeout: legacy.connect_timeout,
            timeout: legacy.timeout,
            body_timeout,
            idle_timeout: legacy.idle_timeout,
            swept_at: Cell::new(clock::now()),
            idle: RefCell::default(),
            telemetry,
        })
    }

    /// A connection that is open as far as anybody can tell: the one used last, or a new one.
    pub(crate) async fn link(&self) -> Result<Box<Link>, ConnectError> {
        while let Some(mut link) = self.take_idle() {
            if link.idle_since == self.swept_at.get() {
                return Ok(link);
            }
            // Unused for some time, it may have been closed. Lets the runtime look at its sockets, so that an end of
            // stream that has arrived is seen.
            tokio::task::yield_now().await;
            if link.is_open() {
                return Ok(link);
            }
        }
        self.connect().await
    }

    /// Tells of a call that failed here.
    pub(crate) fn tell_failure(&self, error: UpstreamError, why: &dyn std::error::Error) {
        let cause = why.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let details = format_args!("{}: {why}{cause}", self.upstream.authority());
        // Whoever calls for another reason than to serve tells of it.
        if self.role == Role::Serving {
            UpstreamFailed { upstream: self.path, error, details }.emit(&self.telemetry);
        }
    }

    fn take_idle(&self) -> Option<Box<Link>> {
        self.idle.borrow_mut().pop()
    }

    /// Takes a connection back after a whole answer, if it can be used again.
    pub(crate) fn give_back(&self, mut link: Box<Link>) {
        if link.is_idle() {
            link.idle_since = self.swept_at.get();
            // Whoever used it last must neither be woken for it any more nor be kept in memory by it.
            link.bell.rings_for(Waker::noop());
            let mut idle = self.idle.borrow_mut();
            if idle.len() < MAX_IDLE {
                idle.push(link);
            }
        }
    }

    /// Sees to it that the next call finds a connection.
    pub(crate) async fn warm(&self) {
        let is_cold = self.idle.borrow().is_empty();
        if is_cold && let Ok(link) = self.connect().await {
            self.give_back(link);
        }
    }

    /// Closes connections that nobody used for the idle time.
    pub(crate) fn prune(&self) {
        let now = clock::now();
        self.swept_at.set(now);
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|link| now - link.idle_since < self.idle_timeout && link.is_open());
        if idle.is_empty() {
            *idle = Vec::new();
        }
    }

    async fn connect(&self) -> Result<Box<Link>, ConnectError> {
        let within = self.connect_timeout;
        let started = clock::now();
        let tcp = dial(&self.upstream, within).await?;
        let shaken = self.handshake(tcp).await.map_err(io::Error::other);
        let mut link = shaken.map_err(|last| ConnectError::Failed { attempts: 1, within, last })?;
        link.connected_in = clock::now() - started;
        Ok(link)
    }

    async fn handshake(&self, tcp: TcpStream) -> Result<Box<Link>, hyper::Error> {
        let (io, line) = UpstreamIo::new(tcp);
        let (sender, connection) = Builder::new()
            .writev(false)
            .max_buf_size(READ_AHEAD)
            .handshake(TokioIo::new(io))
            .await?;
        let bell = Arc::new(Bell::default());
        Ok(Box::new(Link {
            sender,
            connection: Some(connection),
            line,
            closed: false,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            deadline: clock::now(),
            timer: Box::pin(sleep_until(clock::now())),
            idle_since: self.swept_at.get(),
            connected_in: Duration::ZERO,
            _counted: (self.role == Role::Serving)
                .then(|| self.telemetry.upstream_connection(self.path)),
        }))
    }
}

/// Opens a connection; one that is refused is tried again until `within` has passed.
pub(crate) async fn dial(
    upstream: &UpstreamUrl,
    within: Duration,
) -> Result<TcpStream, ConnectError> {
    let deadline = clock::now() + within;
    let mut pause = FIRST_PAUSE;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let last = match timeout_at(deadline, net::dial(&upstream.host, upstream.port)).await {
            Err(_) => return Err(ConnectError::Silent { within }),
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => error,
        };
        let next = clock::now() + pause;
        if next >= deadline {
            return Err(ConnectError::Failed { attempts, within, last });
        }
        sleep_until(next).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Wakes the task that uses a connection, and remembers that it did.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Bell {
    fn rings_for(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Relaxed);
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }
}

/// One connection to an upstream.
pub(crate) struct Link {
    /// Takes the next request.
    pub(crate) sender: SendRequest<RequestBody>,
    /// Gone once it was let go.
    connection: Option<Connection<TokioIo<UpstreamIo>, RequestBody>>,
    /// What is known of it beside hyper.
    pub(crate) line: Line,
    closed: bool,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
    deadline: Instant,
    /// May be set for earlier than the deadline: re-arming it only when it fires keeps it out of most calls.
    timer: Pin<Box<Sleep>>,
    idle_since: Instant,
    /// How long it took to connect; zero once that was told.
    pub(crate) connected_in: Duration,
    /// Where it serves: what runs beside doesn't count.
    _counted: Option<GaugeGuard>,
}

impl Link {
    /// Moves bytes both ways, as far as they go.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if self.closed {
            return;
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        self.bell.rings_for(cx.waker());
        self.bell.rung.store(false, Relaxed);
        // How it ended is told to whoever waits for the answer or its body.
        let cx = &mut Context::from_waker(&self.waker);
        self.closed = connection.poll_without_shutdown(cx).is_ready();
    }

    /// Drops a connection that is closed; `false` where there is none. A request that it was given and had not begun to
    /// send goes back to its sender then, and not before.
    pub(crate) fn let_go_if_closed(&mut self) -> bool {
        self.closed && self.connection.take().is_some()
    }

    /// Moves bytes if anything has happened since that was done last. A task is polled for many reasons, and most of them
    /// are none of this connection's.
    pub(crate) fn drive_if_rung(&mut self, cx: &mut Context<'_>) {
        if self.bell.rung.load(Relaxed) {
            self.drive(cx);
        } else {
            self.bell.rings_for(cx.waker());
        }
    }

    /// Says when [`Self::poll_deadline`] is ready.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
    }

    /// What [`Self::set_deadline`] said last.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.timer.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// Whether it can take the next request.
    fn is_idle(&mut self) -> bool {
        if !self.closed && !self.sender.is_ready() {
            self.drive(&mut Context::from_waker(Waker::noop()));
        }
        !self.closed && !self.line.is_cut() && self.sender.is_ready()
    }

    /// Whether the upstream has not closed it, as far as it is known here.
    fn is_open(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.closed
    }

    /// The bare connection after an answer that changes the protocol, with bytes that were read past that answer.
    pub(crate) fn into_tunnel(mut self) -> Option<(TcpStream, Bytes)> {
        self.is_open();
        if !self.closed {
            return None;
        }
        let parts = self.connection?.into_parts();
        Some((parts.io.into_inner().into_inner(), parts.read_buf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::TcpListener;
    use crate::telemetry::Topology;

    #[tokio::test]
    async fn a_connection_on_which_nothing_can_be_sent_is_not_kept() {
        let listener = net::listen(([127, 0, 0, 1], 0).into(), false).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = UpstreamUrl { host: "127.0.0.1".to_owned(), port };
        let second = Duration::from_secs(1);
        let legacy = LegacyConfig {
            url: url.clone(),
            connect_timeout: second,
            timeout: second,
            settle_after_timeout: second,
            idle_timeout: second,
        };
        let telemetry = Telemetry::new(&Topology::default());
        let pool = Pool::new(Path::Legacy, Role::Serving, url, &legacy, second, telemetry);

        for (is_cut, kept) in [(false, 1), (true, 0)] {
            let mut link = pool.connect().await.unwrap();
            // hyper has to have run once to be ready for a request.
            link.is_open();
            if is_cut {
                link.line.cut();
            }
            pool.idle.borrow_mut().clear();
            pool.give_back(link);

            assert_eq!(pool.idle.borrow().len(), kept, "cut: {is_cut}");
        }
    }
}
