//! The Kafka engine of Trunkline: the broker port on rdkafka. Nothing else sees rdkafka.
//!
//! # What it maps to
//!
//! | port | Kafka |
//! | --- | --- |
//! | channel `deliver.crm` | topic `PREFIXdeliver.crm`, never deleted from by the brokers |
//! | its delayed records | topic `PREFIX_delay.deliver.crm`, a partition for each step of time |
//! | group `dispatcher` | consumer group `PREFIXdispatcher` |
//! | movers of delayed records | consumer group `PREFIX_mover` |
//! | what channels were declared with | compacted topic `PREFIX_channels`, an entry of JSON for each |
//! | lease | an assigned partition, until it is revoked |
//! | settled | behind the group's committed offset |
//! | atomic hand-over | a transaction; transactional ids `PREFIX` + client + `-0`, `-1`, .. |
//!
//! Keys choose partitions by `murmur2_random`, as Java clients do.
//!
//! # How to read it
//!
//! [`KafkaBroker`] is the front. Records go out through `publisher` (a producer on a thread that polls; `confirm` counts
//! confirmations by the batch) after `prepare` looked up their channels in the `catalog`, which `register` keeps up to date.
//! They come in through `member` (a consumer on a thread that never stops polling), wait in the `window` of their `lease`,
//! and are handed out by `intake`. `settler` settles them, or `transaction` does. `mover` carries delayed records on,
//! `keeper` deletes settled ones. `examine` looks at a cluster without any of this.
//!
//! # What it will never do
//!
//! Commit past a record that is not settled; jump over records that are missing ([`ConsumeError::Damaged`] instead); delete a
//! record that a declared group has not settled; let a property change any of this ([`REFUSED_PROPERTIES`]).
//!
//! # Security
//!
//! TLS and mutual TLS by [`Options::tls`]. SASL by properties: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, and
//! `OAUTHBEARER` with a token from `trunkline.oauth.token.file` (read again before it is five minutes old) or
//! `trunkline.oauth.token`, and the name `trunkline.oauth.principal`. Not supported: `GSSAPI` (Kerberos), and librdkafka's
//! own OIDC client, which the build leaves out.
//!
//! [`ConsumeError::Damaged`]: trunkline_broker::ConsumeError::Damaged
#![warn(missing_docs)]

mod asker;
mod broker;
mod catalog;
mod cluster;
mod confirm;
mod context;
mod core;
mod delay;
mod error;
mod examine;
mod inbox;
mod intake;
mod keeper;
mod lag;
mod lease;
mod member;
mod mover;
mod names;
mod narrowed;
mod observer;
mod options;
mod prepare;
mod properties;
mod publisher;
mod raw;
mod rebalance;
mod receipt;
mod register;
mod resume;
mod settler;
mod token;
mod topology;
mod transaction;
mod window;

pub use broker::KafkaBroker;
pub use error::{ConnectError, KafkaFailure, TokenFailure};
pub use examine::KafkaExaminer;
pub use options::{Options, Tls};
pub use properties::{REFUSED_PROPERTIES, judge_property};
