//! What developer commands and tests share: real brokers as local processes, Kafka, RabbitMQ and PostgreSQL, shared by a
//! whole test run or private to one test; and what the container image is made of.
//!
//! Every function blocks, so a test calls it from any thread that may block. It needs Linux: processes are known by
//! `/proc`. None of it is part of the product.

pub mod brokers;
pub mod image;
