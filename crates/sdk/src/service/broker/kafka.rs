//! Opening the Kafka engine.

use std::sync::Arc;
use std::time::Duration;

use trunkline_broker::{Broker, Examine};
use trunkline_kafka::{ConnectError, KafkaBroker, KafkaExaminer, Options, Tls};

use super::{BrokerClient, OpenError};
use crate::config::{Shared, kafka_servers};
use crate::service::metered::Metered;

pub(super) async fn open(
    address: &str,
    shared: &Shared,
    client: &BrokerClient,
) -> Result<Arc<dyn Broker>, OpenError> {
    let options = options(address, shared, client)?;
    match KafkaBroker::connect(options).await {
        Ok(broker) => Ok(Arc::new(Metered::new(broker))),
        Err(ConnectError::Fenced(_)) => Err(OpenError::Fenced),
        Err(error) => {
            // What a client refuses it will refuse again; a cluster may come up, or be set right.
            let passes = matches!(error, ConnectError::Unreachable { .. } | ConnectError::Unusable { .. });
            Err(OpenError::Engine { engine: "kafka", passes, cause: error.into() })
        }
    }
}

pub(in crate::service) fn examiner(
    address: &str,
    shared: &Shared,
    client: &str,
    patience: Duration,
) -> Result<Box<dyn Examine>, OpenError> {
    let client = BrokerClient { name: client.to_owned(), transactional: false };
    let options = Options { request_timeout: patience, ..options(address, shared, &client)? };
    let unusable =
        |error: ConnectError| OpenError::Engine { engine: "kafka", passes: false, cause: error.into() };
    Ok(Box::new(KafkaExaminer::new(options).map_err(unusable)?))
}

fn options(address: &str, shared: &Shared, client: &BrokerClient) -> Result<Options, OpenError> {
    let servers = kafka_servers(address).map_err(|why| OpenError::Option(why.to_owned()))?;
    let mut options = Options::new(servers.join(","), &shared.channels.prefix, &client.name);
    let secrets = shared.secrets();
    for (name, value) in &shared.broker.properties {
        options.properties.insert(name.clone(), value.read(&secrets)?);
    }
    // The engine derives how long it may drain from this one.
    if let Some(text) = options.properties.remove("session.timeout.ms") {
        let wrong = || OpenError::Option(format!("`{text}` is no value of session.timeout.ms"));
        options.session_timeout = text.parse().map(Duration::from_millis).map_err(|_no_number| wrong())?;
    }
    let file = |file: &Option<String>| file.as_ref().map(|file| shared.folder.join(file));
    options.tls = shared.broker.tls.as_ref().map(|tls| Tls {
        ca: file(&tls.ca),
        certificate: file(&tls.certificate),
        key: file(&tls.key),
    });
    options.replication = shared.broker.replication;
    options.transactional = client.transactional;
    options.max_record = options.max_record.max(shared.channels.max_record);
    Ok(options)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use trunkline_core::config::{Diagnostics, parse};

    use super::*;

    #[test]
    fn what_the_configuration_says_is_what_the_engine_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "hidden\n").unwrap();
        let text = r#"
version: 1
channels: { prefix: shop., max_record: 32MiB }
broker:
  url: kafka://k1,k2:19092
  replication: 3
  properties: { sasl.mechanism: PLAIN, sasl.password: "${file:password}", linger.ms: 5, session.timeout.ms: 6000 }
  tls: { ca: ca.pem }
"#;
        let root = parse("t.yaml", text).unwrap();
        let shared = Shared::read(root, folder.path(), &mut Diagnostics::new()).unwrap();
        let client = BrokerClient { transactional: true, ..BrokerClient::of("host", "router") };
        let options = options("kafka://k1,k2:19092", &shared, &client).unwrap();
        assert_eq!(options.bootstrap, "k1:9092,k2:19092");
        assert_eq!((&*options.prefix, &*options.client), ("shop.", "host-router"));
        assert_eq!(
            (&*options.properties["sasl.password"], &*options.properties["linger.ms"]),
            ("hidden", "5")
        );
        assert_eq!(options.tls.unwrap().ca.as_deref(), Some(&*folder.path().join("ca.pem")));
        assert!(options.transactional && options.replication == Some(3));
        assert_eq!(options.max_record, 32 << 20);
        assert_eq!(options.session_timeout, Duration::from_secs(6));
        assert!(!options.properties.contains_key("session.timeout.ms"));
    }
}
