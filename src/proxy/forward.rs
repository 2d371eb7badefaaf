//! One call to an upstream: over a kept connection that is driven inside the call's own future, to the end of its answer.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;

use super::body::{BodyError, RequestBody, Upload};
use super::error::{ConnectError, ProxyError, Refusal, Unanswered, switches};
use super::pool::{FIRST_PAUSE, Link, Pool};
use super::relay::Relay;
use super::traced;
use crate::clock::{self, Instant};
use crate::net::TcpStream;
use crate::telemetry::events::UpstreamAnswered;
use crate::telemetry::labels::UpstreamError;

/// What an upstream gave.
pub(crate) enum Answer {
    /// An answer, its body to come.
    Response(Response<Box<Relay>>),
    /// One that was made here, no app being asked.
    Made(Response<Bytes>),
    /// It changes the protocol: the answer's head, the connection, and bytes that came after the head.
    Upgrade(Response<()>, TcpStream, Bytes),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ForwardError {
    /// Nothing was sent.
    Connect(ConnectError),
    /// Sent, at least in part.
    Unanswered(Unanswered),
    /// The client's own body failed under way.
    Client(Refusal),
}

impl From<ForwardError> for ProxyError {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::Connect(error) => error.into(),
            ForwardError::Unanswered(error) => error.into(),
            ForwardError::Client(refusal) => Self::BrokenOff(refusal),
        }
    }
}

/// An answer, and how long the upstream took to the end of its head.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) elapsed: Duration,
    /// How long it had waited before it was sent: for its body, its entity's lease, a connection.
    pub(crate) waited: Duration,
}

/// How one attempt over one connection ended without an answer.
pub(crate) enum ExchangeError {
    /// The connection was closed before any byte of the request was taken up: it may be sent again.
    Unsent(Box<Request<RequestBody>>),
    /// It may not.
    Failed(ForwardError),
}

/// Connections for one call: a request that is certain to be unsent goes over the next, for as long as a connect may take.
pub(crate) struct Attempts<'p> {
    pool: &'p Rc<Pool>,
    made: u32,
    /// The last one was a connection of its own: that it broke before it was used is a fault worth a pause.
    fresh: bool,
    /// Set with the second one: most calls need no more than one.
    deadline: Option<Instant>,
}

impl<'p> Attempts<'p> {
    pub(crate) fn new(pool: &'p Rc<Pool>) -> Self {
        Self { pool, made: 0, fresh: false, deadline: None }
    }

    /// The connection for the next attempt.
    pub(crate) async fn link(&mut self) -> Result<Box<Link>, ConnectError> {
        let within = self.pool.connect_timeout;
        if self.made > 0 {
            let now = clock::now();
            if now >= *self.deadline.get_or_insert(now + within) {
                let last = std::io::ErrorKind::ConnectionReset.into();
                return Err(ConnectError::Failed { attempts: self.made, within, last });
            }
        }
        self.made += 1;
        if self.fresh {
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        let link = self.pool.link().await;
        self.fresh = link.as_ref().is_ok_and(|link| !link.connected_in.is_zero());
        if let Err(error) = &link {
            self.pool.tell_failure(UpstreamError::Connect, error);
        }
        link
    }
}

/// Sends a request and waits for the head of its answer. Dropping the future gives the call up.
pub(crate) async fn forward(
    pool: &Rc<Pool>,
    mut request: Box<Request<RequestBody>>,
) -> Result<Answered, ForwardError> {
    let mut attempts = Attempts::new(pool);
    loop {
        let since = traced::since(&request);
        let link = attempts.link().await.map_err(|error| {
            traced::unconnected(pool, &mut request, since);
            ForwardError::Connect(error)
        })?;
        match exchange(pool, link, request, Patience::WhileItMoves).await {
            Ok(answered) => return Ok(answered),
            Err(ExchangeError::Unsent(unsent)) => request = unsent,
            Err(ExchangeError::Failed(error)) => return Err(error),
        }
    }
}

/// How long a call whose body is still arriving may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as the body moves, and the timeout from then on.
    WhileItMoves,
    /// The timeout in all: an entity's lease is held meanwhile.
    Fixed,
}

/// One attempt over one connection.
pub(crate) async fn exchange(
    pool: &Rc<Pool>,
    mut link: Box<Link>,
    mut request: Box<Request<RequestBody>>,
    patience: Patience,
) -> Result<Answered, ExchangeError> {
    let sent_at = clock::now();
    link.set_deadline(sent_at + pool.timeout);
    link.line.await_head();
    let mut span = traced::send_on(pool, &mut request, sent_at - link.connected_in);
    let waited = request.body().waited() + std::mem::take(&mut link.connected_in);
    let upload = request.body_mut().upload(sent_at);
    let streams = request.body().is_streamed();
    let may_switch = request.headers().contains_key(UPGRADE);
    let mut answer = std::pin::pin!(link.sender.try_send_request(*request));
    let mut begun = false;
    let answered = poll_fn(|cx| {
        if !std::mem::replace(&mut begun, true) || streams {
            link.drive(cx);
        } else {
            link.drive_if_rung(cx);
        }
        // The answer comes out of driving the connection and never otherwise: only the connection has to wake this task.
        // The look at the deadline below must stay after it: it hands the real waker in where the runtime made this task
        // pause.
        let mut look = || answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut answered = look();
        if answered.is_pending() && link.let_go_if_closed() {
            answered = look();
        }
        if let Poll::Ready(answered) = answered {
            return Poll::Ready(Some(answered));
        }
        while link.poll_deadline(cx).is_ready() {
            let moving = upload.as_ref().filter(|_| patience == Patience::WhileItMoves);
            let later = moving.map(|upload| upload.deadline(pool.body_timeout, pool.timeout));
            match later.filter(|later| *later > link.deadline()) {
                Some(later) => link.set_deadline(later),
                None => return Poll::Ready(None),
            }
        }
        Poll::Pending
    })
    .await;
    link.line.head_came();
    let result = match answered {
        None => Err(unanswered(Unanswered::Timeout { within: pool.timeout })),
        Some(Ok(response)) => answer_of(pool, link, response, (may_switch, upload)),
        Some(Err(mut error)) => Err(match error.take_message() {
            Some(unsent) => ExchangeError::Unsent(Box::new(unsent)),
            None => ExchangeError::Failed(classify(error.into_error())),
        }),
    };
    let elapsed = clock::now() - sent_at;
    report(pool, &result, elapsed);
    if let Some(span) = &mut span {
        traced::sent(span, &result);
    }
    result.map(|answer| Answered { answer, elapsed, waited })
}

fn report(pool: &Pool, result: &Result<Answer, ExchangeError>, elapsed: Duration) {
    match result {
        Ok(_) => {
            UpstreamAnswered { upstream: pool.path, role: pool.role, elapsed }.emit(&pool.telemetry)
        }
        Err(ExchangeError::Failed(ForwardError::Unanswered(why))) => {
            pool.tell_failure(why.label(), why);
        }
        Err(_) => {}
    }
}

fn answer_of(
    pool: &Rc<Pool>,
    link: Box<Link>,
    response: Response<Incoming>,
    (may_switch, upload): (bool, Option<Rc<Upload>>),
) -> Result<Answer, ExchangeError> {
    let unasked = switches(response.status()) && !may_switch;
    if unasked || !plainly_framed(response.headers()) {
        return Err(unanswered(Unanswered::Protocol { source: None }));
    }
    if !switches(response.status()) {
        let relay = |body| Box::new(Relay::new(body, link, Rc::clone(pool), upload));
        let relayed = response.map(relay);
        return Ok(Answer::Response(relayed));
    }
    let head = response.map(drop);
    match link.into_tunnel() {
        Some((tcp, rest)) => Ok(Answer::Upgrade(head, tcp, rest)),
        None => Err(unanswered(Unanswered::Protocol { source: None })),
    }
}

/// A coding other than chunked would be lost on the way: it is named hop by hop, and hyper undoes only `chunked`.
fn plainly_framed(headers: &HeaderMap) -> bool {
    headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

fn unanswered(why: Unanswered) -> ExchangeError {
    ExchangeError::Failed(ForwardError::Unanswered(why))
}

fn classify(error: hyper::Error) -> ForwardError {
    if let Some(body) = find_body_error(&error) {
        return ForwardError::Client(match body {
            BodyError::Silent => Refusal::BodyTimeout,
            BodyError::Broken(_) => Refusal::BodyBroken,
        });
    }
    let source = Some(error);
    let malformed =
        source.as_ref().is_some_and(|error| error.is_parse() || error.is_parse_too_large());
    ForwardError::Unanswered(match malformed {
        true => Unanswered::Protocol { source },
        false => Unanswered::Closed { source },
    })
}

fn find_body_error(error: &hyper::Error) -> Option<&BodyError> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(body) = cause.downcast_ref() {
            return Some(body);
        }
        source = cause.source();
    }
    None
}
