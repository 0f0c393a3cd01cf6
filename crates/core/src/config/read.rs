//! Typed settings from a node, every mistake with its place.
//!
//! A type's own deserialization stops at its first mistake. To find them all, it is run again with what was at fault
//! left out (a bad member, an unknown key) or stood in for (a missing one), until it succeeds or nothing is left to try.
//! What a later run complains about only because of such a patch is not reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::codes;
use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::node::Node;
use super::{hint, secret};

mod deserializer;
mod error;
mod stand_in;

use deserializer::NodeDeserializer;
use error::{Kind, Spot};
use stand_in::StandIn;

/// A document may be wrong in many places, but nobody reads more than this many diagnostics of one entry.
const MAX_RUNS: usize = 500;

pub(super) fn read<T: DeserializeOwned>(node: &Node, diagnostics: &mut Diagnostics) -> Option<T> {
    let mut patches = Patches::default();
    for run in 0..MAX_RUNS {
        match T::deserialize(NodeDeserializer::new(node, &patches)) {
            Ok(value) if run == 0 => return Some(value),
            Ok(_) => return None,
            Err(error) => {
                if !patches.learn(*error.0, node, diagnostics) {
                    return None;
                }
            }
        }
    }
    None
}

/// What to leave out and to stand in for in the next run, by path.
#[derive(Debug, Default)]
struct Patches {
    left_out: BTreeSet<Arc<str>>,
    /// The map's path, the key, and how many stand-ins for it were refused.
    stand_ins: BTreeMap<(Arc<str>, &'static str), usize>,
}

impl Patches {
    fn leaves_out(&self, path: &str) -> bool {
        self.left_out.contains(path)
    }

    fn stand_ins<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'static str, StandIn)> + 'a {
        let here = self.stand_ins.iter().filter(move |((at, _), _)| &**at == path);
        here.filter_map(|((_, name), refused)| Some((*name, StandIn::of_attempt(*refused)?)))
    }

    /// Whether anything at or below `path` was patched, so that a complaint about the whole may be about the patch.
    fn touch(&self, path: &str) -> bool {
        let within =
            |at: &str| at.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let everything = path.is_empty() && !(self.left_out.is_empty() && self.stand_ins.is_empty());
        everything
            || self.left_out.iter().any(|at| within(at))
            || self.stand_ins.keys().any(|(at, _)| within(at))
    }

    /// Reports an error unless it comes from a patch, and patches it. False when there is nothing more to try.
    fn learn(&mut self, error: error::Parts, root: &Node, diagnostics: &mut Diagnostics) -> bool {
        let spot = error.spot.unwrap_or_else(|| Spot::of(root));
        match error.kind {
            Kind::Missing(name) => {
                if !self.leaves_out(&deserializer::join(&spot.path, name)) {
                    let message = format!("key `{name}` is missing");
                    diagnostics.push(diagnostic(codes::MISSING_KEY, &spot, message, error.hint));
                }
                if self.stand_ins.insert((Arc::clone(&spot.path), name), 0).is_none() {
                    return true;
                }
            }
            Kind::StandIn(name) => {
                let refused = self.stand_ins.entry((Arc::clone(&spot.path), name)).or_default();
                *refused += 1;
                if StandIn::of_attempt(*refused).is_some() {
                    return true;
                }
            }
            kind if self.touch(&spot.path) => drop(kind),
            kind => diagnostics.push(report(kind, error.hint, &spot)),
        }
        spot.path != root.path && self.left_out.insert(spot.path)
    }
}

fn report(kind: Kind, hint: Option<String>, spot: &Spot) -> Diagnostic {
    match kind {
        Kind::UnknownKey { name, expected } => {
            let hint = hint.or_else(|| hint::among(&name, expected));
            diagnostic(codes::UNKNOWN_KEY, spot, format!("unknown key `{name}`"), hint)
        }
        Kind::UnknownVariant { name, expected } => {
            let message = format!("`{name}` is not one of {}", expected.join(", "));
            let hint = hint.or_else(|| super::did_you_mean(&name, expected.iter().copied()));
            diagnostic(codes::WRONG_VALUE, spot, message, hint)
        }
        Kind::Missing(name) | Kind::StandIn(name) => {
            diagnostic(codes::MISSING_KEY, spot, format!("key `{name}` is missing"), hint)
        }
        Kind::Value(message) => {
            let is_secret = message == secret::NOT_A_REFERENCE;
            let code = if is_secret { codes::BAD_SECRET } else { codes::WRONG_VALUE };
            diagnostic(code, spot, message, hint)
        }
    }
}

fn diagnostic(code: &'static str, spot: &Spot, message: String, hint: Option<String>) -> Diagnostic {
    let (place, path) = (spot.place.clone(), spot.path.to_string());
    Diagnostic { severity: Severity::Error, place, path, message, hint, code }
}
