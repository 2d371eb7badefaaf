//! The proxies that are compared: the peer, nginx, and the subjects.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::load::Traffic;
use crate::process::{Process, ProcessError, free_address};

const NGINX_CONFIG: &str = include_str!("nginx.conf");
const INTERLOCK_CONFIG: &str = include_str!("interlock.toml");

/// The inside of a flag's shadow where it has none, and where every call has one. No shadow may be skipped for want of room: what is
/// measured is the work of all of them.
const NO_SHADOW: &str = r#"{ mode = "off" }"#;
const SHADOW: &str = r#"{ mode = "dry_run", max_inflight = 10000, queue = 100000 }"#;

/// What stands against the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// Interlock: half of the entities on a fixed upstream, no lease.
    Split,
    /// Interlock: every call under its entity's lease.
    Serialize,
    /// Interlock: calls that no route matches.
    Pass,
    /// Interlock: as `split`, with a shadow of every call, compared.
    Shadow,
    /// nginx, a second time where it is the peer: its ratio should be 1.00, and shows what the machine's noise is worth.
    Nginx,
    /// nginx with `mirror` of every call.
    Mirror,
}

/// What the ratios are to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// nginx.
    Nginx,
    /// nginx with `mirror` of every call.
    Mirror,
}

/// How a proxy is run.
#[derive(Clone, Debug)]
pub(crate) enum Recipe {
    /// nginx with the peer's configuration.
    Nginx { mirror: bool },
    /// Interlock: `percent`, `fixed` and `shadow` of its flag, in TOML.
    Interlock { percent: u8, fixed: String, shadow: &'static str },
    /// Any command of the shell.
    Command(String),
}

/// A proxy to be measured, not yet started.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    /// What the table calls it.
    pub(crate) name: String,
    /// Which calls it gets.
    pub(crate) traffic: Traffic,
    /// How it is run.
    pub(crate) recipe: Recipe,
}

impl Proxy {
    /// The proxy that all others are compared with.
    pub(crate) fn peer(peer: Peer) -> Self {
        let (name, mirror) = match peer {
            Peer::Nginx => ("nginx", false),
            Peer::Mirror => ("nginx mirror", true),
        };
        let recipe = Recipe::Nginx { mirror };
        Self { name: name.to_owned(), traffic: Traffic::Updates, recipe }
    }

    /// One of the built-in subjects.
    pub(crate) fn subject(subject: Subject, upstream: SocketAddr) -> Self {
        let interlock = |percent, fixed| Recipe::Interlock { percent, fixed, shadow: NO_SHADOW };
        let fixed_app = format!(r#"{{ strategy = "upstream", url = "http://{upstream}" }}"#);
        let lease = r#"{ strategy = "serialize" }"#.to_owned();
        let (name, traffic, recipe) = match subject {
            Subject::Split => ("interlock split", Traffic::Updates, interlock(50, fixed_app)),
            Subject::Serialize => ("interlock serialize", Traffic::Updates, interlock(100, lease)),
            Subject::Pass => ("interlock pass", Traffic::Unmatched, interlock(50, fixed_app)),
            Subject::Shadow => {
                let recipe = Recipe::Interlock { percent: 50, fixed: fixed_app, shadow: SHADOW };
                ("interlock shadow", Traffic::Updates, recipe)
            }
            Subject::Nginx => ("nginx again", Traffic::Updates, Recipe::Nginx { mirror: false }),
            Subject::Mirror => ("nginx mirrors", Traffic::Updates, Recipe::Nginx { mirror: true }),
        };
        Self { name: name.to_owned(), traffic, recipe }
    }

    /// A subject of the user's own.
    pub(crate) fn command(line: String) -> Self {
        let recipe = Recipe::Command(line);
        Self { name: "command".to_owned(), traffic: Traffic::Updates, recipe }
    }
}

/// Where proxies find what they need.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The core that every proxy runs on.
    pub(crate) core: usize,
    /// The app behind them.
    pub(crate) upstream: SocketAddr,
    /// nginx's program.
    pub(crate) nginx: PathBuf,
    /// How many unused upstream connections nginx keeps, for each of its two upstreams.
    pub(crate) nginx_keepalive: usize,
    /// Interlock's program.
    pub(crate) interlock: PathBuf,
    /// A directory of this run's own.
    pub(crate) scratch: PathBuf,
}

/// A proxy that accepts connections.
pub(crate) struct RunningProxy {
    /// Its process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The admin plane, where it is Interlock.
    pub(crate) admin: Option<SocketAddr>,
}

impl Site {
    /// Starts a proxy on a free port; `env` goes into its environment.
    pub(crate) fn start(
        &self,
        proxy: &Proxy,
        env: &[(&str, &Path)],
    ) -> Result<RunningProxy, ProcessError> {
        let listen = free_address()?;
        let mut admin = None;
        let mut command = match &proxy.recipe {
            Recipe::Nginx { mirror } => self.nginx(listen, *mirror)?,
            Recipe::Interlock { percent, fixed, shadow } => {
                let at = *admin.insert(free_address()?);
                self.interlock([listen, at], *percent, fixed, shadow)?
            }
            Recipe::Command(line) => self.shell(listen, line),
        };
        command.envs(env.iter().copied());
        let mut process = Process::server(Some(self.core), &command)?;
        process.wait_until_it_listens(listen)?;
        Ok(RunningProxy { process, listen, admin })
    }

    fn nginx(&self, listen: SocketAddr, mirror: bool) -> Result<Command, ProcessError> {
        let directory = self.scratch.join(format!("nginx-{}", listen.port()));
        fs::create_dir_all(&directory)?;
        // Started by root it would give its rights up, and then couldn't use the directory.
        let root = fs::metadata(&directory)?.uid() == 0;
        let config = NGINX_CONFIG
            .replace("@DIR@", &directory.display().to_string())
            .replace("@USER@", if root { "user root;" } else { "" })
            .replace("@MIRROR@", if mirror { "mirror /mirror;" } else { "" })
            .replace("@KEEPALIVE@", &self.nginx_keepalive.to_string())
            .replace("@LISTEN@", &listen.to_string())
            .replace("@UPSTREAM@", &self.upstream.to_string());
        let file = directory.join("nginx.conf");
        fs::write(&file, config)?;

        let mut command = Command::new(&self.nginx);
        command.args(["-e", "stderr", "-p"]).arg(directory).arg("-c").arg(file);
        Ok(command)
    }

    fn interlock(
        &self,
        [listen, admin]: [SocketAddr; 2],
        percent: u8,
        fixed: &str,
        shadow: &str,
    ) -> Result<Command, ProcessError> {
        let config = INTERLOCK_CONFIG
            .replace("@LISTEN@", &listen.to_string())
            .replace("@ADMIN@", &admin.to_string())
            .replace("@UPSTREAM@", &self.upstream.to_string())
            .replace("@PERCENT@", &percent.to_string())
            .replace("@FIXED@", fixed)
            .replace("@SHADOW@", shadow);
        let file = self.scratch.join(format!("interlock-{}.toml", listen.port()));
        fs::write(&file, config)?;

        let mut command = Command::new(&self.interlock);
        command.args(["run", "--config"]).arg(file);
        Ok(command)
    }

    fn shell(&self, listen: SocketAddr, line: &str) -> Command {
        let line = line
            .replace("{listen}", &listen.to_string())
            .replace("{port}", &listen.port().to_string())
            .replace("{upstream}", &self.upstream.to_string());
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {line}")]);
        command
    }
}
