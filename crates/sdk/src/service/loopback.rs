//! Whether a request is meant for this machine, for services without keys.

use http::header::HOST;
use http::{HeaderMap, Uri};

/// Whether a request names this machine as its host: `localhost` or a loopback address.
///
/// Without keys everyone on this machine may do everything, and a web page in a browser here is on this machine too. It
/// can't choose the `Host` that its browser sends: by a name of its own that leads here (DNS rebinding) it is not let in.
pub fn is_meant_for_this_machine(headers: &HeaderMap, uri: &Uri) -> bool {
    let header = headers.get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has the authority in its place.
    let host = header.or_else(|| uri.authority().map(|authority| authority.as_str()));
    host.is_some_and(is_loopback)
}

/// Whether `host`, with or without a port, names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.to_ascii_lowercase();
    let address = name.parse::<std::net::IpAddr>();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[track_caller]
    fn check(host: &str, expected: bool) {
        assert_eq!(is_loopback(host), expected, "{host:?}");
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:8090", "trunkline.localhost:1", "127.0.0.1:8090", "127.1.2.3"] {
            check(host, true);
        }
        for host in ["[::1]:8090", "[::1]", "[::ffff:127.0.0.1]"] {
            check(host, true);
        }
        for host in ["", ":8090", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
            check(host, false);
        }
        for host in ["10.0.0.1", "0.0.0.0:8090", "[fe80::1]:80", "evillocalhost", "[", "2130706433"] {
            check(host, false);
        }
    }
}
