//! An overlay's objects, as kustomize builds them.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Deserializer, Value};

use crate::support::{Run, TempDir};

/// The objects of an overlay.
pub(crate) struct Manifests(Vec<Value>);

impl Manifests {
    /// Builds an overlay of `k8s/overlays`.
    #[track_caller]
    pub(crate) fn of(overlay: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/overlays").join(overlay);
        let built = run(kubectl().arg("kustomize").arg(folder));
        // Nothing here reads YAML, but kubectl does: a label that nobody looks at makes JSON of it.
        let directory = TempDir::new();
        let file = directory.write("built.yaml", &built);
        let json =
            run(kubectl().args(["label", "--local", "-o", "json", "read=yes", "-f"]).arg(file));
        let objects = Deserializer::from_str(&json).into_iter().collect::<Result<_, _>>();
        Self(objects.unwrap())
    }

    /// The object of this kind and name.
    #[track_caller]
    pub(crate) fn one(&self, kind: &str, name: &str) -> &Value {
        let is_it = |one: &&Value| one["kind"] == kind && one["metadata"]["name"] == name;
        self.0.iter().find(is_it).unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// The pod's specification in a Deployment.
    #[track_caller]
    pub(crate) fn pod(&self, deployment: &str) -> &Value {
        &self.one("Deployment", deployment)["spec"]["template"]["spec"]
    }

    /// The name of the container, of a Deployment's pod, that a Service's first port leads to.
    #[track_caller]
    pub(crate) fn behind(&self, service: &str, deployment: &str) -> &str {
        let target = &self.one("Service", service)["spec"]["ports"][0]["targetPort"];
        let pod = self.pod(deployment);
        let lists = [&pod["initContainers"], &pod["containers"]];
        let containers = lists.into_iter().filter_map(Value::as_array).flatten();
        let owns = |container: &&Value| {
            let ports = container["ports"].as_array();
            ports.into_iter().flatten().any(|port| port["name"] == *target)
        };
        let owners: Vec<&Value> = containers.filter(owns).collect();
        assert_eq!(owners.len(), 1, "the port {target} has {} owners", owners.len());
        text(&owners[0]["name"])
    }
}

/// A value that has to be text.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// A list that may be left out.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value that has to be a number of seconds.
#[track_caller]
pub(crate) fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_else(|| panic!("{value} is no number of seconds")))
}

/// The one that `.ci/setup` has installed, before any other that the user has.
fn kubectl() -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let home = env::var("HOME").unwrap_or_default();
    let mut command = Command::new("env");
    command.arg(format!("PATH={home}/.local/bin:{path}")).arg("kubectl");
    command
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let run = Run::of(command);
    assert_eq!(run.code, Some(0), "is kubectl there? .ci/setup installs it: {}", run.all);
    run.out
}
