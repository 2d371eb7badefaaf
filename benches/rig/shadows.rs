//! Whether a shadow was made of every call: where some were skipped, their work is missing from what was measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The admin plane answers at once, or something is wrong.
const LIMIT: Duration = Duration::from_secs(5);

const SKIPPED: &str = "interlock_shadow_skipped_total";

/// Why the rig can't vouch for the shadows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShadowError {
    #[error("the admin plane can't be asked")]
    Io(#[from] std::io::Error),
    #[error("its metrics have no {SKIPPED}")]
    NoSeries,
    #[error("shadows were skipped, so the figures are of less work than all: {series}")]
    Skipped { series: String },
}

/// Fails unless a sidecar, asked at its admin plane, has skipped no shadow.
pub(crate) fn assert_none_skipped(admin: SocketAddr) -> Result<(), ShadowError> {
    let mut stream = TcpStream::connect_timeout(&admin, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let mut series = answer.lines().filter(|line| line.starts_with(SKIPPED)).peekable();
    if series.peek().is_none() {
        return Err(ShadowError::NoSeries);
    }
    match series.find(|line| !line.ends_with(" 0")) {
        Some(series) => Err(ShadowError::Skipped { series: series.to_owned() }),
        None => Ok(()),
    }
}
