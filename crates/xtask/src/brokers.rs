//! Test brokers.
//!
//! [`shared`] says where the brokers of this test run are, which `cargo xtask brokers up` or `cargo xtask test` started or
//! environment variables name. What a test stops, kills, pauses or configures in its own way is a broker of its own:
//! [`kafka::Kafka`], [`rabbitmq::RabbitMq`] and [`postgres::Postgres`] launch one in a folder of its own and end it when
//! dropped, or when the test's process ends in whatever way.

mod certificates;
mod error;
mod folder;
mod guard;
mod install;
pub mod kafka;
mod ports;
pub mod postgres;
mod probe;
mod process;
pub mod rabbitmq;
mod recipe;
mod server;
mod set;
mod shared;
mod state;

pub use certificates::{Certificates, Pair};
pub use error::BrokersError;
pub use install::{install, install_packages};
pub use server::Server;
pub use set::{Status, down, environment, status, up};
pub use shared::{
    Control, Shared, SharedKafka, SharedPostgres, SharedRabbitMq, WITHOUT, shared, shared_or_skip, skipped,
};
pub use state::Kind;
