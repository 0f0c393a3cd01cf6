//! The part of the configuration that every service shares, typed, and what surrounds a configuration: loading it from
//! files, watching them, the keys of those who may speak to a service, and the schema for editors.
//!
//! A service reads its own section with [`Shared::section`] as a `serde` type that denies unknown fields; its durations
//! and sizes are `core`'s [`DurationSetting`](crate::core::config::DurationSetting) and
//! [`SizeSetting`](crate::core::config::SizeSetting).

mod broker;
pub mod code;
mod destinations;
mod keys;
mod load;
mod schema;
mod sections;
mod shared;
mod sources;
mod types;
mod unset;
mod watch;

pub use broker::{BrokerSettings, EngineKind, Property, TlsFiles, kafka_servers};
pub use destinations::{DestinationEntry, DestinationSettings, Ordering, RateLimit};
pub use keys::{AuthError, Caller, KeyEntry, KeyRing, ListenError, Scope, check_listen};
pub use load::{Loaded, load};
pub use schema::schema;
pub use sections::{ChannelsSettings, JourneyMode, SECTIONS};
pub use shared::Shared;
pub use sources::SourceEntry;
pub use types::TypeEntry;
pub use unset::{report_unset, secret_reference, unset_secrets};
pub use watch::Watcher;
