//! The embedded engine of Trunkline: channels on disk inside the process, with no server to run.
//!
//! One SQLite database holds everything. One thread writes: it gathers what waits and commits it as a group; a second
//! makes commits durable and confirms them while the first writes the next; a few threads read beside them. A record is
//! confirmed when the disk has it. Settling and publishing happen in one transaction, so a hand-over is atomic.
//!
//! What this engine will never do: serve a record it can't prove whole, or pass over one that is missing. Each record
//! carries a checksum and a sequence without gaps in its partition, and a side file next to the database knows how far
//! it must reach; see [`OpenError::Damaged`].
//!
//! One process has the directory. For several, use another engine.
//!
//! Read `schema` for what is on disk, `writer` and `confirm` for the way in, `group` and `intake` for the way out,
//! `load` for what is proven at the start.
#![warn(missing_docs)]

mod backup;
mod balance;
mod broker;
mod catalog;
mod checkpoint;
mod clock;
mod codec;
mod confirm;
mod core;
mod disk;
mod error;
mod examine;
mod files;
mod group;
mod inbox;
mod intake;
mod load;
mod lock;
mod observer;
mod open;
mod options;
mod queue;
mod ranges;
mod reader;
mod receipt;
mod request;
mod salvage;
mod schema;
mod settler;
mod side;
mod writer;

pub use backup::back_up;
pub use broker::EmbeddedBroker;
pub use disk::{Disk, OsDisk};
pub use error::{Damage, DamageReport, EngineError, OpenError};
pub use examine::EmbeddedExaminer;
pub use options::Options;
