//! Destinations, each by its adapter.

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use trunkline_core::{DestinationName, Examination};
use trunkline_sdk::Adapters;
use trunkline_sdk::config::{DestinationEntry, Shared};
use trunkline_sdk::registry::setting_node;
use trunkline_sdk::service::instance_name;

use super::spot::Spot;
use super::{Part, bounded, placed};

/// Examined at once, so that hundreds do not all call in one moment.
const AT_ONCE: usize = 32;

pub(super) async fn examine(shared: &Shared, adapters: &Adapters, within: Duration) -> Vec<Part> {
    let all =
        stream::iter(&shared.destinations).map(|(name, entry)| one(shared, adapters, name, entry, within));
    all.buffered(AT_ONCE).collect().await
}

async fn one(
    shared: &Shared,
    adapters: &Adapters,
    name: &DestinationName,
    entry: &DestinationEntry,
    within: Duration,
) -> Part {
    let mut found = Examination::default();
    if entry.external {
        found.unseen("it is external: another service delivers it");
    } else {
        let context = shared.context(name.as_str(), &instance_name());
        match adapters.make_destination(entry, &context).await {
            Ok(destination) => {
                let at = String::new();
                bounded(within, at, &mut found, async |found| destination.examine(found).await).await;
            }
            // What is wrong with its settings is a finding of the configuration's.
            Err(error) => found.unseen(format!("it can't be made: {error}")),
        }
    }
    Part {
        name: format!("destination {name}"),
        found: placed(found, |path| Spot::of(setting_node(&entry.settings, &path))),
        whole: Spot::of(&entry.node),
    }
}
