//! Where the gateway and the console are: the environment, else `listen` of the configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use trunkline_console::ConsoleSettings;
use trunkline_core::config::Diagnostics;
use trunkline_gateway::GatewaySettings;
use trunkline_sdk::config::load;
use trunkline_sdk::service::ServiceError;

use super::Common;
use crate::client::Api;

/// The console.
pub(super) fn console(common: &Common) -> anyhow::Result<Api> {
    let default = ConsoleSettings::default().listen;
    Ok(Api::console(address(common, "TRUNKLINE_CONSOLE", "console", default)?))
}

/// The gateway.
pub(super) fn gateway(common: &Common) -> anyhow::Result<Api> {
    let default = GatewaySettings::default().listen;
    Ok(Api::gateway(address(common, "TRUNKLINE_GATEWAY", "gateway", default)?))
}

fn address(common: &Common, variable: &str, section: &str, default: SocketAddr) -> anyhow::Result<String> {
    if let Ok(address) = std::env::var(variable)
        && !address.is_empty()
    {
        return Ok(address);
    }
    let root = load(&common.config).map_err(ServiceError::Configuration)?.root;
    // Only the address is read: to speak to a running service, the rest need not be valid here.
    let listen = match root.get(section).and_then(|section| section.get("listen")) {
        None => default,
        Some(node) => {
            let mut diagnostics = Diagnostics::new();
            node.read(&mut diagnostics).ok_or(ServiceError::Configuration(diagnostics))?
        }
    };
    Ok(reachable(listen).to_string())
}

/// A service that listens on every address is reached on loopback.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
