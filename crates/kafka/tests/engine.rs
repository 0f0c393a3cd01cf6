//! What the Kafka engine does beyond the port's contracts, tried on a real Kafka.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "engine/declaring.rs"]
mod declaring;
#[path = "engine/deleting.rs"]
mod deleting;
#[path = "engine/fencing.rs"]
mod fencing;
#[path = "engine/flowing.rs"]
mod flowing;
#[path = "engine/foreign.rs"]
mod foreign;
#[path = "engine/security.rs"]
mod security;
#[path = "engine/stage.rs"]
mod stage;
