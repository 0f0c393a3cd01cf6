//! The RabbitMQ engine on a real RabbitMQ: the port's contracts, and what is RabbitMQ's own.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and prints what it found")]

mod connecting;
mod faults;
mod fixture;
mod foreign;
mod proxy;
mod server;

trunkline_broker::conformance!(fixture::Rabbit);
