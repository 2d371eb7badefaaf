//! One supervised connection: made, watched, given up and made again, for ever.

use std::cell::RefCell;
use std::rc::Rc;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout_at};

use super::breaker::{Backoff, Silence};
use super::connect::{Driver, Session};
use super::error::{CallError, Cause};
use super::failure::{Failure, Loss};
use super::place::{Address, Place};
use super::pool::Pool;
use crate::clock::{self, Instant};
use crate::telemetry::labels::{StoreOperation, StoreResult};

/// After so long without a command the server is asked whether it is there: a connection that nobody uses must not look
/// well when the next one needs it.
const IDLE_CHECK: std::time::Duration = std::time::Duration::from_secs(1);

/// One connection of a lane, while there is one.
pub(super) struct Link {
    pub(super) place: Place,
    live: RefCell<Option<Live>>,
    /// An answer is missing.
    suspicious: Notify,
}

struct Live {
    connection: MultiplexedConnection,
    generation: u64,
    server: Rc<str>,
    address: Rc<Address>,
    silence: Silence,
    heard: Instant,
    give_up: oneshot::Sender<Loss>,
}

/// What a connection is, for whoever compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Serving {
    /// Which connection.
    pub(super) generation: u64,
    /// Which run of which server.
    pub(super) server: Rc<str>,
    /// Where that is.
    pub(super) address: Rc<Address>,
}

impl Link {
    pub(super) fn new(place: Place) -> Self {
        Self { place, live: RefCell::new(None), suspicious: Notify::new() }
    }

    /// What it is connected to.
    pub(super) fn serving(&self) -> Option<Serving> {
        let live = self.live.borrow();
        let live = live.as_ref()?;
        let (server, address) = (Rc::clone(&live.server), Rc::clone(&live.address));
        Some(Serving { generation: live.generation, server, address })
    }

    /// Gives the connection up; whether there was one. From here on there is none.
    pub(super) fn give_up(&self, loss: Loss) -> bool {
        let Some(live) = self.live.take() else {
            return false;
        };
        // Nobody listens where the supervisor has seen the end as well.
        live.give_up.send(loss).is_ok()
    }

    /// Sends commands, and awaits the answer to the last one.
    pub(super) async fn ask(
        &self,
        pool: &Pool,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Value, CallError> {
        let Some((mut connection, generation)) = self.borrow_connection() else {
            return Err(CallError::NotExecuted(Cause::Disconnected));
        };
        let sent = clock::now();
        let answered = timeout_at(deadline, request.send(&mut connection)).await;
        let Ok(result) = answered else {
            if self.note_silence(generation, sent) {
                pool.give_up(self, Loss::Silent);
            }
            return Err(CallError::Unknown(Cause::Timeout));
        };
        let error = match result {
            Ok(value) => {
                self.note_answer(generation);
                return Ok(value);
            }
            Err(error) => CallError::of_sent(error),
        };
        if error.code().is_some() {
            self.note_answer(generation);
        }
        if let Some(code) = error.unable()
            && self.is_at(generation)
        {
            pool.give_up(self, Loss::Unable { code: code.to_owned() });
        }
        Err(error)
    }

    fn borrow_connection(&self) -> Option<(MultiplexedConnection, u64)> {
        let live = self.live.borrow();
        live.as_ref().map(|live| (live.connection.clone(), live.generation))
    }

    fn is_at(&self, generation: u64) -> bool {
        self.live.borrow().as_ref().is_some_and(|live| live.generation == generation)
    }

    fn note_answer(&self, generation: u64) {
        if let Some(live) =
            self.live.borrow_mut().as_mut().filter(|live| live.generation == generation)
        {
            live.silence.answered();
            live.heard = clock::now();
        }
    }

    /// Whether the connection counts as dead.
    fn note_silence(&self, generation: u64, sent: Instant) -> bool {
        let mut live = self.live.borrow_mut();
        let Some(live) = live.as_mut().filter(|live| live.generation == generation) else {
            return false;
        };
        let dead = live.silence.timed_out(sent, clock::now());
        self.suspicious.notify_one();
        dead
    }

    fn is_suspicious(&self) -> bool {
        self.live.borrow().as_ref().is_some_and(|live| live.silence.is_suspicious())
    }

    fn quiet_since(&self) -> Option<Instant> {
        self.live.borrow().as_ref().map(|live| live.heard)
    }

    fn publish(&self, session: Session, generation: u64) -> (Driver, oneshot::Receiver<Loss>) {
        let (give_up, given_up) = oneshot::channel();
        *self.live.borrow_mut() = Some(Live {
            connection: session.opened.connection,
            generation,
            server: session.server.into(),
            address: Rc::new(session.address),
            silence: Silence::default(),
            heard: clock::now(),
            give_up,
        });
        (session.opened.driver, given_up)
    }
}

/// What is sent at once.
pub(super) enum Request<'r> {
    /// One command.
    One(&'r redis::Cmd),
    /// Several; only the answer to the last one is looked at.
    Last(&'r Pipeline),
}

impl Request<'_> {
    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Value, redis::RedisError> {
        let value = match self {
            Self::One(command) => connection.send_packed_command(command).await?,
            Self::Last(commands) => {
                let last = commands.len().saturating_sub(1);
                let mut values = connection.send_packed_commands(commands, last, 1).await?;
                values.pop().unwrap_or(Value::Nil)
            }
        };
        match value {
            Value::ServerError(error) => Err(error.into()),
            value => Ok(value),
        }
    }
}

/// Keeps a link connected; ends only with its task.
pub(super) async fn supervise(pool: Rc<Pool>, link: Rc<Link>) {
    let mut backoff = Backoff::default();
    loop {
        sleep(backoff.pause(fastrand::f64())).await;
        pool.trying();
        let began = clock::now();
        let made = pool.connector.connect(&link.place, None).await;
        let result = if made.is_ok() { StoreResult::Ok } else { StoreResult::Error };
        pool.answered(StoreOperation::Connect, began, result, true);
        match made {
            Err(failure) => pool.failed(&failure),
            Ok(session) => {
                let address = session.address.clone();
                let (driver, given_up) = link.publish(session, pool.next_generation());
                pool.changed();
                let connected = clock::now();
                let source = serve(&pool, &link, driver, given_up).await;
                link.give_up(Loss::Broken);
                pool.changed();
                pool.failed(&Failure::Lost { address, source });
                backoff.served(clock::now().saturating_duration_since(connected));
            }
        }
    }
}

/// Moves a connection's bytes until it breaks or is given up. What still waits for an answer then gets an error.
async fn serve(
    pool: &Pool,
    link: &Link,
    driver: Driver,
    given_up: oneshot::Receiver<Loss>,
) -> Loss {
    tokio::select! {
        biased;
        loss = given_up => loss.unwrap_or(Loss::Broken),
        () = driver => Loss::Broken,
        () = check(pool, link) => Loss::Broken,
    }
}

/// Asks the server whether it is there whenever an answer is missing or nothing was asked for long.
async fn check(pool: &Pool, link: &Link) {
    let ping = redis::cmd("PING");
    while let Some(heard) = link.quiet_since() {
        let idle = tokio::time::sleep_until(heard + IDLE_CHECK);
        tokio::select! {
            biased;
            () = link.suspicious.notified() => {}
            () = idle => {}
        }
        let due = link.is_suspicious()
            || link.quiet_since().is_some_and(|heard| clock::now() >= heard + IDLE_CHECK);
        if due {
            // What it says is noted by the link itself.
            drop(link.ask(pool, &Request::One(&ping), clock::now() + pool.timeout()).await);
        }
    }
}
