//! The Kafka engine.

mod asker;
mod broker;
mod catalog;
mod confirm;
mod context;
mod core;
mod delay;
mod error;
mod inbox;
mod intake;
mod keeper;
mod lag;
mod lease;
mod member;
mod mover;
mod names;
mod observer;
mod options;
mod prepare;
mod properties;
mod publisher;
mod raw;
mod rebalance;
mod receipt;
mod register;
mod settler;
mod topology;
mod transaction;
mod window;

pub use broker::KafkaBroker;
pub use error::{ConnectError, KafkaFailure};
pub use options::{Options, Tls};
pub use properties::{REFUSED_PROPERTIES, judge_property};
