//! The RabbitMQ engine: channels on quorum queues.
//!
//! A channel is, for each of its groups, a direct exchange and a quorum queue per partition; a publisher chooses the partition
//! by the key and sends every group its copy. That costs a copy per group, and buys what the broker alone can't give:
//! a confirmation that means *every* group has it, order per key, and groups that never wait for each other. A queue's
//! single active consumer is the fence of a lease; who should have which lease is agreed between the processes, without one
//! that decides.
//!
//! | to know | read |
//! | --- | --- |
//! | what things are called in the broker | `names` |
//! | how channels are declared, looked up, removed | `topology`, `ledger`, `catalog` |
//! | how a record travels, and its number | `codec`, `sequence` |
//! | how it is published and confirmed | `publish`, `publish/lane`, `publish/returns` |
//! | how it waits for its time | `delay` |
//! | how leases are agreed upon, taken and left | `members`, `news`, `balance`, `consume/lease` |
//! | how records are handed out and settled | `consume/intake`, `consume/partition`, `settler` |
//! | how foreign programs publish | `foreign` |
//! | how it is looked at without being used | `examine` |
//!
//! Three connections at least: one to control and listen, one to publish (the broker may block that), and those that consume.
//! Nothing outside this crate knows what a queue or an exchange is.
#![warn(missing_docs)]

mod announcement;
mod balance;
mod broker;
mod catalog;
mod codec;
mod connection;
mod consume;
mod control;
mod core;
mod delay;
mod error;
mod examine;
mod foreign;
mod lag;
mod ledger;
mod link;
mod members;
mod murmur;
mod names;
mod news;
mod observer;
mod options;
mod publish;
mod sequence;
mod settler;
mod topology;

pub use broker::RabbitBroker;
pub use error::{ConnectError, RabbitFailure};
pub use examine::RabbitExaminer;
pub use options::{Options, Tls};
