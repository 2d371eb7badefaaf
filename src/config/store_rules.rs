//! What must hold between the settings of the store, and between those and a flag's.

use super::check::{self, Findings};
use super::conflict::Conflict;
use super::keys;
use super::store_url::{StoreMode, StoreUrl};
use super::tree::Branch;
use super::values;
use super::warning::Notice;

/// Without a URL these are left behind by mistake: with them somebody meant a store.
const MEAN_A_STORE: [&str; 4] = ["cluster", "username_file", "password_file", "ca_file"];
/// These may stand there for later.
const MEAN_NOTHING_ALONE: [&str; 2] = ["timeout", "prefix"];

/// Checks all of it.
pub(super) fn check(root: &Branch<'_>, findings: &mut Findings) {
    let store = root.at("store");
    if store.at("url").value().is_none() {
        return without_url(&store, findings);
    }
    if let Some(url) = store.peek("url", values::store_url) {
        cluster(&store, &url, findings);
        users(&store, &url, findings);
        if !url.tls && store.at("ca_file").value().is_some() && !findings.covers("store.ca_file") {
            findings.refuse(&store.at("ca_file"), Conflict::CaWithoutTls);
        }
    }
    for (_, flag) in root.at("flags").children() {
        waits(&store, &flag, findings);
    }
}

fn without_url(store: &Branch<'_>, findings: &mut Findings) {
    let written = |name: &str| {
        let at = store.at(name);
        (at.value().is_some() && !says_default(&at)).then_some(at)
    };
    for at in MEAN_A_STORE.into_iter().filter_map(written) {
        if !findings.covers(at.path()) && !findings.covers("store.url") {
            findings.refuse(&at, Conflict::NoStore);
        }
    }
    for at in MEAN_NOTHING_ALONE.into_iter().filter_map(written) {
        findings.warn(&at, Notice::NoStore);
    }
}

fn says_default(at: &Branch<'_>) -> bool {
    let key = keys::keys_in("store").find(|key| key.place == at.path());
    key.is_some_and(|key| check::says_default(at, key))
}

/// One Redis, or several hosts of which it is said what makes one store of them.
fn cluster(store: &Branch<'_>, url: &StoreUrl, findings: &mut Findings) {
    let wanted = store.peek("cluster", values::boolean).unwrap_or_default();
    match (wanted, &url.mode) {
        (false, StoreMode::Cluster) => findings.refuse(&store.at("url"), Conflict::NotACluster),
        (true, _) => {
            if let Err(fault) = url.clone().of_cluster() {
                findings.refuse(&store.at("url"), fault);
            }
        }
        (false, _) => {}
    }
}

/// One user and one password, and not in the open.
fn users(store: &Branch<'_>, url: &StoreUrl, findings: &mut Findings) {
    let (at_url, user_file) = (store.at("url"), store.at("username_file"));
    let has_password_file = store.at("password_file").value().is_some();
    match (&url.password, has_password_file) {
        (Some(_), true) => findings.warn(&at_url, Notice::PasswordFileWins),
        (Some(_), false) => findings.warn(&at_url, Notice::PasswordInUrl),
        (None, true) => {}
        (None, false) => {
            let user_in_url = url.username.is_some().then_some(&at_url);
            let user_file = user_file.value().is_some().then_some(&user_file);
            let named = user_in_url.or(user_file);
            if let Some(at) = named.filter(|at| !findings.covers(at.path())) {
                findings.refuse(at, Conflict::UserWithoutPassword);
            }
        }
    }
    if url.username.is_some() && user_file.value().is_some() {
        findings.warn(&at_url, Notice::UsernameFileWins);
    }
}

/// What a call waits for its lease has room for what the store takes.
fn waits(store: &Branch<'_>, flag: &Branch<'_>, findings: &mut Findings) {
    let Some(wait) = flag.peek("lease.wait", values::duration) else {
        return;
    };
    let patience = flag.at("store_patience");
    if flag.peek("store_patience", values::duration).is_some_and(|patience| patience > wait)
        && !findings.covers(patience.path())
    {
        let wait = values::duration_text(wait);
        findings.refuse(&patience, Conflict::PatienceBeyondWait { wait });
    }
    if let Some(timeout) = store.peek("timeout", values::duration)
        && timeout > wait
    {
        let timeout = values::duration_text(timeout);
        findings.warn(&flag.at("lease.wait"), Notice::WaitBelowStoreTimeout { timeout });
    }
}
