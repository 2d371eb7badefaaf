//! What must hold between a flag's shadow and the apps that it could harm.

use super::addresses;
use super::check::{self, Findings};
use super::conflict::Conflict;
use super::error::Origin;
use super::keys;
use super::tree::Branch;
use super::values;
use super::warning::Notice;
use crate::domain::flag::Strategy;
use crate::domain::percent::Percent;

/// Checks all of it, for one flag.
pub(super) fn check(root: &Branch<'_>, flag: &Branch<'_>, findings: &mut Findings) {
    let shadow = flag.at("shadow");
    let mode = shadow.at("mode");
    match check::text(&mode) {
        Some("off") => off(&shadow, "flags.*.shadow", findings),
        Some("plan") => plan(root, flag, &shadow, findings),
        Some("dry_run") => dry_run(flag, &shadow, findings),
        Some("isolated") => isolated(root, flag, &shadow, findings),
        _ => {}
    }
}

/// What is written beside it is most likely thought to be on. What says the default misleads nobody.
fn off(at: &Branch<'_>, place: &str, findings: &mut Findings) {
    for (name, child) in at.children() {
        let Some(place) = keys::child_place(place, name) else {
            continue;
        };
        match keys::node(&place) {
            Some(keys::Node::Leaf(key)) => {
                if child.origin() != Origin::Nowhere && !check::says_default(&child, key) {
                    findings.warn(&child, Notice::ShadowIsOff);
                }
            }
            _ => off(&child, &place, findings),
        }
    }
}

/// The candidate has to be another app than the one that serves, unless that is the question.
fn dry_run(flag: &Branch<'_>, shadow: &Branch<'_>, findings: &mut Findings) {
    let serializes = check::text(&flag.at("fixed.strategy")) == Some(Strategy::Serialize.as_str());
    let noise_only =
        shadow.peek("noise", values::percent).is_none_or(|noise| noise == Percent::FULL);
    let no_url = shadow.at("url").value().is_none() && !findings.covers(shadow.at("url").path());
    if serializes && no_url && !noise_only {
        findings.refuse(&shadow.at("mode"), Conflict::NoOtherApp);
    }
}

/// What is planned has to be declared, and the documents to be at hand.
fn plan(root: &Branch<'_>, flag: &Branch<'_>, shadow: &Branch<'_>, findings: &mut Findings) {
    let mode = shadow.at("mode");
    if root.at("store.url").value().is_none() && !findings.covers("store.url") {
        findings.refuse(&mode, Conflict::NoDocuments);
    }
    let declared = |route: &Branch<'_>| {
        route.at("atomic").value().is_some() || findings.covers(route.at("atomic").path())
    };
    if !flag.at("routes").elements().iter().any(declared) {
        findings.refuse(&mode, Conflict::NoEdit);
    }
    for name in ["noise", "url"] {
        let at = shadow.at(name);
        let is_default = shadow.peek("noise", values::percent) == Some(Percent::ZERO);
        if at.value().is_some() && !(name == "noise" && is_default) {
            findings.warn(&at, Notice::UnusedInPlan);
        }
    }
}

/// The candidate has to have a store of its own.
fn isolated(root: &Branch<'_>, flag: &Branch<'_>, shadow: &Branch<'_>, findings: &mut Findings) {
    let at_url = shadow.at("url");
    if at_url.value().is_none() && !findings.covers(at_url.path()) {
        findings.refuse(&shadow.at("mode"), Conflict::NoShadowUrl);
    }
    if let Some(url) = shadow.peek("url", values::upstream) {
        for live in [root.at("legacy.url"), flag.at("fixed.url")] {
            let read = live.value().and_then(|value| values::upstream(value).ok());
            if read.is_some_and(|live| addresses::same_app(&live, &url)) {
                let key = live.path().to_owned();
                findings.refuse(&at_url, Conflict::ShadowOfLiveState { key });
            }
        }
    }
    if shadow.peek("noise", values::percent).is_some_and(|noise| noise != Percent::ZERO) {
        findings.refuse(&shadow.at("noise"), Conflict::NoiseWritesLiveState);
    }
}
