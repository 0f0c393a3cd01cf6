//! The part of the configuration that every service shares, typed.

mod destinations;
mod shared;

pub use destinations::{DestinationEntry, DestinationSettings, Ordering, RateLimit};
pub use shared::{ChannelsSettings, JourneyMode, Shared, SourceEntry};
