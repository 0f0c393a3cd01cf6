//! The RabbitMQ engine on a real RabbitMQ: the port's contracts, and what is RabbitMQ's own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;
mod proxy;
mod server;

trunkline_broker::conformance!(fixture::Rabbit);
