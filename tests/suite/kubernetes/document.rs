//! What docs/kubernetes.md tells users to make: the Secrets of an overlay.

use std::collections::BTreeMap;

use trunkline_tests::workspace;

use super::service::Secrets;

const COMMAND: &str = "kubectl -n trunkline create secret generic ";

/// The Secrets that its commands make for an overlay, with the values of the examples; of files that are put in as they are
/// only the names.
pub(super) fn secrets(overlay: &str) -> Secrets {
    let text = workspace::read("docs/kubernetes.md").replace("\\\n", " ");
    let mut secrets = Secrets::new();
    for command in text.lines().filter_map(|line| line.strip_prefix(COMMAND)) {
        let (name, arguments) = command.split_once(' ').unwrap();
        let keys: BTreeMap<String, String> = arguments.split_whitespace().filter_map(key).collect();
        // There is one for each broker; its address says for which.
        let of_another = keys.get("url").is_some_and(|url| {
            name == "trunkline-broker" && url.starts_with("kafka:") != (overlay == "kafka")
        });
        if !of_another {
            assert!(secrets.insert(name.to_owned(), keys).is_none(), "{name} is made twice");
        }
    }
    assert_eq!(secrets.len(), 6, "{:?}", secrets.keys());
    secrets
}

fn key(argument: &str) -> Option<(String, String)> {
    if let Some(file) = argument.strip_prefix("--from-file=") {
        return Some((file.to_owned(), String::new()));
    }
    let (key, value) = argument.strip_prefix("--from-literal=")?.split_once('=')?;
    Some((key.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
}

/// The ports of the broker in the example for an overlay.
pub(super) fn broker_ports(overlay: &str) -> Vec<u64> {
    ports(&secrets(overlay)["trunkline-broker"]["url"])
}

/// The port of the store in the example.
pub(super) fn store_port(overlay: &str) -> Vec<u64> {
    ports(&secrets(overlay)["trunkline-store"]["url"])
}

/// The ports that an address names, each once.
fn ports(url: &str) -> Vec<u64> {
    let (_, servers) = url.split_once("://").unwrap();
    let servers = servers.split('/').next().unwrap_or("");
    let servers = servers.rsplit_once('@').map_or(servers, |(_, servers)| servers);
    let mut ports: Vec<u64> =
        servers.split(',').map(|server| server.rsplit_once(':').unwrap().1.parse().unwrap()).collect();
    ports.dedup();
    ports
}
