//! `broker`, `store`, `channels`, `types`, `sources` and `destinations`, read once for all services.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use trunkline_core::config::{Diagnostics, Node};
use trunkline_core::{DestinationName, SourceName, TypeCatalogue};

use super::destinations::DestinationEntry;

/// The sections that every service shares.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The whole document; services read their own sections from it.
    pub root: Arc<Node>,
    /// `broker`: `embedded:DIR`, later `kafka://..` and `amqp://..`. Default `embedded:./data`.
    pub broker: String,
    /// `store`: `sqlite:PATH` or `postgres://..`. Default `sqlite:./data/store.db`.
    pub store: String,
    /// `channels`.
    pub channels: ChannelsSettings,
    /// `types`, with the canonical ones.
    pub catalogue: Arc<TypeCatalogue>,
    /// `sources`.
    pub sources: BTreeMap<SourceName, SourceEntry>,
    /// `destinations`.
    pub destinations: BTreeMap<DestinationName, DestinationEntry>,
}

/// One entry of `sources:`.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// The adapter's name.
    pub adapter: String,
    /// The adapter's own settings, still a node.
    pub settings: Node,
    /// The whole entry.
    pub node: Node,
}

/// `channels:`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelsSettings {
    /// Put before every channel's name on the broker, so that two environments can share it. Default none.
    pub prefix: String,
    /// Partitions of `events` and of each `deliver.*`. Default 4.
    pub partitions: u16,
    /// How long `events` are kept. Default 7 d.
    pub events_keep: Duration,
    /// How long `journey` is kept. Default 7 d.
    pub journey_keep: Duration,
    /// The longest record in bytes. Default 4 MiB.
    pub max_record: usize,
    /// Which steps `journey` records.
    pub journey: JourneyMode,
}

/// Which steps `journey` records; counts always stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JourneyMode {
    /// Every step.
    All,
    /// Only what did not go well.
    Failures,
}

impl Shared {
    /// Reads the shared sections of a document. All mistakes go to `diagnostics`; `None` when there was an error.
    /// `folder` is where relative paths of `types` start. Adapters' own settings are judged by
    /// [`crate::Adapters::check`], subscriptions by the rules.
    pub fn read(root: Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<Self> {
        todo!("{root:?} {folder:?} {diagnostics:?}")
    }
}
