//! What goes wrong below the port.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// Why a broker can't be had at start. No variant shows the URL or anything of it but host and port.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL is none that RabbitMQ knows.
    #[error("the broker's address is not amqp://user:password@host:port/vhost or amqps://..")]
    Url,
    /// The prefix is too long for AMQP's names.
    #[error("the prefix is longer than {0} bytes")]
    Prefix(usize),
    /// A certificate or key can't be read.
    #[error("can't read {path}", path = .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server refused the user, the password or the virtual host.
    #[error("RabbitMQ at {address} refuses this user, password or virtual host")]
    Refused {
        /// Host and port.
        address: String,
        /// What it said.
        #[source]
        source: RabbitFailure,
    },
    /// Nobody answered, or not as RabbitMQ does.
    #[error("can't connect to RabbitMQ at {address}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What happened.
        #[source]
        source: RabbitFailure,
    },
}

/// What happened on the way to the broker, as the source of the port's errors.
#[derive(Debug, Clone, Error)]
pub enum RabbitFailure {
    /// The client library or the server said no.
    #[error(transparent)]
    Amqp(#[from] lapin::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The broker has stopped taking records: memory or disk is short.
    #[error("RabbitMQ blocks publishers: {0}")]
    Blocked(Arc<str>),
    /// The broker refused to store a record: a queue is full, or can't be written now.
    #[error("RabbitMQ refused to store the record: a queue is full or can't be written")]
    Nacked,
    /// Records were sent, or would have been, and no confirmation came in time.
    #[error("RabbitMQ has not confirmed the record in time")]
    Unconfirmed,
    /// A queue exists with other arguments than this engine gives it; the broker's own words.
    #[error("a queue exists with other arguments: {0}")]
    Differs(Arc<str>),
    /// The connection is down; it is being opened again.
    #[error("the connection to RabbitMQ is down")]
    Disconnected,
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
}
