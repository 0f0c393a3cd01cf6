//! The Kafka engine.

mod broker;
mod error;
mod options;

pub use broker::KafkaBroker;
pub use error::{ConnectError, KafkaFailure};
pub use options::{Options, Tls};

/// Properties of librdkafka that can't be set: the engine's correctness stands on their values.
pub const REFUSED_PROPERTIES: &[&str] = &[
    "acks",
    "request.required.acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "partition.assignment.strategy",
    "partitioner",
    "transactional.id",
];
