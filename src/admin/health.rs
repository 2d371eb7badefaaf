//! Whether this sidecar should get traffic, as `/readyz` tells it.
//!
//! Only what is in this process counts: a sidecar whose app or store is gone still passes calls, or says why not, and
//! taking it out of service would help nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Serialize;

use crate::domain::decision::Freshness;
use crate::store::RefusedFlag;
use crate::telemetry::labels::{AdminFile, LabelValue};

/// What readiness depends on; cheap to update from any thread.
#[derive(Debug)]
pub struct Health {
    workers_expected: usize,
    workers_up: AtomicUsize,
    draining: AtomicBool,
    /// Whether each of the admin plane's files, as it is now, can't be used.
    admin_files_refused: [AtomicBool; AdminFile::VALUES.len()],
    checks: Box<[(&'static str, AtomicBool)]>,
}

/// A worker of the data plane that serves, until this is dropped: by returning or by panicking.
#[derive(Debug)]
pub struct WorkerUp {
    health: Arc<Health>,
}

/// The answer of `/readyz`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// Whether traffic may come.
    pub ready: bool,
    /// Whether a shutdown is under way.
    pub draining: bool,
    /// How well the flags are known; says nothing about readiness.
    pub freshness: &'static str,
    /// The data plane.
    pub workers: Workers,
    /// The named checks.
    pub checks: BTreeMap<&'static str, bool>,
    /// The flags; say nothing about readiness.
    pub flags: FlagsHealth,
    /// The admin plane; says nothing about readiness.
    pub admin: AdminHealth,
}

/// How the admin plane is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct AdminHealth {
    /// Which of its files, as they are now, can't be used; the log says why.
    pub refused: Vec<&'static str>,
}

/// How the flags of a fleet are.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FlagsHealth {
    /// Those that the store has in a form that is not put in force here.
    pub refused: Vec<RefusedView>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct RefusedView {
    /// The flag.
    pub flag: String,
    /// The kind of refusal, as it is counted.
    pub reason: &'static str,
    /// Where, what is wrong, and what to do.
    pub detail: String,
}

impl From<&RefusedFlag> for RefusedView {
    fn from(refused: &RefusedFlag) -> Self {
        let RefusedFlag { flag, reason, detail } = refused.clone();
        Self { flag, reason, detail }
    }
}

/// The workers of the data plane.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Workers {
    /// How many serve.
    pub up: usize,
    /// How many should.
    pub expected: usize,
}

impl Health {
    /// Not ready until all workers are up and every named check has passed.
    pub fn new(workers_expected: usize, checks: &[&'static str]) -> Self {
        Self {
            workers_expected,
            workers_up: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            admin_files_refused: Default::default(),
            checks: checks.iter().map(|name| (*name, AtomicBool::new(false))).collect(),
        }
    }

    /// Counts a worker in for as long as the guard lives.
    pub fn worker_up(self: &Arc<Self>) -> WorkerUp {
        self.workers_up.fetch_add(1, Ordering::Relaxed);
        WorkerUp { health: Arc::clone(self) }
    }

    /// Readiness goes, for good: the first step of a shutdown.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether a shutdown is under way.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Sets whether a file of the admin plane, as it is now, can be used.
    pub(crate) fn set_admin_file(&self, file: AdminFile, usable: bool) {
        if let Some(refused) = self.admin_files_refused.get(file.index()) {
            refused.store(!usable, Ordering::Relaxed);
        }
    }

    fn admin(&self) -> AdminHealth {
        let is_refused = |refused: &AtomicBool| refused.load(Ordering::Relaxed);
        let files = AdminFile::VALUES.iter().zip(&self.admin_files_refused);
        let refused = files.filter(|(_, refused)| is_refused(refused));
        AdminHealth { refused: refused.map(|(file, _)| file.word()).collect() }
    }

    /// Sets a named check; `false` where [`Self::new`] got no such name.
    pub fn set_check(&self, name: &str, passed: bool) -> bool {
        let check = self.checks.iter().find(|(known, _)| *known == name);
        check.is_some_and(|(_, value)| {
            value.store(passed, Ordering::Relaxed);
            true
        })
    }

    /// Everything at once.
    pub fn report(&self, freshness: Freshness, refused: &[RefusedFlag]) -> HealthReport {
        let checks: BTreeMap<_, _> =
            self.checks.iter().map(|(name, ok)| (*name, ok.load(Ordering::Relaxed))).collect();
        let up = self.workers_up.load(Ordering::Relaxed);
        let draining = self.is_draining();
        let all_passed = checks.values().all(|passed| *passed);
        HealthReport {
            ready: !draining && up >= self.workers_expected && all_passed,
            draining,
            freshness: freshness.as_str(),
            workers: Workers { up, expected: self.workers_expected },
            checks,
            flags: FlagsHealth { refused: refused.iter().map(RefusedView::from).collect() },
            admin: self.admin(),
        }
    }
}

impl Drop for WorkerUp {
    fn drop(&mut self) {
        self.health.workers_up.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(health: &Health) -> bool {
        health.report(Freshness::Live, &[]).ready
    }

    #[test]
    fn ready_means_all_workers_up_and_all_checks_passed() {
        let health = Arc::new(Health::new(2, &["listener"]));
        let _first = health.worker_up();
        assert!(!ready(&health));

        let second = health.worker_up();
        assert!(!ready(&health), "the check has not passed yet");

        assert!(health.set_check("listener", true));
        assert!(ready(&health));

        drop(second);
        assert!(!ready(&health), "a worker died");
    }

    #[test]
    fn draining_ends_readiness() {
        let health = Health::new(0, &[]);
        assert!(ready(&health));

        health.start_draining();

        assert!(!ready(&health));
    }

    #[test]
    fn what_is_outside_this_process_says_nothing_about_readiness() {
        let health = Health::new(0, &[]);
        let refused = RefusedFlag { flag: "a".into(), reason: "parse", detail: "bad".into() };

        for freshness in Freshness::ALL {
            assert!(health.report(freshness, std::slice::from_ref(&refused)).ready);
        }
    }

    #[test]
    fn a_bad_file_of_the_admin_plane_is_told_and_says_nothing_about_readiness() {
        let health = Health::new(0, &[]);
        let report = || health.report(Freshness::Live, &[]);

        health.set_admin_file(AdminFile::Tls, false);
        assert_eq!((report().ready, report().admin.refused), (true, vec!["tls"]));

        health.set_admin_file(AdminFile::Tls, true);
        assert!(report().admin.refused.is_empty());
    }

    #[test]
    fn an_unknown_check_is_told() {
        assert!(!Health::new(0, &["listener"]).set_check("listner", true));
    }
}
