//! Reading an entity for the lost-update detector: `GET`, from the app as it is.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CACHE_CONTROL, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};

use super::body::RequestBody;
use super::forward::{Answer, forward};
use super::pool::Pool;
use super::relay::Relay;
use crate::clock::{self, Instant};
use crate::config::Config;
use crate::domain::flag::Path;
use crate::shadow::detector::EntityReader;
use crate::shadow::notebook::{RawRead, ReadFault};
use crate::telemetry::Telemetry;
use crate::telemetry::labels::Role;

/// How often it is seen to that there is a connection.
const WARM_EVERY: Duration = Duration::from_secs(1);

/// The largest document that is read, in bytes.
const MAX_DOCUMENT: usize = 1024 * 1024;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("interlock/", env!("CARGO_PKG_VERSION")));

/// Connections of their own, so that no call waits for a read.
#[derive(Clone)]
pub(crate) struct Reader {
    pool: Rc<Pool>,
    /// When it was last seen to that there is a connection.
    warmed: Rc<Cell<Option<Instant>>>,
}

impl Reader {
    /// Reads from the app as it is.
    pub(crate) fn new(config: &Config, telemetry: Telemetry) -> Self {
        let (legacy, silence) = (&config.legacy, config.proxy.body_timeout);
        Self {
            pool: Pool::new(
                Path::Legacy,
                Role::Verify,
                legacy.url.clone(),
                legacy,
                silence,
                telemetry,
            ),
            warmed: Rc::default(),
        }
    }

    /// Closes connections that nobody used for long, and keeps one at hand: a look that has to be ahead of an update has no time to
    /// connect.
    pub(crate) fn prune(&self) {
        self.pool.prune();
        let now = clock::now();
        if self.warmed.get().is_none_or(|warmed| now >= warmed + WARM_EVERY) {
            self.warmed.set(Some(now));
            let pool = Rc::clone(&self.pool);
            tokio::task::spawn_local(async move { pool.warm().await });
        }
    }

    async fn fetch(pool: &Rc<Pool>, path: &str) -> Result<Bytes, ReadFault> {
        let mut request = Request::new(RequestBody::none());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| ReadFault::Unanswered)?;
        let headers = request.headers_mut();
        headers.insert(HOST, pool.host.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Whatever stands between must not answer from what it remembers.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(USER_AGENT, AGENT);
        let answered = forward(pool, Box::new(request)).await.map_err(|_| ReadFault::Unanswered)?;
        let Answer::Response(response) = answered.answer else { return Err(ReadFault::Unanswered) };
        if !response.status().is_success() {
            return Err(ReadFault::Status(response.status().as_u16()));
        }
        collect(response.into_body()).await
    }
}

async fn collect(mut body: Box<Relay>) -> Result<Bytes, ReadFault> {
    let mut document = BytesMut::new();
    loop {
        match std::future::poll_fn(|cx| body.poll_frame(cx)).await {
            None => return Ok(document.freeze()),
            Some(Err(_)) => return Err(ReadFault::Unanswered),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if document.len() + data.len() > MAX_DOCUMENT {
                    return Err(ReadFault::TooLarge);
                }
                document.extend_from_slice(&data);
            }
        }
    }
}

impl EntityReader for Reader {
    fn read(&self, path: String) -> impl Future<Output = RawRead> + 'static {
        let pool = Rc::clone(&self.pool);
        async move {
            let begun = clock::now();
            let document = Self::fetch(&pool, &path).await;
            RawRead { begun, ended: clock::now(), document }
        }
    }
}
