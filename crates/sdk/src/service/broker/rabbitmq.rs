//! Opening the RabbitMQ engine.

use std::sync::Arc;
use std::time::Duration;

use trunkline_broker::{Broker, Examine};
use trunkline_rabbitmq::{ConnectError, Options, RabbitBroker, RabbitExaminer, Tls};

use super::{BrokerClient, OpenError};
use crate::config::Shared;
use crate::service::metered::Metered;

pub(super) async fn open(
    address: &str,
    shared: &Shared,
    client: &BrokerClient,
) -> Result<Arc<dyn Broker>, OpenError> {
    match RabbitBroker::connect(options(address, shared, client)).await {
        Ok(broker) => Ok(Arc::new(Metered::new(broker))),
        Err(error) => {
            // A user or a virtual host may still have to be made, by whoever sets the broker up at the same time.
            let passes = matches!(error, ConnectError::Unreachable { .. } | ConnectError::Refused { .. });
            Err(OpenError::Engine { engine: "rabbitmq", passes, cause: error.into() })
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
    let options = Options {
        connect_timeout: patience,
        management: shared.broker.management.clone(),
        ..options(address, shared, &client)
    };
    let unusable =
        |error: ConnectError| OpenError::Engine { engine: "rabbitmq", passes: false, cause: error.into() };
    Ok(Box::new(RabbitExaminer::new(options).map_err(unusable)?))
}

fn options(address: &str, shared: &Shared, client: &BrokerClient) -> Options {
    let mut options = Options {
        url: address.to_owned(),
        prefix: shared.channels.prefix.clone(),
        client: client.name.clone(),
        ..Options::default()
    };
    let file = |file: &Option<String>| file.as_ref().map(|file| shared.folder.join(file));
    options.tls = shared.broker.tls.as_ref().map(|tls| Tls {
        ca: file(&tls.ca),
        certificate: file(&tls.certificate),
        key: file(&tls.key),
    });
    options.max_record = options.max_record.max(shared.channels.max_record);
    options
}
