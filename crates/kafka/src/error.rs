//! What can go wrong with Kafka, in words an operator can act upon.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

/// Why a cluster could not be connected to.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// A property that the engine's correctness stands on.
    #[error("the Kafka property `{0}` can't be set: {1}")]
    Refused(String, &'static str),
    /// Something in the options that can't be.
    #[error("the Kafka option `{option}` {problem}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// librdkafka does not know a property or can't use its value.
    #[error("the Kafka property `{0}` is unknown or has a value that can't be used")]
    Property(String),
    /// No broker answered in time.
    #[error(
        "no Kafka broker answers at {bootstrap}: {cause}; check the address, that it runs, and what it asks for (TLS, SASL)"
    )]
    Unreachable {
        /// The addresses tried.
        bootstrap: String,
        /// What librdkafka said.
        #[source]
        cause: KafkaError,
    },
    /// A broker answered, and what the engine stands on could not be set up or read.
    #[error("the Kafka cluster at {bootstrap} can't be used: {cause}")]
    Unusable {
        /// The addresses.
        bootstrap: String,
        /// Why.
        #[source]
        cause: Box<KafkaFailure>,
    },
    /// Another process has this one's transactional id.
    #[error("another instance took over the transactional id `{0}`")]
    Fenced(String),
}

/// Why Kafka did not do what it was asked for.
#[derive(Debug, Clone, Error)]
pub enum KafkaFailure {
    /// librdkafka's or a broker's answer.
    #[error("Kafka at {bootstrap} could not {action}: {cause}")]
    Refused {
        /// The addresses.
        bootstrap: String,
        /// What was asked.
        action: String,
        /// The answer.
        #[source]
        cause: KafkaError,
    },
    /// A record was not confirmed.
    #[error("Kafka did not confirm a record: {0}")]
    Unconfirmed(RDKafkaErrorCode),
    /// Nothing was heard in time.
    #[error("Kafka did not {0} in time")]
    Overdue(&'static str),
    /// There is no token for SASL OAUTHBEARER.
    #[error("{0}")]
    Token(#[from] TokenFailure),
    /// The engine was closed, or its thread has ended.
    #[error("the Kafka engine is closed")]
    Closed,
    /// The catalog's topic holds something that is not the engine's.
    #[error("the topic `{topic}` holds an entry for `{channel}` that can't be read: {detail}")]
    Catalog {
        /// The topic.
        topic: String,
        /// The entry's key.
        channel: String,
        /// Why not.
        detail: String,
    },
}

/// Why there is no token.
#[derive(Debug, Clone, Error)]
pub enum TokenFailure {
    /// Nothing says where it is.
    #[error("set trunkline.oauth.token.file or trunkline.oauth.token for OAUTHBEARER")]
    Missing,
    /// Its file can't be read.
    #[error("the token file {file} can't be read: {problem}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        problem: String,
    },
    /// librdkafka does not take it.
    #[error("the token, or its principal, can't be used: {0}")]
    Unusable(String),
}
