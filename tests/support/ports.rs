//! Ports that no other test takes.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

/// Below the range from which the system gives ports to whoever asks for any: those can come up anywhere.
const RANGE: Range<u16> = 15_000..32_000;

/// A TCP port of the loopback that is free, and stays so as far as tests are concerned: every test reserves its ports by
/// holding the UDP port of the same number, which the system gives to one only.
pub(crate) struct ReservedPort {
    number: u16,
    _held: UdpSocket,
}

impl ReservedPort {
    /// One that nothing listens on.
    pub(crate) fn new() -> Self {
        let start = RandomState::new().hash_one(std::process::id()) as usize;
        (0..RANGE.len())
            .map(|step| RANGE.start + ((start + step) % RANGE.len()) as u16)
            .find_map(|number| {
                let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
                TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
                Some(Self { number, _held: held })
            })
            .expect("no port is free")
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
