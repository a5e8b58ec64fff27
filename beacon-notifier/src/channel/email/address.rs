//! Where a mail server listens.

use beacon_plan::receiver::HostPort;

/// Port of SMTP inside TLS from the first byte (RFC 8314 §3.3); everywhere else TLS begins with STARTTLS.
pub const SUBMISSIONS: u16 = 465;

/// The name or address to connect to: no host is this machine.
pub fn host(smarthost: &HostPort) -> &str {
    if smarthost.host.is_empty() { "localhost" } else { &smarthost.host }
}

/// True if what is said to `host` doesn't leave the machine.
pub fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_host_is_this_machine() {
        let smarthost = |host: &str| HostPort { host: host.to_owned(), port: 25 };
        assert_eq!(host(&smarthost("")), "localhost");
        assert_eq!(host(&smarthost("mx.example.org")), "mx.example.org");
    }

    #[test]
    fn loopback_is_this_machine() {
        assert!(["localhost", "127.0.0.1", "127.8.9.1", "::1"].into_iter().all(is_this_machine));
        assert!(!["mx.example.org", "10.0.0.1", "localhost.example.org"].into_iter().any(is_this_machine));
    }
}
