//! Real brokers for tests, as local processes: Kafka, RabbitMQ and PostgreSQL, shared by a whole test run or private to
//! one test.
//!
//! Every function blocks and uses the standard library only, so a test calls it from any thread that may block. It needs
//! Linux: processes are known by `/proc`. None of it is part of the product.

pub mod brokers;
