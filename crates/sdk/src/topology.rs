//! Which channels a configuration needs.

use trunkline_broker::ChannelSpec;

use crate::config::Shared;

/// Every channel of a configuration, with its groups and its retention.
pub fn channels(shared: &Shared) -> Vec<ChannelSpec> {
    todo!("{shared:?}")
}
