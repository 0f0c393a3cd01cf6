//! The RabbitMQ engine.
#![warn(missing_docs)]

mod broker;
mod connection;
mod error;
mod options;

pub use broker::RabbitBroker;
pub use error::{ConnectError, RabbitFailure};
pub use options::{Options, Tls};
