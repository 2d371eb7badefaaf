//! The sidecars' admin planes: the flag is flipped over them, and watched until it is settled everywhere.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::{Answer, ClientError, Lane, json_request};
use super::fleet::{FLAG, Leases};
use crate::domain::percent::Percent;

/// For one call to an admin plane.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest that a flip may take to settle, and sidecars to find each other.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at what is under way.
const SETTLE_POLL: Duration = Duration::from_millis(20);

/// What the admin plane says of sidecars that grant leases.
const GRANTED: &str = "open";
/// What it says of a flag that all have applied.
const SETTLED: &str = "settled";

/// Why a flip was not made or not followed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No answer.
    #[error("the admin plane did not answer: {0}")]
    NoAnswer(#[from] ClientError),
    /// A request could not be put together.
    #[error("the request to the admin plane is malformed: {0}")]
    Request(#[from] http::Error),
    /// A refusal.
    #[error("the admin plane at {admin} answered {status}: {answer}")]
    Refused {
        /// Whose.
        admin: SocketAddr,
        /// With what.
        status: StatusCode,
        /// And said what.
        answer: String,
    },
    /// An answer that is not what was asked for.
    #[error("the admin plane at {admin} answered with something else than was asked for: {source}")]
    Unreadable {
        /// Whose.
        admin: SocketAddr,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A flip is still under way.
    #[error("the flag did not settle at {percent} on {admin} within {within:?}")]
    Unsettled {
        /// How long was waited.
        within: Duration,
        /// Where.
        admin: SocketAddr,
        /// At what.
        percent: Percent,
    },
    /// The sidecars have not found each other, or grant no leases.
    #[error(
        "the sidecars did not get together within {within:?}: {admin} has no leases yet, or doesn't see all \
         {expected}; is the Redis there, and can it be written to?"
    )]
    Apart {
        /// How long was waited.
        within: Duration,
        /// Who was asked.
        admin: SocketAddr,
        /// How many there are.
        expected: usize,
    },
}

/// The part of a flag that the demo needs.
#[derive(Deserialize)]
struct FlagView {
    percent: f64,
    version: u64,
    transition: TransitionView,
}

#[derive(Deserialize)]
struct TransitionView {
    step: String,
}

/// The part of a fleet that the demo needs.
#[derive(Deserialize)]
struct FleetView {
    sidecars: Vec<SidecarView>,
}

#[derive(Deserialize)]
struct SidecarView {
    leases: String,
}

/// All of them. At least one.
#[derive(Clone, Debug)]
pub struct AdminPlanes {
    addrs: Vec<SocketAddr>,
    leases: Leases,
    /// For a flip, and for getting together, on each of them.
    within: Duration,
}

impl AdminPlanes {
    /// Those at these addresses. Where leases are shared, flags are too.
    pub fn new(addrs: Vec<SocketAddr>, leases: Leases) -> Self {
        Self { addrs, leases, within: SETTLE_TIMEOUT }
    }

    /// Where they are.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Those that a flag must be changed at to be changed everywhere.
    pub fn to_change(&self) -> &[SocketAddr] {
        match self.leases {
            Leases::OfEach => &self.addrs,
            Leases::Shared => self.addrs.get(..1).unwrap_or_default(),
        }
    }

    /// Waits until sidecars that share leases see each other and grant them.
    pub async fn together(&self) -> Result<(), AdminError> {
        if self.leases == Leases::OfEach {
            return Ok(());
        }
        let (expected, within) = (self.addrs.len(), self.within);
        for &admin in &self.addrs {
            let seen = async {
                loop {
                    let fleet: FleetView = get(admin, "/api/v1/fleet").await?;
                    let granted = fleet.sidecars.iter().filter(|one| one.leases == GRANTED).count();
                    if granted == expected {
                        return Ok(());
                    }
                    tokio::time::sleep(SETTLE_POLL).await;
                }
            };
            let late = |_| Err(AdminError::Apart { within, admin, expected });
            tokio::time::timeout(within, seen).await.unwrap_or_else(late)?;
        }
        Ok(())
    }

    /// Sets the percentage, and waits until it is settled on every sidecar.
    pub async fn flip(&self, percent: Percent, reason: &str) -> Result<(), AdminError> {
        let (mut version, within) = (0, self.within);
        for &admin in self.to_change() {
            let change = serde_json::json!({ "percent": percent.as_f64(), "reason": reason });
            let flag: FlagView =
                ask(admin, Method::PATCH, &flag_path(), change.to_string()).await?;
            version = flag.version;
        }
        // What each keeps for itself has versions of its own, and was changed at each.
        let least = if self.leases == Leases::Shared { version } else { 0 };
        for &admin in &self.addrs {
            let late = |_| Err(AdminError::Unsettled { within, admin, percent });
            tokio::time::timeout(within, settled(admin, percent, least))
                .await
                .unwrap_or_else(late)?;
        }
        Ok(())
    }

    /// The percentage that each sidecar has now, 0 to 100.
    pub async fn percents(&self) -> Result<Vec<f64>, AdminError> {
        let mut percents = Vec::with_capacity(self.addrs.len());
        for &admin in &self.addrs {
            percents.push(get::<FlagView>(admin, &flag_path()).await?.percent);
        }
        Ok(percents)
    }
}

/// Returns when a sidecar has applied `percent`, in this version of the flag or a later one, and all others have.
async fn settled(admin: SocketAddr, percent: Percent, version: u64) -> Result<(), AdminError> {
    loop {
        let flag: FlagView = get(admin, &flag_path()).await?;
        if flag.transition.step == SETTLED
            && flag.percent == percent.as_f64()
            && flag.version >= version
        {
            return Ok(());
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

fn flag_path() -> String {
    format!("/api/v1/flags/{FLAG}")
}

async fn get<T: DeserializeOwned>(admin: SocketAddr, path: &str) -> Result<T, AdminError> {
    ask(admin, Method::GET, path, String::new()).await
}

async fn ask<T: DeserializeOwned>(
    admin: SocketAddr,
    method: Method,
    path: &str,
    json: String,
) -> Result<T, AdminError> {
    let request = json_request(method.as_str(), admin, path, json)?;
    let Answer { status, body, .. } = Lane::to(admin).call(request, ADMIN_TIMEOUT).await?;
    if !status.is_success() {
        let answer = String::from_utf8_lossy(&body).into_owned();
        return Err(AdminError::Refused { admin, status, answer });
    }
    serde_json::from_slice(&body).map_err(|source| AdminError::Unreadable { admin, source })
}

#[cfg(test)]
mod tests;
