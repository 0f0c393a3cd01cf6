//! Services as processes of their own, on Kafka and on RabbitMQ, with PostgreSQL: what holds in one process holds in many.

mod demo;
mod killed;
mod only;
mod permitted;
mod scaled;
mod secured;
mod started;

use trunkline_tests::RECOVERED;
