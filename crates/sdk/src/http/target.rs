//! What a URL may say before anything is resolved.

use std::net::IpAddr;

use thiserror::Error;
use url::{Host, Url};

use super::address::is_public;

/// Names that never mean a host of the public internet, with everything below them.
const LOCAL_NAMES: [&str; 8] = [
    "localhost",
    "localhost.localdomain",
    "local",
    "internal",
    "localdomain",
    "home.arpa",
    "in-addr.arpa",
    "ip6.arpa",
];

/// Why a URL may not be called.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Another scheme than `http` and `https`.
    #[error("scheme `{0}` is neither http nor https")]
    Scheme(String),
    /// A user name or password in the URL, which would end up in logs.
    #[error("a user name or password in the URL is refused")]
    Credentials,
    /// No host.
    #[error("the URL has no host")]
    NoHost,
    /// A private host.
    #[error("`{0}` is not a public host")]
    Private(String),
}

/// Judges a URL by its text alone: scheme, user name, and a host that is an address or a name with a fixed meaning. The
/// `url` crate has already turned decimal, octal and hexadecimal addresses into plain ones. What a name resolves to is
/// judged when the connection is made.
///
/// # Errors
/// [`TargetError`] says what is wrong.
pub fn check_target(url: &Url, allow_private: bool) -> Result<(), TargetError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(TargetError::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    let host = url.host().ok_or(TargetError::NoHost)?;
    let private = match host {
        Host::Ipv4(address) => !is_public(IpAddr::V4(address)),
        Host::Ipv6(address) => !is_public(IpAddr::V6(address)),
        Host::Domain(name) => is_local_name(name),
    };
    if private && !allow_private { Err(TargetError::Private(host.to_string())) } else { Ok(()) }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    LOCAL_NAMES.iter().any(|local| {
        name.strip_suffix(local).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}
