//! Looking at the broker and the store of a configuration without opening them.

use std::time::Duration;

use trunkline_broker::Examine;
use trunkline_store::StoreExamination;

use super::broker::{OpenError, store_url};
use crate::config::{EngineKind, Shared, kafka_servers};
use crate::secrets::SecretError;

/// An examiner of the broker behind a configuration's `broker`; nothing is contacted yet. One question to the broker may take
/// `patience`. `client` is what the broker sees as its name.
///
/// # Errors
/// [`OpenError`] when the address or the options can't be used.
pub fn examiner(shared: &Shared, client: &str, patience: Duration) -> Result<Box<dyn Examine>, OpenError> {
    let address = shared.broker.address(&shared.folder)?;
    match EngineKind::of(&address) {
        #[cfg(feature = "embedded")]
        Ok(EngineKind::Embedded) => super::broker::embedded::examiner(&address, shared),
        #[cfg(feature = "kafka")]
        Ok(EngineKind::Kafka) => super::broker::kafka::examiner(&address, shared, client, patience),
        #[cfg(feature = "rabbitmq")]
        Ok(EngineKind::RabbitMq) => super::broker::rabbitmq::examiner(&address, shared, client, patience),
        #[allow(unreachable_patterns, reason = "reached in a build that lacks an engine")]
        Ok(other) => {
            _ = (client, patience);
            Err(OpenError::NotInBuild(match other {
                EngineKind::Embedded => "embedded",
                EngineKind::Kafka => "kafka",
                EngineKind::RabbitMq => "rabbitmq",
            }))
        }
        Err(other) => Err(OpenError::Unknown(other.to_owned())),
    }
}

/// Hosts and ports that the broker's address names; none for the embedded engine.
///
/// # Errors
/// [`OpenError`] when the address can't be read.
pub fn broker_servers(shared: &Shared) -> Result<Vec<(String, u16)>, OpenError> {
    let address = shared.broker.address(&shared.folder)?;
    match EngineKind::of(&address) {
        Ok(EngineKind::Embedded) => Ok(Vec::new()),
        Ok(EngineKind::Kafka) => {
            let servers = kafka_servers(&address).map_err(|why| OpenError::Option(why.to_owned()))?;
            Ok(servers.iter().filter_map(|server| host_and_port(server)).collect())
        }
        Ok(EngineKind::RabbitMq) => {
            let url = url::Url::parse(&address).map_err(|error| OpenError::Option(error.to_string()))?;
            let usual = if url.scheme() == "amqps" { 5671 } else { 5672 };
            let host = url.host_str().unwrap_or("localhost").trim_matches(['[', ']']).to_owned();
            Ok(vec![(host, url.port().unwrap_or(usual))])
        }
        Err(other) => Err(OpenError::Unknown(other.to_owned())),
    }
}

/// Looks at the store of a configuration; what it finds goes to `found`, whose `At` is the store as a whole.
///
/// # Errors
/// [`SecretError`] when its address is a secret that can't be read.
pub async fn examine_store(shared: &Shared, found: &mut StoreExamination) -> Result<(), SecretError> {
    let url = store_url(shared)?;
    trunkline_store::examine(&url, found).await;
    Ok(())
}

fn host_and_port(server: &str) -> Option<(String, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::config::BrokerSettings;

    #[track_caller]
    fn check(url: &str, expected: &[(&str, u16)]) {
        let root = trunkline_core::config::parse("t.yaml", "version: 1").unwrap();
        let mut diagnostics = trunkline_core::config::Diagnostics::new();
        let shared = Shared::read(root, std::path::Path::new("."), &mut diagnostics).unwrap();
        let shared = Shared { broker: BrokerSettings::of(url), ..shared };
        let servers = broker_servers(&shared).unwrap();
        let servers: Vec<_> = servers.iter().map(|(host, port)| (host.as_str(), *port)).collect();
        assert_eq!(servers, expected);
    }

    #[test]
    fn every_server_of_an_address_is_named() {
        check("embedded:./data", &[]);
        check("kafka://k1,k2:19092,[::1]:9093", &[("k1", 9092), ("k2", 19092), ("::1", 9093)]);
        check("amqp://user:secret@rabbit/shop", &[("rabbit", 5672)]);
        check("amqps://rabbit:443", &[("rabbit", 443)]);
    }
}
