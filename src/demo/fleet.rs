//! The replicas: journey services over one store, and a sidecar beside each.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;

use super::admin::AdminPlanes;
use super::journey::{DocumentStore, JourneyOptions, JourneyService, ServiceError};
use crate::app;
use crate::config::{
    AdminConfig, AdminOpen, Config, DivergenceConfig, EffectConfig, FixedConfig, FlagConfig,
    IdempotencyConfig, LeaseConfig, LegacyConfig, LogFormat, ProxyConfig, RedisConfig, RouteConfig,
    StoreConfig, TelemetryConfig, UpstreamUrl, VerifyConfig,
};
use crate::domain::compare::PatternError;
use crate::domain::effects::EffectPointerError;
use crate::domain::entity::{EntityTemplate, EntityTemplateError};
use crate::domain::flag::OnStoreLoss;
use crate::domain::percent::Percent;
use crate::domain::route::PathTemplateError;
use crate::domain::source::Source;

/// The demo's one flag.
pub const FLAG: &str = "journey-updates";
/// For stopping all sidecars, one after the other: only a script that was cut short leaves them calls to finish.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// For one call of the journey service's, whose own calls to Redis may take 2 s each.
const LEGACY_TIMEOUT: Duration = Duration::from_secs(5);
/// How much later than that the service may still write: with a connection, a read, a window and a write, each as long as
/// it may get, it is through in about 8 s.
const SETTLE_AFTER_TIMEOUT: Duration = Duration::from_secs(3);
/// For an entity's lease.
const LEASE_WAIT: Duration = Duration::from_secs(5);
/// The largest document that would be edited; none is, as no route of the demo declares an edit.
const MAX_DOCUMENT: usize = 256 * 1024;
/// A pause of the store that a call sits out, rather than going on without a lease.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// Any free port.
const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Who grants leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leases {
    /// Each sidecar, for itself.
    OfEach,
    /// All sidecars together, in their store.
    Shared,
}

/// Why the replicas did not start.
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
    /// What a route's updates do.
    #[error("the demo's own effect {0}")]
    Effect(#[from] EffectPointerError),
    /// What records may show.
    #[error("the demo's own pattern {0}")]
    Reveal(#[from] PatternError),
}

struct Replica {
    service: JourneyService,
    sidecar: app::Sidecar,
}

/// All replicas, in this process.
pub struct Fleet {
    replicas: Vec<Replica>,
    leases: Leases,
}

impl Fleet {
    /// Starts `replicas` journey services on one store, and a sidecar in front of each; the sidecars share flags and leases
    /// in `shared`.
    pub async fn start(
        replicas: u16,
        store: &DocumentStore,
        shared: Option<&RedisConfig>,
    ) -> Result<Self, FleetError> {
        let leases = if shared.is_some() { Leases::Shared } else { Leases::OfEach };
        let mut fleet = Self { replicas: Vec::with_capacity(usize::from(replicas)), leases };
        for _ in 0..replicas {
            let service = JourneyService::start(JourneyOptions::on_loopback(store.clone()))?;
            let sidecar = app::Sidecar::start(config(service.addr(), shared)?).await?;
            fleet.replicas.push(Replica { service, sidecar });
        }
        Ok(fleet)
    }

    /// Where the sidecars take calls.
    pub fn listen_addrs(&self) -> Vec<SocketAddr> {
        self.replicas.iter().map(|replica| replica.sidecar.listen_addr()).collect()
    }

    /// Who grants leases.
    pub fn leases(&self) -> Leases {
        self.leases
    }

    /// The sidecars' admin planes.
    pub fn admin(&self) -> AdminPlanes {
        let addrs = self.replicas.iter().map(|replica| replica.sidecar.admin_addr()).collect();
        AdminPlanes::new(addrs, self.leases)
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

/// The configuration of a sidecar in front of one journey service: both routes under one flag, since both write the
/// same document.
fn config(legacy: SocketAddr, shared: Option<&RedisConfig>) -> Result<Config, FleetError> {
    let route = |name: &str, path: &str, effect: &str| {
        Ok::<_, FleetError>(RouteConfig {
            name: name.to_owned(),
            methods: vec![Method::PUT],
            path: path.parse()?,
            sources: vec![Source::Path("journeyId".to_owned())],
            effect: Some(EffectConfig {
                pointer: effect.parse()?,
                value: Source::Body("/status".to_owned()),
            }),
            atomic: None,
        })
    };
    let flag = FlagConfig {
        name: FLAG.to_owned(),
        entity: "journey:{journeyId}".parse::<EntityTemplate>()?,
        percent: Percent::ZERO,
        on_store_loss: OnStoreLoss::Legacy,
        store_patience: STORE_PATIENCE,
        lease: LeaseConfig { wait: LEASE_WAIT, max_waiters: 1000 },
        idempotency: IdempotencyConfig { keep: Duration::ZERO, max_body: 0 },
        fixed: FixedConfig::Serialize,
        max_document: MAX_DOCUMENT,
        routes: vec![
            route(
                "segment-status",
                "/api/journeys/{journeyId}/segments/{segmentId}/status",
                "/segments/[segmentId={segmentId}]/status",
            )?,
            route("journey-status", "/api/journeys/{journeyId}/status", "/status")?,
        ],
        verify: Some(VerifyConfig {
            read: "/api/journeys/{journeyId}".parse()?,
            sample: Percent::FULL,
            settle: Duration::from_millis(100),
            interval: Duration::from_secs(1),
            max_reads: 200,
        }),
        shadow: None,
        // The demo's journeys are made up.
        reveal: vec!["/**".parse()?],
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
            timeout: LEGACY_TIMEOUT,
            settle_after_timeout: SETTLE_AFTER_TIMEOUT,
            idle_timeout: Duration::from_secs(30),
        },
        admin: AdminConfig {
            listen: LOOPBACK.into(),
            tokens_file: None,
            open: AdminOpen { probes: true, metrics: true },
            tls: None,
        },
        store: StoreConfig { snapshot: None, redis: shared.cloned() },
        telemetry: TelemetryConfig {
            log: "warn".to_owned(),
            log_format: LogFormat::Text,
            traces: None,
        },
        divergence: DivergenceConfig { keep: 1000, max_age: Duration::from_secs(86_400) },
        flags: vec![flag],
    })
}
