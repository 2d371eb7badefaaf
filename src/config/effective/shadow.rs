//! A flag's shadow as it is in effect.

use serde::Serialize;

use super::{Shown, Time};
use crate::config::{ShadowConfig, ShadowMode, UpstreamUrl};
use crate::domain::compare::{DecimalText, PointerPattern, Rules, StatusRule};

impl ShadowMode {
    /// The word for it in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::Isolated => "isolated",
            Self::Plan => "plan",
        }
    }
}

/// Of a shadow that is off, no more than that.
#[derive(Serialize)]
pub(super) struct Shadow<'c> {
    mode: &'static str,
    #[serde(flatten)]
    on: Option<On<'c>>,
}

#[derive(Serialize)]
struct On<'c> {
    sample: f64,
    noise: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Shown<'c, UpstreamUrl>>,
    timeout: Time,
    max_inflight: usize,
    queue: usize,
    compare: Compare<'c>,
}

#[derive(Serialize)]
struct Compare<'c> {
    status: &'static str,
    headers: Vec<&'c str>,
    ignore: Vec<Shown<'c, PointerPattern>>,
    unordered: Vec<Shown<'c, PointerPattern>>,
    tolerance: f64,
    decimal_text: &'static str,
}

impl<'c> Shadow<'c> {
    pub(super) fn new(shadow: Option<&'c ShadowConfig>) -> Self {
        Self { mode: shadow.map_or("off", |shadow| shadow.mode.as_str()), on: shadow.map(On::from) }
    }
}

impl<'c> From<&'c ShadowConfig> for On<'c> {
    fn from(shadow: &'c ShadowConfig) -> Self {
        Self {
            sample: shadow.sample.as_f64(),
            noise: shadow.noise.as_f64(),
            url: shadow.url.as_ref().map(Shown),
            timeout: Time(shadow.timeout),
            max_inflight: shadow.max_inflight,
            queue: shadow.queue,
            compare: Compare::from(&shadow.rules),
        }
    }
}

impl<'c> From<&'c Rules> for Compare<'c> {
    fn from(rules: &'c Rules) -> Self {
        Self {
            status: match rules.status {
                StatusRule::Exact => "exact",
                StatusRule::Class => "class",
            },
            headers: rules.headers.iter().map(http::HeaderName::as_str).collect(),
            ignore: rules.ignore.iter().map(Shown).collect(),
            unordered: rules.unordered.iter().map(Shown).collect(),
            tolerance: rules.tolerance,
            decimal_text: match rules.decimal_text {
                DecimalText::Exact => "exact",
                DecimalText::ByValue => "by_value",
            },
        }
    }
}
