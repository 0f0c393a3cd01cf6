//! Why an adapter was not made, and how that reads as diagnostics.

use thiserror::Error;
use trunkline_core::config::{Diagnostics, Node, NodeValue, did_you_mean};

use crate::config::code;
use crate::destination::SetupError;

/// Why an adapter was not made.
#[derive(Debug, Error)]
pub enum MakeError {
    /// The configuration names an adapter that is not registered.
    #[error("there is no adapter `{adapter}`; there are {}", .known.join(", "))]
    Unknown {
        /// The adapter asked for.
        adapter: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
    /// The destination is delivered by a team's own service.
    #[error("the destination is external: it has no adapter here")]
    External,
    /// The settings do not read.
    #[error("{}", lines(.0))]
    Settings(Diagnostics),
    /// The adapter refused them.
    #[error(transparent)]
    Setup(SetupError),
}

impl MakeError {
    /// Adds this error to `diagnostics`: at the setting that is at fault where it is found below `settings`, else at
    /// the entry.
    pub fn report(self, entry: &Node, settings: &Node, diagnostics: &mut Diagnostics) {
        match self {
            MakeError::Settings(found) => diagnostics.extend(found.into_sorted()),
            MakeError::Setup(error) => {
                let node = find(settings, &error.field).unwrap_or(settings);
                let message = if find(settings, &error.field).is_some() {
                    error.problem
                } else {
                    format!("{}: {}", error.field, error.problem)
                };
                diagnostics.push(node.error(code::SETTINGS_REFUSED, message, error.hint));
            }
            MakeError::External => {
                diagnostics.push(entry.error(code::SETTINGS_REFUSED, self.to_string(), None));
            }
            MakeError::Unknown { ref adapter, ref known } => {
                let node = entry.get("adapter").unwrap_or(entry);
                let hint = did_you_mean(adapter, known.iter().copied())
                    .unwrap_or_else(|| format!("there are {}", known.join(", ")));
                diagnostics.push(node.error(
                    code::UNKNOWN_ADAPTER,
                    format!("there is no adapter `{adapter}`"),
                    Some(hint),
                ));
            }
        }
    }
}

/// The node at a path of names and indices joined by dots; the empty path is the node itself.
pub(super) fn find<'a>(node: &'a Node, path: &str) -> Option<&'a Node> {
    if path.is_empty() {
        return Some(node);
    }
    // A name may itself contain dots (`headers.x.y`), so the longest name that is there is tried first.
    let ends = path.match_indices('.').map(|(index, _dot)| index).chain([path.len()]);
    ends.collect::<Vec<_>>().into_iter().rev().find_map(|end| {
        let rest = path.get(end + 1..).unwrap_or_default();
        find(step(node, &path[..end])?, rest)
    })
}

fn step<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.value {
        NodeValue::List(items) => items.get(name.parse::<usize>().ok()?),
        _ => node.get(name),
    }
}

fn lines(diagnostics: &Diagnostics) -> String {
    let list = diagnostics.clone().into_sorted();
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
