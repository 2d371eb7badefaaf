//! Events of the admin plane: who changed what, who was refused, and how its files are.
//!
//! A line of the audit trail says who called, from where, what for and what came of it: never a token, nor anything of a body.

use std::net::SocketAddr;

use crate::telemetry::Telemetry;
use crate::telemetry::labels::{AdminFile, AdminRefusal, LabelValue};
use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::{AUDIT_TARGET, TARGET};

/// Who makes a call to the admin plane, and what for.
#[derive(Clone, Copy, Debug)]
pub struct AdminCall<'a> {
    /// The name of the caller's token; empty where it has shown none that is valid.
    pub by: &'a str,
    /// What that token allows; empty as above.
    pub role: &'a str,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The method; `_OTHER` where it is none that is served here.
    pub method: &'a str,
    /// The path's template; empty where nothing is at that path.
    pub path: &'a str,
}

/// A flag was changed through the admin plane.
#[derive(Clone, Copy, Debug)]
pub struct AdminChanged<'a> {
    /// The call.
    pub call: AdminCall<'a>,
    /// The flag's name.
    pub flag: &'a str,
    /// Its version since, under which the change stands in the history.
    pub version: u64,
}

impl AdminChanged<'_> {
    /// Tells of it. Every change has its line.
    pub fn emit(self) {
        let Self { call, flag, version } = self;
        tracing::info!(
            target: AUDIT_TARGET,
            event = "audit",
            result = "changed",
            by = call.by,
            role = call.role,
            peer = %call.peer,
            method = call.method,
            path = call.path,
            flag,
            version,
            "a flag was changed"
        );
    }
}

/// A sidecar was taken off the register through the admin plane.
#[derive(Clone, Copy, Debug)]
pub struct SidecarForgotten<'a> {
    /// The call.
    pub call: AdminCall<'a>,
    /// The sidecar's id.
    pub sidecar: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl SidecarForgotten<'_> {
    /// Tells of it. Every one has its line.
    pub fn emit(self) {
        let Self { call, sidecar, reason } = self;
        tracing::info!(
            target: AUDIT_TARGET,
            event = "audit",
            result = "forgotten",
            by = call.by,
            role = call.role,
            peer = %call.peer,
            method = call.method,
            path = call.path,
            sidecar,
            reason,
            "a sidecar was taken off the register"
        );
    }
}

/// A call to the admin plane was refused, or failed.
#[derive(Clone, Copy, Debug)]
pub struct AdminRefused<'a> {
    /// The call.
    pub call: AdminCall<'a>,
    /// How it is counted.
    pub refusal: AdminRefusal,
    /// The kind of problem that it was answered with.
    pub reason: &'a str,
    /// The answer's status.
    pub status: u16,
}

impl AdminRefused<'_> {
    /// Tells of it. Of each kind a few lines a second are written: a flood must not fill the disk.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { call, refusal, reason, status } = self;
        telemetry.series().admin_refused.at([refusal.index()]).increment(1);
        telemetry.fault(Fault::Admin(refusal), || {
            tracing::warn!(
                target: AUDIT_TARGET,
                event = "audit",
                result = "refused",
                reason,
                status,
                by = call.by,
                role = call.role,
                peer = %call.peer,
                method = call.method,
                path = call.path,
                "a call to the admin plane was refused"
            );
        });
    }
}

/// A connection to the admin plane came to no call, or ended ahead of its time.
#[derive(Clone, Copy)]
pub struct ConnectionRefused<'a> {
    /// Its other end.
    pub peer: SocketAddr,
    /// How it is counted.
    pub refusal: AdminRefusal,
    /// Why.
    pub error: &'a dyn std::fmt::Display,
}

impl ConnectionRefused<'_> {
    /// Tells of it, with the same bound as [`AdminRefused`].
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { peer, refusal, error } = self;
        telemetry.series().admin_refused.at([refusal.index()]).increment(1);
        telemetry.fault(Fault::Admin(refusal), || {
            tracing::warn!(
                target: AUDIT_TARGET,
                event = "audit",
                result = "refused",
                reason = refusal.word(),
                %peer,
                %error,
                "a connection to the admin plane was refused"
            );
        });
    }
}

/// Another version of one of the admin plane's files is in force.
#[derive(Clone, Copy, Debug)]
pub struct AdminFileTaken {
    /// Which one.
    pub file: AdminFile,
}

impl AdminFileTaken {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().admin_file_refused.at([self.file.index()]).set(0.0);
        let (event, file) = ("admin_file_taken", self.file.word());
        tracing::info!(target: TARGET, event, file, "a file of the admin plane was read, and is in force");
    }
}

/// One of the admin plane's files, as it is now, can't be used: what was read before holds. To be emitted once a version.
#[derive(Clone, Copy, Debug)]
pub struct AdminFileRefused<'a> {
    /// Which one.
    pub file: AdminFile,
    /// The key of the configuration, the path and what is wrong.
    pub error: &'a (dyn std::error::Error + 'static),
}

impl AdminFileRefused<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().admin_file_refused.at([self.file.index()]).set(1.0);
        tracing::error!(
            target: TARGET,
            event = "admin_file_refused",
            file = self.file.word(),
            error = self.error,
            "degraded: a file of the admin plane can't be used, what was read before holds"
        );
    }
}

/// When the admin plane's certificate runs out. May be emitted again and again: it writes no line.
#[derive(Clone, Copy, Debug)]
pub struct CertificateExpiry {
    /// Seconds since the Unix epoch.
    pub at: u64,
}

impl CertificateExpiry {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().admin_certificate_expiry.at([]).set(self.at as f64);
    }
}
