//! What the engine promises beyond the port: kill -9, full and failing disks, one process per directory, retention.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod durability;
mod failing;
mod filling;
mod keeping;
mod opening;
mod scene;
