//! The app as its own team would fix it: the same service, the same time between reading and writing, no lost update.
//!
//! The write is a compare-and-set of the whole document in Redis, tried again from the read on where another write came
//! in between. That alone makes it right, however many processes there are. Alone it would be slow on a hot journey,
//! where of all who have read the same document one may write, and unfair: who has just written reads first and wins
//! again. So within a process the updates of one journey queue up, and an update that has lost to another process once
//! takes a lock in Redis, which every write respects. A lock that runs out costs a try, not an update.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use interlock::demo::journey::{Journey, Part, document};
use redis::aio::MultiplexedConnection;
use serde::Deserialize;

/// How often an update is tried, each time from the read on: with three processes in turn far more than it takes.
const MAX_TRIES: usize = 100;
/// The longest body of an update, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// How long a lock is held at most, in milliseconds: longer than a try, and not much longer than a client waits.
const LOCK_MS: u64 = 2_000;
/// How long it pauses, in microseconds, where it found the lock held: at random, so that no process always comes first.
const LOCK_PAUSE_US: Range<u64> = 500..3_000;
/// What replaces a document if it is still the one that was read, and nobody else holds its lock. As a function of the store's it is counted apart
/// from the scripts of others.
const LIBRARY: &str = "#!lua name=fixed
redis.register_function('replace', function(keys, args)
  local holder = redis.call('GET', keys[2])
  if holder and holder ~= args[3] then return 0 end
  local is_same = redis.call('GET', keys[1]) == args[1]
  if is_same then
    redis.call('SET', keys[1], args[2], 'KEEPTTL')
    if holder then redis.call('DEL', keys[2]) end
  end
  return is_same and 1 or 0
end)";

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FixedAppError {
    #[error("it can't listen")]
    Io(#[from] std::io::Error),
    #[error("its Redis failed")]
    Redis(#[from] redis::RedisError),
}

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no such resource")]
    NoResource,
    #[error("the body must be {{\"status\": \"...\"}}")]
    BadBody,
    #[error("others kept changing this journey; try again")]
    Crowded,
    #[error("the store failed: {0}")]
    Store(#[from] redis::RedisError),
    #[error("the stored document is no journey: {0}")]
    BadDocument(#[from] serde_json::Error),
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NoResource => StatusCode::NOT_FOUND,
            Self::BadBody => StatusCode::BAD_REQUEST,
            Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::BadDocument(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

type Turn = Arc<tokio::sync::Mutex<()>>;

struct FixedApp {
    redis: MultiplexedConnection,
    window: Duration,
    /// Of each journey: whose update is under way in this process. As many as there are journeys.
    turns: Mutex<HashMap<String, Turn>>,
}

#[derive(Deserialize)]
struct StatusBody {
    status: String,
}

/// Serves at an address until the process is ended; like the legacy app on one thread.
pub(crate) fn serve(
    listen: SocketAddr,
    redis: &str,
    window: Duration,
) -> Result<Infallible, FixedAppError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = redis::Client::open(redis)?;
    runtime.block_on(async move {
        let mut redis = client.get_multiplexed_async_connection().await?;
        let mut load = redis::cmd("FUNCTION");
        load.arg("LOAD").arg("REPLACE").arg(LIBRARY).exec_async(&mut redis).await?;
        let app = Arc::new(FixedApp { redis, window, turns: Mutex::default() });
        let listener = tokio::net::TcpListener::bind(listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let app = Arc::clone(&app);
            let service = service_fn(move |request| {
                let app = Arc::clone(&app);
                async move { Ok::<_, Infallible>(app.answer(request).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A connection that breaks is its caller's to notice.
            tokio::spawn(async move { drop(connection.await) });
        }
    })
}

impl FixedApp {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, json) = match self.serve(request).await {
            Ok(json) => (StatusCode::OK, json),
            Err(refusal) => {
                let error = serde_json::json!({ "error": refusal.to_string() });
                (refusal.status(), error)
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(json.to_string())));
        *response.status_mut() = status;
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<serde_json::Value, Refusal> {
        if request.method() != Method::PUT {
            return Err(Refusal::NoResource);
        }
        let path = request.uri().path().to_owned();
        let path: Vec<&str> = path.split('/').collect();
        let ["", "api", "journeys", journey, "segments", segment, "status"] = path[..] else {
            return Err(Refusal::NoResource);
        };
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|_| Refusal::BadBody)?.to_bytes();
        let body: StatusBody = serde_json::from_slice(&body).map_err(|_| Refusal::BadBody)?;
        self.update(journey, &Part::Segment(segment.to_owned()), &body.status).await?;
        Ok(serde_json::json!({ "journeyId": journey, "segmentId": segment, "status": body.status }))
    }

    async fn update(&self, journey: &str, part: &Part, status: &str) -> Result<(), Refusal> {
        let turn = self.turn_of(journey);
        let _turn = turn.lock().await;
        let key = document::key(journey);
        let mut redis = self.redis.clone();
        let (lock, id) = (format!("fixed:lock:{journey}"), fastrand::u64(..));
        for tried in 0..MAX_TRIES {
            if tried > 0 {
                take(&mut redis, &lock, id).await?;
            }
            let read: [Option<String>; 2] =
                redis::cmd("MGET").arg(&key).arg(&lock).query_async(&mut redis).await?;
            let [read, holder] = read;
            if tried == 0 && holder.is_some() {
                continue;
            }
            let read = read.ok_or(Refusal::NoResource)?;
            let mut changed: Journey = serde_json::from_str(&read)?;
            tokio::time::sleep(self.window).await;
            changed.set_status(part, status, None).map_err(|_| Refusal::NoResource)?;
            let changed = serde_json::to_string(&changed)?;
            let mut replace = redis::cmd("FCALL");
            replace.arg("replace").arg(2).arg(&key).arg(&lock).arg(&read).arg(&changed).arg(id);
            if replace.query_async(&mut redis).await? {
                return Ok(());
            }
        }
        Err(Refusal::Crowded)
    }

    fn turn_of(&self, journey: &str) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        match turns.get(journey) {
            Some(turn) => Arc::clone(turn),
            None => Arc::clone(turns.entry(journey.to_owned()).or_default()),
        }
    }
}

/// Takes a journey's lock, or finds that it has it.
async fn take(
    redis: &mut MultiplexedConnection,
    lock: &str,
    id: u64,
) -> Result<(), redis::RedisError> {
    let id = id.to_string();
    loop {
        let mut set = redis::cmd("SET");
        set.arg(lock).arg(&id).arg("NX").arg("PX").arg(LOCK_MS);
        let taken: Option<String> = set.query_async(redis).await?;
        let holder: Option<String> = match taken {
            Some(_) => return Ok(()),
            None => redis::cmd("GET").arg(lock).query_async(redis).await?,
        };
        if holder.as_deref() == Some(id.as_str()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_micros(fastrand::u64(LOCK_PAUSE_US))).await;
    }
}
