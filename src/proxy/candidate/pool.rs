//! Connections to a candidate, kept by one worker.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::{Arriving, Capturing, Progress};
use super::{Call, CandidateError};
use crate::clock::{self, Instant};
use crate::config::UpstreamUrl;
use crate::domain::compare::Rules;
use crate::domain::flag::Path;
use crate::net::TcpStream;
use crate::proxy::memory::BodyMemory;
use crate::proxy::pool::dial;
use crate::shadow::Captured;
use crate::telemetry::Telemetry;
use crate::telemetry::events::{CandidateFailed, UpstreamAnswered};
use crate::telemetry::labels::{LabelValue, Role};
use crate::telemetry::trace::{ActiveSpan, Target};

/// What is read at once, in bytes, by all connections in turn: one buffer stays in the core's cache.
const READ: usize = 16 * 1024;

/// Unused connections kept.
const MAX_IDLE: usize = 1024;

/// How a candidate is called.
pub(crate) struct Terms {
    /// A refused or unanswered connect is retried within it.
    pub(crate) connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub(crate) idle_timeout: Duration,
    /// They say what is kept of an answer.
    pub(crate) rules: Rules,
    /// The longest answer, in bytes.
    pub(crate) limit: usize,
}

/// The kept connections to one candidate.
pub(crate) struct CandidatePool {
    upstream: UpstreamUrl,
    /// The upstream's host and port, as spans and the log name it.
    authority: String,
    path: Path,
    terms: Rc<Terms>,
    memory: Rc<BodyMemory>,
    idle: RefCell<Vec<(TcpStream, Instant)>>,
    /// When unused connections were looked at last; times of use are told by it.
    swept_at: Cell<Instant>,
    buffer: RefCell<Box<[u8]>>,
    telemetry: Telemetry,
}

impl CandidatePool {
    /// One for the candidate that stands for a path.
    pub(crate) fn new(
        path: Path,
        upstream: UpstreamUrl,
        terms: &Rc<Terms>,
        memory: &Rc<BodyMemory>,
        telemetry: Telemetry,
    ) -> Rc<Self> {
        Rc::new(Self {
            authority: upstream.authority(),
            upstream,
            path,
            terms: Rc::clone(terms),
            memory: Rc::clone(memory),
            idle: RefCell::default(),
            swept_at: Cell::new(clock::now()),
            buffer: RefCell::default(),
            telemetry,
        })
    }

    /// Makes a call ready to be sent here. Gives its span, where it is traced.
    pub(crate) fn begin(&self, call: &mut Call) -> Option<ActiveSpan> {
        let Self { upstream: UpstreamUrl { host, port }, authority, .. } = self;
        let target = Target { host, port: *port, authority, role: Role::Shadow };
        let span = call.onward.as_mut().map(|onward| {
            self.telemetry.tracer().send_on(onward, &call.method, target, clock::now())
        });
        call.mark(self.path, span.as_ref().map(ActiveSpan::context));
        span
    }

    /// Sends a call that was begun here, and reads the whole answer. Dropping the future closes the connection.
    pub(crate) async fn ask(
        &self,
        call: &Call,
        span: &mut Option<ActiveSpan>,
    ) -> Result<Captured, CandidateError> {
        let asked = self.try_ask(call, span).await;
        if let Err(error) = &asked {
            if let Some(span) = span {
                span.fail(error.label().word());
            }
            let cause = std::error::Error::source(error);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            let details = format_args!("{}: {error}{cause}", self.authority);
            CandidateFailed { path: self.path, error: error.label(), details }
                .emit(&self.telemetry);
        }
        asked
    }

    async fn try_ask(
        &self,
        call: &Call,
        span: &mut Option<ActiveSpan>,
    ) -> Result<Captured, CandidateError> {
        let mut stream = match self.take_idle() {
            Some(stream) => stream,
            None => dial(&self.upstream, self.terms.connect_timeout).await?,
        };
        let Terms { rules, limit, .. } = &*self.terms;
        let capturing = Capturing { rules, memory: &self.memory, limit: *limit };
        let mut exchange = Exchange {
            sending: Sending::new(call),
            broken: None,
            arriving: Arriving::new(capturing, call.asks_for_head()),
            sent_at: clock::now(),
            span,
        };
        let end = std::future::poll_fn(|cx| exchange.poll(self, &mut stream, cx)).await?;
        let Exchange { sending, arriving, .. } = exchange;
        match end {
            End::Closed => arriving.close(),
            End::Whole => {
                if arriving.keeps && sending.is_done() {
                    self.give_back(stream);
                }
                arriving.into_answer()
            }
        }
    }

    /// A connection that is open as far as anybody can tell: the one used last.
    fn take_idle(&self) -> Option<TcpStream> {
        loop {
            let (stream, _) = self.idle.borrow_mut().pop()?;
            if is_quiet(&stream) {
                return Some(stream);
            }
        }
    }

    fn give_back(&self, stream: TcpStream) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push((stream, self.swept_at.get()));
        }
    }

    /// Closes connections that nobody used for the idle time.
    pub(crate) fn prune(&self) {
        let now = clock::now();
        self.swept_at.set(now);
        let mut idle = self.idle.borrow_mut();
        let kept = self.terms.idle_timeout;
        idle.retain(|(stream, since)| now - *since < kept && is_quiet(stream));
        if idle.is_empty() {
            *idle = Vec::new();
        }
    }
}

/// Whether an unused connection is neither closed nor being sent what nobody asked for. Costs no system call: what came since
/// shows in what the runtime knows of the socket.
fn is_quiet(stream: &TcpStream) -> bool {
    stream.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// How an exchange ended.
enum End {
    Whole,
    /// The other side has sent all that it will.
    Closed,
}

/// A call that is being sent, and its answer that arrives, perhaps before all was sent.
struct Exchange<'c> {
    sending: Sending<'c>,
    /// Why it can't be sent to its end: the answer may say more.
    broken: Option<io::Error>,
    arriving: Arriving<'c>,
    sent_at: Instant,
    span: &'c mut Option<ActiveSpan>,
}

impl Exchange<'_> {
    fn poll(
        &mut self,
        pool: &CandidatePool,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<End, CandidateError>> {
        if self.broken.is_none()
            && let Poll::Ready(Err(error)) = self.sending.poll(stream, cx)
        {
            self.broken = Some(error);
        }
        let mut buffer = pool.buffer.borrow_mut();
        if buffer.is_empty() {
            *buffer = vec![0; READ].into_boxed_slice();
        }
        loop {
            let mut read = ReadBuf::new(&mut buffer);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut read)) {
                Err(error) => {
                    let error = self.broken.take().unwrap_or(error);
                    return Poll::Ready(Err(CandidateError::Broken(error)));
                }
                Ok(()) if read.filled().is_empty() => {
                    // A socket tells of a reset once: where sending heard of it, this is no end in order.
                    return Poll::Ready(match self.broken.take() {
                        Some(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                            Err(CandidateError::Broken(error))
                        }
                        _ => Ok(End::Closed),
                    });
                }
                Ok(()) => {}
            }
            let had_head = self.arriving.has_head();
            let progress = self.arriving.take(read.filled())?;
            if !had_head && self.arriving.has_head() {
                let elapsed = clock::now() - self.sent_at;
                let (upstream, role) = (pool.path, Role::Shadow);
                UpstreamAnswered { upstream, role, elapsed }.emit(&pool.telemetry);
                if let Some(span) = &mut self.span {
                    span.answered(self.arriving.status);
                }
            }
            if progress == Progress::Whole {
                return Poll::Ready(Ok(End::Whole));
            }
        }
    }
}

/// What is still to be sent of a call.
struct Sending<'c> {
    call: &'c Call,
    part: usize,
    sent_of_part: usize,
    parts: usize,
}

impl<'c> Sending<'c> {
    fn new(call: &'c Call) -> Self {
        Self { call, part: 0, sent_of_part: 0, parts: call.parts().count() }
    }

    fn is_done(&self) -> bool {
        self.part == self.parts
    }

    fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(part) = self.call.parts().nth(self.part) {
            let left = part.get(self.sent_of_part..).unwrap_or_default();
            if left.is_empty() {
                (self.part, self.sent_of_part) = (self.part + 1, 0);
                continue;
            }
            self.sent_of_part += ready!(Pin::new(&mut *stream).poll_write(cx, left))?;
        }
        Poll::Ready(Ok(()))
    }
}
