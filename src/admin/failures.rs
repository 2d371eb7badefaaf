//! A bound on wrong tokens from one address.
//!
//! It is no lock: a valid token is let in whatever else comes from its address, or anybody behind the same proxy could keep
//! the operator out. What makes guessing hopeless is the length of a token; the bound takes the connection from whoever
//! guesses, says so in a metric, and keeps a client with an old token from hammering.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::clock::Instant;

/// The wrong tokens that one address may show at once.
const BURST: u32 = 10;

/// After so long it may show one more.
const EVERY: Duration = Duration::from_secs(6);

/// The addresses that are kept in mind; past it the one that is nearest to being forgiven goes.
const MAX_ADDRESSES: usize = 1024;

/// Who has shown wrong tokens, and until when that counts.
#[derive(Debug, Default)]
pub(super) struct Failures {
    forgiven_at: HashMap<IpAddr, Instant>,
}

impl Failures {
    /// Notes a wrong token. `Err` says how long it takes until another one is answered as a first one would be.
    pub(super) fn note(&mut self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let peer = network(peer);
        let until = self.forgiven_at.get(&peer).copied().unwrap_or(now);
        let debt = until.saturating_duration_since(now) + EVERY;
        if let Some(over) = debt.checked_sub(EVERY * BURST)
            && !over.is_zero()
        {
            return Err(over);
        }
        if !self.forgiven_at.contains_key(&peer) {
            self.make_room(now);
        }
        self.forgiven_at.insert(peer, now + debt);
        Ok(())
    }

    fn make_room(&mut self, now: Instant) {
        if self.forgiven_at.len() < MAX_ADDRESSES {
            return;
        }
        self.forgiven_at.retain(|_, until| *until > now);
        if self.forgiven_at.len() >= MAX_ADDRESSES
            && let Some(next) = self.forgiven_at.iter().min_by_key(|(_, until)| **until)
        {
            let next = *next.0;
            self.forgiven_at.remove(&next);
        }
    }
}

/// What one customer of a network has: of IPv6 a /64, since it is free to choose within it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[tokio::test]
    async fn an_address_has_ten_wrong_tokens_and_one_more_every_six_seconds() {
        let (mut failures, start) = (Failures::default(), crate::clock::now());
        let second = Duration::from_secs(1);

        for _ in 0..10 {
            assert_eq!(failures.note(address(1), start), Ok(()));
        }
        assert_eq!(failures.note(address(1), start), Err(6 * second));
        assert_eq!(failures.note(address(1), start + 4 * second), Err(2 * second));
        assert_eq!(failures.note(address(2), start), Ok(()), "another one is another one");
        assert_eq!(failures.note(address(1), start + 6 * second), Ok(()));
        assert_eq!(failures.note(address(1), start + 6 * second), Err(6 * second));
        assert_eq!(failures.note(address(1), start + 3600 * second), Ok(()));
    }

    #[tokio::test]
    async fn no_flood_of_addresses_grows_the_table_or_drives_out_the_worst() {
        let (mut failures, now) = (Failures::default(), crate::clock::now());
        while failures.note(address(0), now).is_ok() {}

        for number in 1..10_000 {
            assert_eq!(failures.note(address(number), now), Ok(()));
        }

        assert_eq!(failures.forgiven_at.len(), MAX_ADDRESSES);
        assert!(failures.note(address(0), now).is_err(), "it is still known");
    }

    #[tokio::test]
    async fn the_addresses_of_one_network_count_as_one() {
        let (mut failures, now) = (Failures::default(), crate::clock::now());
        let mut note = |text: &str| failures.note(text.parse().unwrap(), now);

        for host in 0..10 {
            note(&format!("2001:db8:1:2::{host}")).unwrap();
        }

        assert!(note("2001:db8:1:2:ffff::1").is_err());
        assert!(note("2001:db8:1:3::1").is_ok());
        for _ in 0..5 {
            note("::ffff:10.0.0.1").unwrap();
            note("10.0.0.1").unwrap();
        }
        assert!(note("10.0.0.1").is_err());
    }
}
