//! A pod's containers as processes on this machine, started, probed and ended as a kubelet does it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use crate::manifests::{Manifests, list, seconds, text};
use crate::support::{Process, Raw, ReservedPort, TempDir, interlock};

/// What a kubelet asks of a container.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Probe {
    /// Until then nothing after it is started.
    Startup,
    /// While it passes, the pod gets traffic.
    Readiness,
    /// While it passes, the container is left alone.
    Liveness,
}

impl Probe {
    fn field(self) -> &'static str {
        match self {
            Self::Startup => "startupProbe",
            Self::Readiness => "readinessProbe",
            Self::Liveness => "livenessProbe",
        }
    }
}

/// A pod of the journey service with its sidecar.
pub(crate) struct Pod<'m> {
    manifests: &'m Manifests,
    spec: &'m Value,
    name: String,
    /// The Redis' URL.
    redis: String,
    /// Of each Secret that is there: its files.
    secrets: BTreeMap<&'static str, Vec<(&'static str, String)>>,
    /// Of the sidecar's proxy, its admin plane, and the app.
    ports: [ReservedPort; 3],
    /// What is mounted.
    volumes: TempDir,
    sidecar: Option<Process>,
    app: Option<Process>,
}

impl<'m> Pod<'m> {
    /// One of a Deployment, of which nothing runs yet. The Redis that the manifests name is at this URL.
    pub(crate) fn of(
        manifests: &'m Manifests,
        deployment: &str,
        name: &str,
        redis: String,
    ) -> Self {
        let spec = manifests.pod(deployment);
        assert_eq!(list(&spec["initContainers"]).len(), 1, "more than the sidecar comes first");
        assert_eq!(list(&spec["containers"]).len(), 1, "more than the app is there");
        Self {
            manifests,
            spec,
            name: name.to_owned(),
            redis,
            secrets: BTreeMap::new(),
            ports: std::array::from_fn(|_| ReservedPort::new()),
            volumes: TempDir::new(),
            sidecar: None,
            app: None,
        }
    }

    /// Puts a Secret beside it.
    pub(crate) fn with_secret(
        mut self,
        name: &'static str,
        files: Vec<(&'static str, String)>,
    ) -> Self {
        self.secrets.insert(name, files);
        self
    }

    fn sidecar_spec(&self) -> &'m Value {
        &self.spec["initContainers"][0]
    }

    fn app_spec(&self) -> &'m Value {
        &self.spec["containers"][0]
    }

    /// Where callers reach it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.ports[0].address()
    }

    /// Where its admin plane is.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.ports[1].address()
    }

    /// A command inside the sidecar's container, as `kubectl exec` runs it.
    pub(crate) fn exec(&self, arguments: &[&str]) -> Command {
        let mut command = interlock(arguments);
        command.env("INTERLOCK_ADMIN", format!("http://{}", self.admin()));
        command
    }

    /// Starts the sidecar.
    #[track_caller]
    pub(crate) fn start_sidecar(&mut self) {
        assert_eq!(self.sidecar_spec()["restartPolicy"], "Always", "it would be waited for to end");
        let mut command = self.command(self.sidecar_spec());
        let [proxy, admin, app] = &self.ports;
        command
            .env("INTERLOCK__PROXY__LISTEN", proxy.address().to_string())
            .env("INTERLOCK__ADMIN__LISTEN", admin.address().to_string())
            .env("INTERLOCK__LEGACY__URL", format!("http://{}", app.address()))
            .env("INTERLOCK__STORE__URL", &self.redis)
            .env("INTERLOCK__STORE__SNAPSHOT", self.here("/var/lib/interlock/flags.json"));
        // The configuration names them by their places in the container.
        for (key, file) in [("USERNAME", "username"), ("PASSWORD", "password"), ("CA", "ca.pem")] {
            let path = self.here(&format!("/etc/interlock/redis/{file}"));
            if Path::new(&path).exists() {
                command.env(format!("INTERLOCK__STORE__{key}_FILE"), path);
            }
        }
        self.sidecar = Some(Process::start(&mut command));
    }

    /// Starts the app, again where it has ended.
    #[track_caller]
    pub(crate) fn start_app(&mut self) {
        self.app = Some(Process::start(&mut self.command(self.app_spec())));
    }

    /// Whether a probe of the sidecar passes now.
    pub(crate) fn sidecar_passes(&self, probe: Probe) -> bool {
        self.passes(&self.sidecar_spec()[probe.field()])
    }

    /// Whether a probe of the app passes now.
    pub(crate) fn app_passes(&self, probe: Probe) -> bool {
        self.passes(&self.app_spec()[probe.field()])
    }

    /// How long the app goes on after its pod was told to end.
    pub(crate) fn app_sleep(&self) -> Duration {
        seconds(&self.app_spec()["lifecycle"]["preStop"]["sleep"]["seconds"])
    }

    /// Starts what the sidecar's preStop is, which is at the same time. Its container's first process has another number here.
    #[track_caller]
    pub(crate) fn start_hook(&self) -> Process {
        let command = list(&self.sidecar_spec()["lifecycle"]["preStop"]["exec"]["command"]);
        let (program, arguments) = command.split_first().expect("the sidecar has a preStop");
        assert_eq!(program, "/interlock", "there is no other program in the image");
        let pid = self.sidecar.as_ref().expect("it was started").pid().to_string();
        let arguments: Vec<&str> = arguments.iter().map(text).chain(["--pid", &pid]).collect();
        Process::start(&mut interlock(&arguments))
    }

    /// How long all of the end may take.
    pub(crate) fn grace(&self) -> Duration {
        seconds(&self.spec["terminationGracePeriodSeconds"])
    }

    /// Tells the app to end, and waits until it has.
    #[track_caller]
    pub(crate) fn end_app(&mut self) -> ExitStatus {
        end(self.app.take())
    }

    /// Waits until the app has ended by itself.
    #[track_caller]
    pub(crate) fn wait_for_app_to_fail(&mut self) -> ExitStatus {
        self.app.take().expect("it was started").wait_for_exit()
    }

    /// Waits until the sidecar has ended, for whatever reason.
    #[track_caller]
    pub(crate) fn wait_for_sidecar(&mut self) -> ExitStatus {
        self.sidecar.take().expect("it was started").wait_for_exit()
    }

    /// Tells the sidecar to end, and waits until it has.
    #[track_caller]
    pub(crate) fn end_sidecar(&mut self) -> ExitStatus {
        end(self.sidecar.take())
    }

    /// The program of a container, with its arguments, environment and mounts.
    #[track_caller]
    fn command(&self, container: &Value) -> Command {
        let image = text(&container["image"]);
        let name = image.rsplit('/').next().unwrap_or(image);
        assert!(name.starts_with("interlock:"), "{image} is not the image of this binary");
        assert!(container["command"].is_null(), "the image's own entry point is what runs");
        self.mount(container);
        let arguments = list(&container["args"]).iter().map(|argument| self.here(text(argument)));
        let mut command = interlock(&[]);
        command.args(arguments);
        let mut environment: Vec<(&str, String)> = Vec::new();
        for entry in list(&container["env"]) {
            let value = self.value_of(entry, &environment);
            environment.push((text(&entry["name"]), value));
        }
        command.envs(environment);
        command
    }

    fn value_of(&self, entry: &Value, before: &[(&str, String)]) -> String {
        let field = &entry["valueFrom"]["fieldRef"]["fieldPath"];
        match field.as_str() {
            Some("metadata.name") => self.name.clone(),
            Some("metadata.namespace") => "interlock-demo".to_owned(),
            Some(other) => panic!("{other} is not told here"),
            // Only what stands before it is put in.
            None => before.iter().fold(self.here(text(&entry["value"])), |text, (name, value)| {
                text.replace(&format!("$({name})"), value)
            }),
        }
    }

    /// Writes what a container has mounted.
    #[track_caller]
    fn mount(&self, container: &Value) {
        for mount in list(&container["volumeMounts"]) {
            let is_it = |volume: &&Value| volume["name"] == mount["name"];
            let volume = list(&self.spec["volumes"]).iter().find(is_it);
            let volume = volume.unwrap_or_else(|| panic!("there is no volume {}", mount["name"]));
            let directory = self.here(text(&mount["mountPath"]));
            fs::create_dir_all(&directory).unwrap();
            for (file, content) in self.content(volume) {
                fs::write(format!("{directory}/{file}"), content).unwrap();
            }
        }
    }

    /// The files of a volume.
    #[track_caller]
    fn content(&self, volume: &'m Value) -> Vec<(&str, &str)> {
        if volume["emptyDir"].is_object() {
            return Vec::new();
        }
        if let Some(name) = volume["secret"]["secretName"].as_str() {
            let files = self.secrets.get(name).unwrap_or_else(|| panic!("no Secret {name}"));
            return files.iter().map(|(file, content)| (*file, content.as_str())).collect();
        }
        let map = self.manifests.one("ConfigMap", text(&volume["configMap"]["name"]));
        let files = map["data"].as_object().expect("a ConfigMap has files");
        files.iter().map(|(file, content)| (file.as_str(), text(content))).collect()
    }

    /// What a text of the manifests is on this machine.
    fn here(&self, text: &str) -> String {
        let app = self.ports[2].address();
        match text {
            "0.0.0.0:5000" => app.to_string(),
            "redis://redis:6379" => self.redis.clone(),
            path if path.starts_with('/') => {
                self.volumes.file(path.trim_start_matches('/')).to_string_lossy().into_owned()
            }
            other => other.to_owned(),
        }
    }

    #[track_caller]
    fn passes(&self, probe: &Value) -> bool {
        if let [program, arguments @ ..] = list(&probe["exec"]["command"]) {
            assert_eq!(program, "/interlock", "there is no other program in the image");
            let arguments: Vec<&str> = arguments.iter().map(text).collect();
            return self.exec(&arguments).output().unwrap().status.success();
        }
        if let Some(path) = probe["httpGet"]["path"].as_str() {
            assert_eq!(
                probe["httpGet"]["port"], "admin",
                "only the admin plane is asked over HTTP"
            );
            return Raw::try_connect(self.admin()).is_ok_and(|mut client| {
                let host = self.admin();
                client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
                client.try_response().is_ok_and(|response| response.status == 200)
            });
        }
        assert_eq!(probe["tcpSocket"]["port"], 5000, "{probe} is no probe that is known here");
        TcpStream::connect(self.ports[2].address()).is_ok()
    }
}

#[track_caller]
fn end(process: Option<Process>) -> ExitStatus {
    let mut process = process.expect("it was started");
    process.signal("TERM");
    process.wait_for_exit()
}
