//! `broker`, `store`, `channels`, `types`, `sources` and `destinations`, read once for all services.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use trunkline_core::config::{Diagnostics, Node, NodeValue, codes, did_you_mean};
use trunkline_core::{DestinationName, NameError, SourceName, TypeCatalogue};

use super::broker::BrokerSettings;
use super::code;
use super::destinations::DestinationEntry;
use super::keys::KeyEntry;
use super::sections::{ChannelsSettings, SECTIONS};
use super::sources::SourceEntry;
use super::types::{TypeEntry, read_type};
use crate::destination::Context;
use crate::secrets::Secrets;

/// The sections that every service shares.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The whole document; services read their own sections from it.
    pub root: Arc<Node>,
    /// Where relative paths of the configuration start.
    pub folder: Arc<Path>,
    /// `broker`. Default `embedded:./data`.
    pub broker: BrokerSettings,
    /// `store`: `sqlite:PATH` or `postgres://..`. Default `sqlite:./data/store.db`.
    pub store: String,
    /// `channels`.
    pub channels: ChannelsSettings,
    /// `types`.
    pub types: BTreeMap<String, TypeEntry>,
    /// `types`, with the canonical ones.
    pub catalogue: Arc<TypeCatalogue>,
    /// `sources`.
    pub sources: BTreeMap<SourceName, SourceEntry>,
    /// `destinations`.
    pub destinations: BTreeMap<DestinationName, DestinationEntry>,
}

impl Shared {
    /// The default of `broker`.
    pub const DEFAULT_BROKER: &str = "embedded:./data";
    /// The default of `store`.
    pub const DEFAULT_STORE: &str = "sqlite:./data/store.db";

    /// Reads the shared sections of a document. All mistakes go to `diagnostics`; `None` when there was an error.
    /// `folder` is where relative paths start. Adapters' own settings are judged by [`crate::Adapters::check`],
    /// subscriptions by the rules, and each service's section by the service.
    pub fn read(root: Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut found = Diagnostics::new();
        let shared = Self::read_partly(root, folder, &mut found);
        let sound = !found.has_errors();
        diagnostics.extend(found.into_sorted());
        sound.then_some(shared)
    }

    /// As [`Shared::read`], but with what could be read of a document that has errors, so that the rest of it can be judged
    /// in the same run: an unreadable section is its default, of an unreadable source or destination there is what an adapter
    /// is judged by. Nothing may be started with it when there was an error.
    pub fn read_partly(root: Node, folder: &Path, diagnostics: &mut Diagnostics) -> Self {
        check_sections(&root, diagnostics);
        check_version(&root, diagnostics);
        let broker =
            section(&root, "broker").and_then(|node| BrokerSettings::read(node, folder, diagnostics));
        let store = section(&root, "store").and_then(|node| node.read(diagnostics));
        let channels = section(&root, "channels").and_then(|node| ChannelsSettings::read(node, diagnostics));
        let mut catalogue = TypeCatalogue::canonical();
        let types = read_entries(&root, "types", type_name, diagnostics, |name, node, diagnostics| {
            read_type(name, node, folder, &mut catalogue, diagnostics)
        });
        let sources =
            read_entries(&root, "sources", SourceName::parse, diagnostics, |_, node, diagnostics| {
                SourceEntry::read(node, diagnostics).or_else(|| SourceEntry::to_judge(node))
            });
        let destinations = read_entries(
            &root,
            "destinations",
            DestinationName::parse,
            diagnostics,
            |_, node, diagnostics| {
                DestinationEntry::read(node, diagnostics).or_else(|| Some(DestinationEntry::to_judge(node)))
            },
        );
        Self {
            broker: broker.unwrap_or_else(|| BrokerSettings::of(Self::DEFAULT_BROKER)),
            store: store.unwrap_or_else(|| Self::DEFAULT_STORE.to_owned()),
            channels: channels.unwrap_or_default(),
            types,
            catalogue: Arc::new(catalogue),
            sources,
            destinations,
            folder: folder.into(),
            root: Arc::new(root),
        }
    }

    /// A section of the document as its service's own type; its default when the section is left out.
    pub fn section<T: DeserializeOwned + Default>(
        &self,
        name: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        match section(&self.root, name) {
            Some(node) => node.read(diagnostics),
            None => Some(T::default()),
        }
    }

    /// A section's node, for diagnostics and for sections that are read entry by entry; `None` when it is left out.
    pub fn section_node(&self, name: &str) -> Option<&Node> {
        section(&self.root, name)
    }

    /// The keys of a service: `gateway` or `console`.
    pub fn keys(&self, service: &str, diagnostics: &mut Diagnostics) -> Option<Vec<KeyEntry>> {
        match section(&self.root, service).and_then(|node| node.get("keys")) {
            Some(node) => node.read(diagnostics),
            None => Some(Vec::new()),
        }
    }

    /// What the adapter of the source or destination `name` is given besides its settings.
    pub fn context(&self, name: &str, instance: &str) -> Context {
        Context {
            name: name.to_owned(),
            instance: instance.to_owned(),
            folder: self.folder.clone(),
            secrets: self.secrets(),
            catalogue: self.catalogue.clone(),
        }
    }

    /// Reads this configuration's secrets; each caller has its own memory of which changed.
    pub fn secrets(&self) -> Secrets {
        Secrets::in_folder(&self.folder)
    }
}

/// A type's name follows the rules of other names.
fn type_name(text: &str) -> Result<String, NameError> {
    SourceName::parse(text).map(|name| name.as_str().to_owned())
}

/// The node of `settings` in an entry, or an empty map in its place.
pub(super) fn settings_node(entry: &Node) -> Node {
    match entry.get("settings") {
        Some(node) if node.value != NodeValue::Null => node.clone(),
        other => Node {
            place: other.unwrap_or(entry).place.clone(),
            path: format!("{}.settings", entry.path).into(),
            value: NodeValue::Map(Vec::new()),
        },
    }
}

/// A section that stands in the file with a value; `name:` alone is as good as left out.
fn section<'a>(root: &'a Node, name: &str) -> Option<&'a Node> {
    root.get(name).filter(|node| node.value != NodeValue::Null)
}

fn check_sections(root: &Node, diagnostics: &mut Diagnostics) {
    if !expect_map(root, diagnostics) {
        return;
    }
    for (key, _) in root.entries().filter(|(key, _)| !SECTIONS.contains(&&*key.name)) {
        let hint = did_you_mean(&key.name, SECTIONS);
        let hint = hint.unwrap_or_else(|| format!("there are {}", SECTIONS.join(", ")));
        let at = Node { place: key.place.clone(), path: key.name.clone(), value: NodeValue::Null };
        let message = format!("there is no section `{}`", key.name);
        diagnostics.push(at.error(codes::UNKNOWN_KEY, message, Some(hint)));
    }
}

fn check_version(root: &Node, diagnostics: &mut Diagnostics) {
    let (node, message) = match root.get("version") {
        Some(Node { value: NodeValue::Integer(1), .. }) => return,
        Some(node) => (node, "this version of Trunkline reads configurations of version 1 only"),
        None => (root, "`version` is missing"),
    };
    diagnostics.push(node.error(code::VERSION, message, Some("write `version: 1`".to_owned())));
}

fn expect_map(node: &Node, diagnostics: &mut Diagnostics) -> bool {
    match &node.value {
        NodeValue::Map(_) => true,
        // Reading it as a map words the mistake as every other wrong type is worded.
        _ => node.read::<BTreeMap<String, serde::de::IgnoredAny>>(diagnostics).is_some(),
    }
}

/// Every entry that could be read; of each other one there is a diagnostic.
fn read_entries<N: Ord, E>(
    root: &Node,
    name: &str,
    parse: impl Fn(&str) -> Result<N, NameError>,
    diagnostics: &mut Diagnostics,
    mut read: impl FnMut(&str, &Node, &mut Diagnostics) -> Option<E>,
) -> BTreeMap<N, E> {
    let mut entries = BTreeMap::new();
    let Some(node) = section(root, name).filter(|node| expect_map(node, diagnostics)) else { return entries };
    for (key, node) in node.entries() {
        let parsed = parse(&key.name).map_err(|error| {
            let at = Node { place: key.place.clone(), ..node.clone() };
            diagnostics.push(at.error(codes::BAD_NAME, error.to_string(), None));
        });
        if let (Ok(name), Some(entry)) = (parsed, read(&key.name, node, diagnostics)) {
            entries.insert(name, entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests;
