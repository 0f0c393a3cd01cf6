//! The sections of a configuration, and `channels`, which no crate above owns.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_core::config::{Diagnostics, DurationSetting, Node, SizeSetting, codes};

/// Every section a configuration may have.
pub const SECTIONS: [&str; 12] = [
    "version",
    "broker",
    "store",
    "channels",
    "types",
    "gateway",
    "router",
    "dispatcher",
    "console",
    "sources",
    "destinations",
    "subscriptions",
];

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
    /// Which steps `journey` records. Default all.
    pub journey: JourneyMode,
}

/// Which steps `journey` records; counts always stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JourneyMode {
    /// Every step.
    All,
    /// Only what did not go well.
    Failures,
}

impl Default for ChannelsSettings {
    fn default() -> Self {
        let week = Duration::from_secs(7 * 24 * 3600);
        Self {
            prefix: String::new(),
            partitions: 4,
            events_keep: week,
            journey_keep: week,
            max_record: 4 << 20,
            journey: JourneyMode::All,
        }
    }
}

/// `channels:` as it stands in the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawChannels {
    /// Put before every channel's name on the broker, so that two environments can share it.
    prefix: String,
    /// Partitions of `events` and of each `deliver.*`. Default 4.
    partitions: u16,
    /// The longest record, for example `4MiB`, which is the default.
    max_record: SizeSetting,
    /// Accepted events.
    events: RawKeep,
    /// What happened to them.
    journey: RawJourney,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawKeep {
    /// How long they are kept. Default `7d`.
    keep: DurationSetting,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawJourney {
    /// How long it is kept. Default `7d`.
    keep: DurationSetting,
    /// Which steps it records. Default `all`.
    steps: JourneyMode,
}

impl Default for RawChannels {
    fn default() -> Self {
        let ChannelsSettings { prefix, partitions, max_record, .. } = ChannelsSettings::default();
        Self {
            prefix,
            partitions,
            max_record: (max_record as u64).into(),
            events: RawKeep::default(),
            journey: RawJourney::default(),
        }
    }
}

impl Default for RawKeep {
    fn default() -> Self {
        Self { keep: ChannelsSettings::default().events_keep.into() }
    }
}

impl Default for RawJourney {
    fn default() -> Self {
        let ChannelsSettings { journey_keep: keep, journey: steps, .. } = ChannelsSettings::default();
        Self { keep: keep.into(), steps }
    }
}

impl ChannelsSettings {
    /// The smallest `max_record` that makes sense.
    const LEAST_RECORD: u64 = 64 << 10;

    pub(super) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let raw: RawChannels = node.read(diagnostics)?;
        let at = |name: &str| node.get(name).unwrap_or(node);
        let permitted = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let mut valid = true;
        let mut judge = |right: bool, node: &Node, problem: &str| {
            if !right {
                diagnostics.push(node.error(codes::WRONG_VALUE, problem, None));
            }
            valid &= right;
        };
        judge(raw.partitions > 0, at("partitions"), "must be at least 1");
        judge(raw.prefix.chars().all(permitted), at("prefix"), "must be made of a-z, 0-9, - and .");
        judge(raw.prefix.len() <= 30, at("prefix"), "must be at most 30 characters long");
        judge(
            raw.max_record.0 >= Self::LEAST_RECORD && usize::try_from(raw.max_record.0).is_ok(),
            at("max_record"),
            "must be at least 64KiB",
        );
        judge(!raw.events.keep.is_zero(), at("events"), "`keep` must be longer than nothing");
        judge(!raw.journey.keep.is_zero(), at("journey"), "`keep` must be longer than nothing");
        valid.then_some(Self {
            prefix: raw.prefix,
            partitions: raw.partitions,
            events_keep: raw.events.keep.0,
            journey_keep: raw.journey.keep.0,
            max_record: usize::try_from(raw.max_record.0).unwrap_or(usize::MAX),
            journey: raw.journey.steps,
        })
    }
}
