//! The standard `OTEL_*` variables about traces: a layer above all others, and what no key of ours says.
//!
//! What their specification wants passed over with a warning is: they are often set for every container of a pod, and
//! none should refuse to start for what only another one understands. An endpoint or headers that can't be used are
//! refused, since nobody wants spans sent elsewhere, or without what lets them in.

use std::collections::BTreeMap;
use std::time::Duration;

use config::Value;

use super::check::Findings;
use super::collector::NamedBy;
use super::error::{Origin, Problem};
use super::host_name;
use super::otel_table::{
    ENDPOINT, EXPORTER, HEADERS, PROTOCOL, RESOURCE_ATTRIBUTES, SAMPLER, SAMPLER_ARG, SDK_DISABLED,
    SERVICE_NAME, TIMEOUT, TRACES_ENDPOINT, TRACES_HEADERS, TRACES_PROTOCOL, TRACES_TIMEOUT,
};
use super::pairs;
use super::raw::{self, Layer};
use super::store_url::Secret;
use super::values;
use super::warning::{Notice, Warning};

/// What the names of these variables begin with.
const PREFIX: &str = "OTEL_";

/// What the variable of the sampler may say.
const SAMPLERS: &str = "traceidratio, parentbased_traceidratio, always_on, parentbased_always_on, always_off or \
                        parentbased_always_off";

/// The name of the service where nobody gives another.
const SERVICE: &str = "interlock";
/// For one export, where nobody says otherwise: the specification's own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// In milliseconds. A longer one is a slip in the unit.
const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// What the variables say.
#[derive(Debug, Default)]
pub(super) struct Otel {
    /// The keys that they set.
    pub(super) layer: Layer,
    /// The one that turns traces off.
    pub(super) off: Option<&'static str>,
    /// Whether they ask for OTLP by its name.
    pub(super) asked_for: bool,
    /// Whose endpoint it is.
    pub(super) named_by: NamedBy,
    /// Sent along with every export.
    pub(super) headers: Vec<(String, Secret)>,
    /// For one export, where it is said.
    timeout: Option<Duration>,
    /// Attributes of the resource beside those that are always there, and in place of them.
    attributes: Vec<(String, String)>,
}

/// Whether a variable of this name may be one of these.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Where a variable's value is named as a place.
pub(super) fn origin(name: &str) -> String {
    format!("environment variable {name}")
}

/// Reads them. Those about anything but traces are passed over.
pub(super) fn read(variables: BTreeMap<String, String>, findings: &mut Findings) -> Otel {
    let mut reader = Reader { variables, findings, otel: Otel::default() };
    reader.off();
    if reader.otel.off.is_none() {
        reader.endpoint();
        reader.protocol();
        reader.sampler();
        reader.headers();
        reader.timeout();
        reader.attributes();
    }
    reader.otel
}

impl Otel {
    /// For one export.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// What the spans are about, by the attributes' names.
    pub(super) fn resource(&self) -> Vec<(String, String)> {
        let mut resource: BTreeMap<String, String> = BTreeMap::new();
        resource.insert("service.name".to_owned(), SERVICE.to_owned());
        resource.insert("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let host = host_name();
        if !host.is_empty() {
            resource.insert("service.instance.id".to_owned(), host);
        }
        resource.extend(self.attributes.iter().cloned());
        resource.into_iter().collect()
    }
}

struct Reader<'f> {
    variables: BTreeMap<String, String>,
    findings: &'f mut Findings,
    otel: Otel,
}

/// A variable that is set.
struct Variable {
    name: &'static str,
    text: String,
}

impl Reader<'_> {
    /// An empty one is as good as none, says the specification.
    fn get(&self, name: &'static str) -> Option<Variable> {
        let text = self.variables.get(name)?.trim().to_owned();
        (!text.is_empty()).then_some(Variable { name, text })
    }

    /// Of two the one that is about traces alone.
    fn first(&self, of_traces: &'static str, of_all: &'static str) -> Option<Variable> {
        self.get(of_traces).or_else(|| self.get(of_all))
    }

    fn warn(&mut self, name: &'static str, notice: Notice) {
        let origin = Origin::Layer(origin(name));
        self.findings.warnings.push(Warning { origin, key: String::new(), notice });
    }

    fn pass_over(&mut self, variable: &Variable, allowed: &'static str) {
        let value = values::shortened(&variable.text);
        self.warn(variable.name, Notice::PassedOver { value, allowed });
    }

    /// Sets a key of ours.
    fn set(&mut self, name: &'static str, key: &str, value: impl Into<config::ValueKind>) {
        let value = Value::new(Some(&origin(name)), value);
        raw::insert(&mut self.otel.layer.0, ["telemetry", key].into_iter(), value);
    }

    fn off(&mut self) {
        if let Some(variable) = self.get(SDK_DISABLED) {
            match variable.text.to_ascii_lowercase().as_str() {
                "true" => self.otel.off = Some(SDK_DISABLED),
                "false" => {}
                _ => self.pass_over(&variable, "true or false"),
            }
        }
        if let Some(variable) = self.get(EXPORTER).filter(|_| self.otel.off.is_none()) {
            match variable.text.to_ascii_lowercase().as_str() {
                "none" => self.otel.off = Some(EXPORTER),
                "otlp" => self.otel.asked_for = true,
                _ => self.pass_over(&variable, "otlp or none"),
            }
        }
    }

    fn endpoint(&mut self) {
        let of_traces = self.get(TRACES_ENDPOINT).map(|variable| (variable, NamedBy::Traces));
        let of_all = self.get(ENDPOINT).map(|variable| (variable, NamedBy::Base));
        if let Some((variable, named_by)) = of_traces.or(of_all) {
            self.set(variable.name, "otlp_endpoint", variable.text);
            self.otel.named_by = named_by;
        }
    }

    fn protocol(&mut self) {
        let Some(variable) = self.first(TRACES_PROTOCOL, PROTOCOL) else {
            return;
        };
        let protocol = variable.text.to_ascii_lowercase();
        match protocol.as_str() {
            "grpc" | "http/protobuf" => self.set(variable.name, "otlp_protocol", protocol),
            _ => self.pass_over(&variable, "grpc or http/protobuf"),
        }
    }

    fn sampler(&mut self) {
        let Some(sampler) = self.get(SAMPLER) else {
            if self.get(SAMPLER_ARG).is_some() {
                self.warn(SAMPLER_ARG, Notice::NoSampler);
            }
            return;
        };
        let name = sampler.text.to_ascii_lowercase();
        let (name, parent_decides) = match name.strip_prefix("parentbased_") {
            Some(root) => (root, true),
            None => (name.as_str(), false),
        };
        let (set_by, ratio) = match name {
            "always_on" => (SAMPLER, 1.0),
            "always_off" => (SAMPLER, 0.0),
            "traceidratio" => self.sampler_ratio(),
            _ => return self.pass_over(&sampler, SAMPLERS),
        };
        self.set(set_by, "trace_ratio", ratio);
        if !parent_decides {
            self.warn(SAMPLER, Notice::CallersDecide);
        }
    }

    /// The ratio, and who says so. Without one, the specification's own default.
    fn sampler_ratio(&mut self) -> (&'static str, f64) {
        let Some(variable) = self.get(SAMPLER_ARG) else {
            return (SAMPLER, 1.0);
        };
        match variable.text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => (SAMPLER_ARG, ratio),
            _ => {
                self.pass_over(&variable, "a number from 0 to 1");
                (SAMPLER, 1.0)
            }
        }
    }

    fn headers(&mut self) {
        let Some(variable) = self.first(TRACES_HEADERS, HEADERS) else {
            return;
        };
        match pairs::headers(&variable.text) {
            Ok(headers) => self.otel.headers = headers,
            // The value stays out of the message: it most likely holds a secret.
            Err(fault) => self.findings.problems.push(Problem {
                origin: Origin::Layer(origin(variable.name)),
                key: String::new(),
                value: None,
                fault: fault.into(),
            }),
        }
    }

    fn timeout(&mut self) {
        let Some(variable) = self.first(TRACES_TIMEOUT, TIMEOUT) else {
            return;
        };
        match variable.text.parse() {
            Ok(milliseconds @ 1..=MAX_TIMEOUT_MS) => {
                self.otel.timeout = Some(Duration::from_millis(milliseconds));
            }
            _ => self.pass_over(&variable, "whole milliseconds from 1 to 3600000"),
        }
    }

    fn attributes(&mut self) {
        if let Some(variable) = self.get(RESOURCE_ATTRIBUTES) {
            match pairs::attributes(&variable.text) {
                Ok(attributes) => self.otel.attributes = attributes,
                Err(fault) => self.warn(variable.name, Notice::AttributesPassedOver { fault }),
            }
        }
        if let Some(variable) = self.get(SERVICE_NAME) {
            self.otel.attributes.push(("service.name".to_owned(), variable.text));
        }
    }
}
