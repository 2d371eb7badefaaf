//! Waiting for a sidecar to serve as it should.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Connection, HttpError};

/// How long a sidecar may take from its start, or from a change, until it serves as it should.
const LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at it.
const POLL: Duration = Duration::from_millis(10);

/// It does not.
#[derive(Debug, thiserror::Error)]
#[error("it does not serve as configured after {LIMIT:?} but {seen}")]
pub(crate) struct NotSettled {
    seen: String,
}

/// Waits until an update is answered without any weaker guarantee, and on that path where it is known.
pub(crate) fn wait_until_settled(
    sidecar: SocketAddr,
    update: &[u8],
    path: Option<&str>,
) -> Result<(), NotSettled> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let seen = match unlike(sidecar, update, path) {
            Ok(None) => return Ok(()),
            Ok(Some(seen)) => seen,
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            return Err(NotSettled { seen });
        }
        thread::sleep(POLL);
    }
}

/// What is not yet as it should be, if anything.
fn unlike(
    sidecar: SocketAddr,
    update: &[u8],
    path: Option<&str>,
) -> Result<Option<String>, HttpError> {
    let mut connection = Connection::open(sidecar)?;
    let answer = connection.call_ok(update)?;
    let taken = answer.field("interlock-path").unwrap_or("none");
    Ok(match answer.field("interlock-degraded") {
        Some(degraded) => Some(format!("says {degraded}")),
        None if path.is_some_and(|path| path != taken) => Some(format!("takes the path {taken}")),
        None => None,
    })
}
