//! Opening the RabbitMQ engine.

use std::sync::Arc;

use trunkline_broker::Broker;
use trunkline_rabbitmq::{ConnectError, Options, RabbitBroker, Tls};

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
