//! Which channels a configuration needs.

use trunkline_broker::{ChannelName, ChannelSpec, GroupName, Keep};
use trunkline_core::DestinationName;

use crate::config::Shared;

/// Every channel of a configuration, with its groups and its retention.
pub fn channels(shared: &Shared) -> Vec<ChannelSpec> {
    let settings = &shared.channels;
    let spec = |name, partitions, group, keep| ChannelSpec {
        name,
        partitions,
        groups: vec![group],
        keep,
        max_record: settings.max_record,
    };
    let kept = |age| Keep::For { age, bytes: None };
    let dead = |name| spec(name, 1, GroupName::console(), Keep::UntilSettled);
    let mut specs = vec![
        spec(ChannelName::events(), settings.partitions, GroupName::router(), kept(settings.events_keep)),
        spec(ChannelName::journey(), settings.partitions, GroupName::console(), kept(settings.journey_keep)),
        dead(ChannelName::dead_router()),
        dead(ChannelName::dead_gateway()),
    ];
    for name in shared.destinations.keys() {
        specs.push(deliver(name, settings.partitions, settings.max_record));
        specs.push(dead(ChannelName::dead(name)));
    }
    specs
}

fn deliver(destination: &DestinationName, partitions: u16, max_record: usize) -> ChannelSpec {
    ChannelSpec {
        name: ChannelName::deliver(destination),
        partitions,
        groups: vec![GroupName::dispatcher()],
        keep: Keep::UntilSettled,
        max_record,
    }
}
