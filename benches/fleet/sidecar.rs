//! The sidecars: configured, started, and asked whether they are as they should be.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::app::App;
use crate::calls::Updates;
use crate::http::HttpError;
use crate::ports::ReservedPort;
use crate::process::{Process, ProcessError};
use crate::settled::{NotSettled, wait_until_settled};

const CONFIG: &str = include_str!("interlock.toml");
/// The flag of that configuration.
const FLAG: &str = "/api/v1/flags/journey-updates";
/// `legacy.timeout`: a call that takes longer is given up.
pub(crate) const TIMEOUT: &str = "500ms";
/// `legacy.settle_after_timeout`: how long no lease is granted after the store came back as another one. Short, so that
/// the measurements are; the default is ten times that.
pub(crate) const SETTLE: &str = "500ms";
/// `store.timeout`: the longest that a call waits for the store.
pub(crate) const STORE_TIMEOUT: &str = "50ms";
/// An entity that no measurement uses.
const PROBED_ENTITY: usize = 9_999_999;

/// Why there is no sidecar to measure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SidecarError {
    #[error("its process failed; its log:\n{log}")]
    Process { source: ProcessError, log: String },
    #[error("its files failed")]
    Io(#[from] std::io::Error),
    #[error("a call to it failed")]
    Http(#[from] HttpError),
    #[error("it is not as it should be; its log:\n{log}")]
    NotSettled { source: NotSettled, log: String },
}

/// What serves the entities that a flag has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    /// The app under the entity's lease.
    Serialize,
    /// The same app, as if it were a fixed one: no lease.
    Upstream,
}

/// What makes a sidecar another one than its neighbour.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Of the entities on the fixed path: 0 to 100.
    pub(crate) percent: u8,
    /// What serves them.
    pub(crate) fixed: Fixed,
    /// `store.url`; without one, flags and leases are in the process.
    pub(crate) store: Option<String>,
    /// `store.prefix`: the fleet it belongs to.
    pub(crate) fleet: &'static str,
}

/// Where sidecars are started.
pub(crate) struct Site {
    /// The program.
    pub(crate) program: PathBuf,
    /// A directory of this run's own.
    pub(crate) scratch: PathBuf,
}

/// A sidecar that serves.
pub(crate) struct Sidecar {
    process: Process,
    log: PathBuf,
    data: ReservedPort,
    admin: ReservedPort,
    percent: u8,
}

impl Site {
    /// Starts a sidecar in front of an app and waits until it serves as configured.
    pub(crate) fn start(&self, app: &App, plan: &Plan) -> Result<Sidecar, SidecarError> {
        let mut sidecar = self.launch(app, plan)?;
        sidecar.wait_until_settled()?;
        Ok(sidecar)
    }

    /// Starts a sidecar and does not wait.
    pub(crate) fn launch(&self, app: &App, plan: &Plan) -> Result<Sidecar, SidecarError> {
        let (data, admin) = (ReservedPort::new(), ReservedPort::new());
        let file = |kind| self.scratch.join(format!("interlock-{}.{kind}", data.address().port()));
        let (config, log) = (file("toml"), file("log"));
        fs::write(&config, plan.config(app.address, data.address(), admin.address()))?;
        let output = File::create(&log)?;

        let mut command = Command::new(&self.program);
        command.args(["run", "--config"]).arg(config);
        let streams = [Stdio::null(), Stdio::from(output.try_clone()?), Stdio::from(output)];
        let process = Process::start(None, &command, streams)
            .map_err(|source| SidecarError::Process { source, log: String::new() })?;
        Ok(Sidecar { process, log, data, admin, percent: plan.percent })
    }
}

impl Plan {
    fn config(&self, app: SocketAddr, listen: SocketAddr, admin: SocketAddr) -> String {
        let fixed = match self.fixed {
            Fixed::Serialize => r#"{ strategy = "serialize" }"#.to_owned(),
            Fixed::Upstream => format!(r#"{{ strategy = "upstream", url = "http://{app}" }}"#),
        };
        let store = match &self.store {
            Some(url) => format!(
                "[store]\nurl = \"{url}\"\nprefix = \"{}\"\ntimeout = \"{STORE_TIMEOUT}\"",
                self.fleet
            ),
            None => String::new(),
        };
        CONFIG
            .replace("@LISTEN@", &listen.to_string())
            .replace("@APP@", &app.to_string())
            .replace("@TIMEOUT@", TIMEOUT)
            .replace("@SETTLE@", SETTLE)
            .replace("@ADMIN@", &admin.to_string())
            .replace("@STORE@", &store)
            .replace("@PERCENT@", &self.percent.to_string())
            .replace("@FIXED@", &fixed)
    }
}

impl Sidecar {
    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.data.address()
    }

    /// Where its admin plane is.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Its process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it listens and answers an update without any weaker guarantee, on the path of its percentage.
    pub(crate) fn wait_until_settled(&mut self) -> Result<(), SidecarError> {
        if let Err(source) = self.process.wait_until_it_listens(self.data.address()) {
            return Err(SidecarError::Process { source, log: self.log() });
        }
        let path = match self.percent {
            0 => Some("legacy"),
            100 => Some("fixed"),
            _ => None,
        };
        let mut updates = Updates::of_one(PROBED_ENTITY);
        wait_until_settled(self.data.address(), updates.next(), path)
            .map_err(|source| SidecarError::NotSettled { source, log: self.log() })
    }

    /// What it logged so far.
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The request that reads the flag.
pub(crate) fn read_flag(admin: SocketAddr) -> Vec<u8> {
    format!("GET {FLAG} HTTP/1.1\r\nHost: {admin}\r\n\r\n").into_bytes()
}

/// The request that sets the flag's percentage.
pub(crate) fn set_percent(admin: SocketAddr, percent: u8) -> Vec<u8> {
    let body = format!(r#"{{"percent":{percent},"reason":"a measurement"}}"#);
    format!(
        "PATCH {FLAG} HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
