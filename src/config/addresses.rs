//! Which addresses are one place, as far as that can be told without resolving names.

use std::net::{IpAddr, SocketAddr};

use super::UpstreamUrl;

/// Whether two listeners on these addresses would want the same port.
pub(super) fn overlap(a: IpAddr, b: IpAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| match all {
        IpAddr::V4(v4) => v4.is_unspecified() && one.is_ipv4(),
        // By default it takes the port for IPv4 as well.
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    a == b || covers(a, b) || covers(b, a)
}

/// Whether a call to this host and port certainly arrives at `listener`; names other than localhost are not resolved.
pub(super) fn reaches(host: &str, port: u16, listener: SocketAddr) -> bool {
    let here = |ip: IpAddr| {
        ip == listener.ip()
            || ip.is_unspecified()
            || (ip.is_loopback() && overlap(ip, listener.ip()))
    };
    let host_is_here = match host.parse::<IpAddr>() {
        Ok(ip) => here(ip),
        Err(_) => {
            is_localhost(host) && (listener.ip().is_loopback() || listener.ip().is_unspecified())
        }
    };
    port == listener.port() && host_is_here
}

/// Whether two URLs lead to one app: by the same name, or by two that both mean this machine.
pub(super) fn same_app(a: &UpstreamUrl, b: &UpstreamUrl) -> bool {
    let plain = |host: &str| host.trim_end_matches('.').to_ascii_lowercase();
    let here = |host: &str| match host.parse::<IpAddr>() {
        // Another address of the loopback network may be another app's.
        Ok(IpAddr::V4(v4)) => v4.is_unspecified() || v4 == std::net::Ipv4Addr::LOCALHOST,
        Ok(IpAddr::V6(v6)) => {
            v6.is_unspecified()
                || v6.to_canonical() == IpAddr::from(std::net::Ipv4Addr::LOCALHOST)
                || v6.is_loopback()
        }
        Err(_) => is_localhost(host),
    };
    let hosts = plain(&a.host) == plain(&b.host) || (here(&a.host) && here(&b.host));
    a.port == b.port && hosts
}

fn is_localhost(host: &str) -> bool {
    host.trim_end_matches('.').eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_app_has_several_names_on_its_own_machine() {
        let check = |a: &str, b: &str, same: bool| {
            let url = |text: &str| text.parse::<UpstreamUrl>().unwrap();
            assert_eq!(same_app(&url(a), &url(b)), same, "{a} {b}");
            assert_eq!(same_app(&url(b), &url(a)), same, "{b} {a}");
        };

        check("http://app:5000", "http://APP.:5000", true);
        check("http://127.0.0.1:5000", "http://localhost:5000", true);
        check("http://[::1]:5000", "http://localhost.:5000", true);
        check("http://0.0.0.0:5000", "http://[::ffff:127.0.0.1]:5000", true);
        check("http://127.0.0.1", "http://localhost:80", true);
        check("http://127.0.0.1:5000", "http://127.0.0.1:5001", false);
        check("http://127.0.0.1:5000", "http://127.0.0.2:5000", false);
        check("http://app:5000", "http://candidate:5000", false);
        check("http://app:5000", "http://127.0.0.1:5000", false);
    }
}
