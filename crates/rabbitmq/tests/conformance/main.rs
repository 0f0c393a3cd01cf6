//! The RabbitMQ engine on a real RabbitMQ: the port's contracts, and what is RabbitMQ's own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod blocking;
mod connecting;
mod declaring;
mod fixture;
mod foreign;
mod proxy;
mod refusing;
mod server;

trunkline_broker::conformance!(fixture::Rabbit);
