//! The replicas: journey services over one store, a sidecar beside each, and their flag flipped over the admin API.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;

use super::client::{Answer, ClientError, Lane, json_request};
use super::journey::{DocumentStore, JourneyOptions, JourneyService, ServiceError};
use crate::app;
use crate::config::{
    AdminConfig, Config, FixedConfig, FlagConfig, LeaseConfig, LegacyConfig, LogFormat,
    ProxyConfig, RouteConfig, StoreConfig, TelemetryConfig, UpstreamUrl,
};
use crate::domain::entity::{EntityTemplate, EntityTemplateError};
use crate::domain::flag::OnStoreLoss;
use crate::domain::percent::Percent;
use crate::domain::route::PathTemplateError;
use crate::domain::source::Source;

/// The demo's one flag.
pub const FLAG: &str = "journey-updates";
/// For one call to an admin plane.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest that a flip may take to settle.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at a flip under way.
const SETTLE_POLL: Duration = Duration::from_millis(20);
/// For stopping all sidecars, one after the other: only a script that was cut short leaves them calls to finish.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Any free port.
const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Why the replicas did not start, or did not follow a flip.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A journey service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A sidecar.
    #[error("a sidecar did not start: {0}")]
    Sidecar(#[from] app::StartError),
    /// The entity's template.
    #[error("the demo's own entity template {0}")]
    Entity(#[from] EntityTemplateError),
    /// A route's path.
    #[error("the demo's own route {0}")]
    Route(#[from] PathTemplateError),
    /// No answer from an admin plane.
    #[error("the admin plane did not answer: {0}")]
    Admin(#[from] ClientError),
    /// An admin plane's request could not be put together.
    #[error("the request to the admin plane is malformed: {0}")]
    Request(#[from] http::Error),
    /// An admin plane refused.
    #[error("the admin plane at {admin} answered {status}: {answer}")]
    Refused {
        /// Whose.
        admin: SocketAddr,
        /// With what.
        status: StatusCode,
        /// And said what.
        answer: String,
    },
    /// An admin plane's answer is no flag.
    #[error("the admin plane at {admin} answered with something that is no flag: {source}")]
    NotAFlag {
        /// Whose.
        admin: SocketAddr,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A flip is still under way.
    #[error("the flag did not settle at {percent} on {admin} within {SETTLE_TIMEOUT:?}")]
    Unsettled {
        /// Where.
        admin: SocketAddr,
        /// At what.
        percent: Percent,
    },
}

/// The part of a flag, as the admin plane shows it, that the demo needs.
#[derive(Deserialize)]
struct FlagView {
    percent: f64,
    transition: TransitionView,
}

#[derive(Deserialize)]
struct TransitionView {
    step: String,
}

struct Replica {
    service: JourneyService,
    sidecar: app::Sidecar,
}

/// All replicas, in this process.
pub struct Fleet {
    replicas: Vec<Replica>,
}

impl Fleet {
    /// Starts `replicas` journey services on one store, and a sidecar in front of each.
    pub async fn start(replicas: u16, store: &DocumentStore) -> Result<Self, FleetError> {
        let mut fleet = Self { replicas: Vec::with_capacity(usize::from(replicas)) };
        for _ in 0..replicas {
            let service = JourneyService::start(JourneyOptions::on_loopback(store.clone()))?;
            let sidecar = app::Sidecar::start(config(service.addr())?).await?;
            fleet.replicas.push(Replica { service, sidecar });
        }
        Ok(fleet)
    }

    /// Where the sidecars take calls.
    pub fn listen_addrs(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.sidecar.listen_addr()).collect()
    }

    /// The sidecars' admin planes.
    pub fn admin_addrs(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.sidecar.admin_addr()).collect()
    }

    /// Sets the percentage on every sidecar, and waits until it is settled there.
    pub async fn flip(&self, percent: Percent, reason: &str) -> Result<(), FleetError> {
        for admin in self.admin_addrs() {
            let change = serde_json::json!({ "percent": percent.as_f64(), "reason": reason });
            let mut flag = ask(admin, Method::PATCH, change.to_string()).await?;
            let settled = async {
                while flag.transition.step != "settled" || flag.percent != percent.as_f64() {
                    tokio::time::sleep(SETTLE_POLL).await;
                    flag = ask(admin, Method::GET, String::new()).await?;
                }
                Ok(())
            };
            tokio::time::timeout(SETTLE_TIMEOUT, settled)
                .await
                .unwrap_or(Err(FleetError::Unsettled { admin, percent }))?;
        }
        Ok(())
    }

    /// The percentage that each sidecar has now, 0 to 100.
    pub async fn percents(&self) -> Result<Vec<f64>, FleetError> {
        let mut percents = Vec::with_capacity(self.replicas.len());
        for admin in self.admin_addrs() {
            percents.push(ask(admin, Method::GET, String::new()).await?.percent);
        }
        Ok(percents)
    }

    /// Stops the sidecars, then the services, which end by themselves a moment later.
    pub async fn stop(self) {
        let sidecars = async {
            for Replica { sidecar, service } in self.replicas {
                sidecar.shutdown().await;
                drop(service);
            }
        };
        // What hangs longer than that ends with the process.
        tokio::time::timeout(STOP_LIMIT, sidecars).await.unwrap_or_default();
    }
}

async fn ask(admin: SocketAddr, method: Method, json: String) -> Result<FlagView, FleetError> {
    let path = format!("/api/v1/flags/{FLAG}");
    let request = json_request(method.as_str(), admin, &path, json)?;
    let Answer { status, body, .. } = Lane::to(admin).call(request, ADMIN_TIMEOUT).await?;
    if !status.is_success() {
        let answer = String::from_utf8_lossy(&body).into_owned();
        return Err(FleetError::Refused { admin, status, answer });
    }
    serde_json::from_slice(&body).map_err(|source| FleetError::NotAFlag { admin, source })
}

/// The configuration of a sidecar in front of one journey service: both routes under one flag, since both write the
/// same document.
fn config(legacy: SocketAddr) -> Result<Config, FleetError> {
    let route = |name: &str, path: &str| {
        Ok::<_, FleetError>(RouteConfig {
            name: name.to_owned(),
            methods: vec![Method::PUT],
            path: path.parse()?,
            sources: vec![Source::Path("journeyId".to_owned())],
        })
    };
    let flag = FlagConfig {
        name: FLAG.to_owned(),
        entity: "journey:{journeyId}".parse::<EntityTemplate>()?,
        percent: Percent::ZERO,
        on_store_loss: OnStoreLoss::Legacy,
        store_patience: Duration::ZERO,
        lease: LeaseConfig { wait: Duration::from_secs(5), max_waiters: 1000 },
        fixed: FixedConfig::Serialize,
        routes: vec![
            route("segment-status", "/api/journeys/{journeyId}/segments/{segmentId}/status")?,
            route("journey-status", "/api/journeys/{journeyId}/status")?,
        ],
    };
    Ok(Config {
        proxy: ProxyConfig {
            listen: LOOPBACK.into(),
            workers: 1,
            max_body: 1024 * 1024,
            max_headers: 32 * 1024,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(1),
            path_header: true,
        },
        legacy: LegacyConfig {
            url: UpstreamUrl { host: legacy.ip().to_string(), port: legacy.port() },
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            settle_after_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
        },
        admin: AdminConfig { listen: LOOPBACK.into(), tokens_file: None },
        store: StoreConfig { snapshot: None },
        telemetry: TelemetryConfig { log: "warn".to_owned(), log_format: LogFormat::Text },
        flags: vec![flag],
    })
}
