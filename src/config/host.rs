//! What the system says of the machine.

use std::fs;

/// Where the system says what this machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The host's name, which in Kubernetes is the pod's; empty where the system has none.
pub fn host_name() -> String {
    fs::read_to_string(HOST_NAME).unwrap_or_default().trim().to_owned()
}
