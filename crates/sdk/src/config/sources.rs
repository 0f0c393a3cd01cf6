//! A source's entry: which adapter, and the adapter's settings.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use trunkline_core::config::{Diagnostics, Node};

use super::shared::settings_node;

/// One entry of `sources:`.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// The adapter's name.
    pub adapter: String,
    /// The adapter's own settings, still a node; an empty map where there are none.
    pub settings: Node,
    /// The whole entry.
    pub node: Node,
}

/// As it stands in the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    /// The adapter's name.
    adapter: String,
    /// The adapter's own settings.
    #[schemars(with = "Option<serde_json::Value>")]
    #[serde(rename = "settings", default)]
    _settings: Option<IgnoredAny>,
}

impl SourceEntry {
    pub(super) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let raw: RawSource = node.read(diagnostics)?;
        Some(Self { adapter: raw.adapter, settings: settings_node(node), node: node.clone() })
    }

    /// What the adapter of an entry with mistakes beside its settings is judged by; `None` where none is named.
    pub(super) fn to_judge(node: &Node) -> Option<Self> {
        let adapter = node.get("adapter")?.as_text()?.to_owned();
        Some(Self { adapter, settings: settings_node(node), node: node.clone() })
    }
}
