//! The name of this process.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::config::Shared;

/// How many processes of one service are told apart on one host.
const MOST: u32 = 1000;

/// This process's name among those that share a broker, its own for as long as this lives.
///
/// It is also what a broker knows the process by (its client and transactional id), so it should be the same after a
/// restart. `TRUNKLINE_INSTANCE` says it; else it is the host's name, and where several processes of one service run on
/// one host, the others are numbered from 2: a restarted one takes the number that is free, which is its own.
#[derive(Debug)]
pub struct Instance {
    name: String,
    _place: Option<UnixListener>,
}

impl Instance {
    /// Takes a name for a process of `service`.
    pub fn take(service: &str, shared: &Shared) -> Self {
        let scope = format!("trunkline/{}/{service}", shared.channels.prefix);
        match configured() {
            Some(name) => {
                let place = place(&scope, &name);
                if place.is_none() {
                    tracing::warn!(
                        instance = name,
                        service,
                        "another process on this host has this name; give each its own TRUNKLINE_INSTANCE"
                    );
                }
                Self { name, _place: place }
            }
            None => Self::numbered(&scope, &host_name()),
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn numbered(scope: &str, host: &str) -> Self {
        let names = (1..=MOST).map(|number| match number {
            1 => host.to_owned(),
            _ => format!("{host}-{number}"),
        });
        let mut free = names.filter_map(|name| Some((place(scope, &name)?, name)));
        match free.next() {
            Some((place, name)) => Self { name, _place: Some(place) },
            // Where the system has no such names, one process a host can still do without.
            None => Self { name: host.to_owned(), _place: None },
        }
    }
}

/// The name that a process here has by itself: `TRUNKLINE_INSTANCE`, else the host's name.
pub fn instance_name() -> String {
    configured().unwrap_or_else(host_name)
}

fn configured() -> Option<String> {
    std::env::var("TRUNKLINE_INSTANCE")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

fn host_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let names = [host, std::env::var("HOSTNAME").ok()];
    let mut names = names.into_iter().flatten().map(|name| name.trim().to_owned());
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "trunkline".to_owned())
}

/// Takes a name of the system's that no other process on this host has; the system lets go of it when the process ends,
/// however it ends. Nothing is ever sent to it.
fn place(scope: &str, name: &str) -> Option<UnixListener> {
    let address = SocketAddr::from_abstract_name(format!("{scope}/{name}")).ok()?;
    UnixListener::bind_addr(&address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_on_one_host_are_numbered_and_a_restarted_one_has_its_number_again() {
        let scope = format!("trunkline-test/{}", std::process::id());
        let take = || Instance::numbered(&scope, "host");
        let (first, second, third) = (take(), take(), take());
        assert_eq!([first.name(), second.name(), third.name()], ["host", "host-2", "host-3"]);
        drop(second);
        assert_eq!(take().name(), "host-2");
        assert_eq!(
            Instance::numbered("trunkline-test/other", "host").name(),
            "host",
            "other services are others"
        );
    }
}
