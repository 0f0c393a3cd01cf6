//! The broker port: what Trunkline asks of the broker it runs on, and nothing more.
//!
//! An *engine* (embedded, Kafka, RabbitMQ) implements [`Broker`]; everything above sees only this crate. The port is
//! batch-shaped, because speed comes from batches, and its answers are about durability, because that is what callers
//! decide by. What an engine promises is what [`mod@conformance`] tries; an engine that passes it may be used.
//!
//! This crate does no I/O of its own. Read [`record`] and [`channel`], then [`broker`] with [`intake`] and
//! [`settler`]; errors are in [`error`]. [`examine`] is apart: it looks at a broker without using it.
#![warn(missing_docs)]

pub mod broker;
pub mod channel;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod examine;
pub mod intake;
pub mod record;
pub mod settler;

pub use broker::{Broker, Capabilities, Ensure, Lag, Observer, Start};
pub use channel::{ChannelName, ChannelSpec, GroupName, Keep};
pub use error::{
    ConsumeError, HandOverError, LagError, PublishError, PublishFailure, RecordFailure, TopologyError,
};
pub use examine::{Examine, Setting};
pub use intake::{Intake, Intaken, Lease};
pub use record::{Headers, Key, Outgoing, Position, Receipt, Received};
pub use settler::Settler;
