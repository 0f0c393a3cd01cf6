//! A pattern from the configuration, every mistake with its place.

use std::sync::Arc;

use trunkline_core::config::{Diagnostics, Node, NodeValue};

use super::limits::{MAX_COMBINATIONS, MAX_DEPTH, MAX_STARS, MAX_VALUES};
use super::{Alternatives, Field, Fields, Pattern, Want, read_operator};
use crate::codes;
use crate::suggest::did_you_mean;

/// The fields of an event that a pattern can ask about, `data` last: it is decoded only when the others match.
pub(super) const TOP: [&str; 7] = ["id", "source", "type", "subject", "time", "ext", "data"];

pub(super) fn pattern(node: &Node, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let mut reader = Reader { diagnostics, stars: 0, values: 0, sound: true };
    let NodeValue::Map(_) = node.value else {
        let hint = Some("for example `match: { type: [commerce.order.created] }`".to_owned());
        reader.error(node, codes::PATTERN, "a pattern is a map of fields to lists of values", hint);
        return None;
    };
    let mut root = reader.fields(node, "", 0);
    let rank = |field: &Field| TOP.iter().position(|top| *top == &*field.name);
    root.fields.sort_by_key(rank);
    reader.check_size(node, &root);
    reader.sound.then_some(Pattern { root })
}

/// Reads on after a mistake, so that all are found.
pub(super) struct Reader<'a> {
    diagnostics: &'a mut Diagnostics,
    pub(super) stars: usize,
    pub(super) values: usize,
    sound: bool,
}

impl Reader<'_> {
    pub(super) fn error(
        &mut self,
        node: &Node,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.sound = false;
        self.diagnostics.push(node.error(code, message, hint));
    }

    fn fields(&mut self, node: &Node, path: &str, depth: usize) -> Fields {
        let mut fields = Fields::default();
        if depth > MAX_DEPTH {
            self.error(node, codes::PATTERN_LIMIT, format!("nested deeper than {MAX_DEPTH}"), None);
            return fields;
        }
        for (key, value) in node.entries() {
            if &*key.name == "$or" {
                fields.alternatives.extend(self.alternatives(value, path, depth));
                continue;
            }
            if path.is_empty() && !TOP.contains(&&*key.name) {
                let at_key = Node { place: key.place.clone(), ..value.clone() };
                self.unknown_field(&at_key, &key.name);
                continue;
            }
            let path: Arc<str> =
                if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name).into() };
            if let Some(want) = self.want(value, &path, depth) {
                fields.fields.push(Field { name: key.name.clone(), path, want });
            }
        }
        fields
    }

    fn unknown_field(&mut self, node: &Node, name: &str) {
        let hint = did_you_mean(name, TOP).unwrap_or_else(|| {
            format!("an event has {}; what its data holds is asked for under `data`", TOP.join(", "))
        });
        self.error(node, codes::OPERATOR, format!("an event has no field `{name}`"), Some(hint));
    }

    fn want(&mut self, node: &Node, path: &str, depth: usize) -> Option<Want> {
        let attribute = !matches!(path, "ext" | "data") && depth == 0;
        match &node.value {
            NodeValue::List(items) if path == "ext" => {
                self.error(
                    node,
                    codes::PATTERN,
                    "`ext` is a map",
                    Some(format!("for example `ext: {{ tenant: [{}] }}`", items.len())),
                );
                None
            }
            NodeValue::List(items) if items.is_empty() => {
                self.error(node, codes::PATTERN, "an empty list matches nothing", None);
                None
            }
            NodeValue::List(items) => {
                let operators =
                    items.iter().filter_map(|item| read_operator::alternative(self, item)).collect();
                Some(Want::One { place: node.place.clone(), operators })
            }
            NodeValue::Map(_) if attribute => {
                let hint = "write a list of values, for example `[{ prefix: \"commerce.\" }]`".to_owned();
                self.error(node, codes::PATTERN, format!("`{path}` has no fields below it"), Some(hint));
                None
            }
            NodeValue::Map(entries) if entries.is_empty() => {
                self.error(
                    node,
                    codes::PATTERN,
                    "an empty map asks for nothing",
                    Some("leave the field out".to_owned()),
                );
                None
            }
            NodeValue::Map(_) => Some(Want::Below(self.fields(node, path, depth + 1))),
            _ => {
                let hint = read_operator::show(node).map(|value| format!("write `[{value}]`"));
                self.error(node, codes::PATTERN, "values stand in a list", hint);
                None
            }
        }
    }

    fn alternatives(&mut self, node: &Node, path: &str, depth: usize) -> Option<Alternatives> {
        let items = match &node.value {
            NodeValue::List(items) if !items.is_empty() => items,
            _ => {
                let hint = "for example `$or: [{ source: [shop] }, { subject: [vip] }]`".to_owned();
                self.error(node, codes::PATTERN, "`$or` is a list of patterns", Some(hint));
                return None;
            }
        };
        let mut patterns = Vec::with_capacity(items.len());
        for item in items {
            match &item.value {
                NodeValue::Map(entries) if !entries.is_empty() => {
                    patterns.push(self.fields(item, path, depth + 1))
                }
                _ => self.error(
                    item,
                    codes::PATTERN,
                    "an alternative of `$or` is a map with at least one field",
                    None,
                ),
            }
        }
        Some(Alternatives { place: node.place.clone(), patterns })
    }

    fn check_size(&mut self, node: &Node, root: &Fields) {
        if self.stars > MAX_STARS {
            let message =
                format!("{} wildcards (`*`) in one pattern; at most {MAX_STARS} are allowed", self.stars);
            self.error(node, codes::PATTERN_LIMIT, message, Some("split the subscription".to_owned()));
        }
        if self.values > MAX_VALUES {
            let message = format!("{} values in one pattern; at most {MAX_VALUES} are allowed", self.values);
            self.error(node, codes::PATTERN_LIMIT, message, Some("split the subscription".to_owned()));
        }
        if combinations(root) > MAX_COMBINATIONS {
            let message = format!("`$or` makes more than {MAX_COMBINATIONS} combinations");
            self.error(node, codes::PATTERN_LIMIT, message, Some("split the subscription".to_owned()));
        }
    }
}

fn combinations(fields: &Fields) -> usize {
    let below = fields.fields.iter().map(|field| match &field.want {
        Want::Below(fields) => combinations(fields),
        Want::One { .. } => 1,
    });
    let alternatives = fields.alternatives.iter().map(|alternatives| {
        alternatives.patterns.iter().fold(0_usize, |sum, fields| sum.saturating_add(combinations(fields)))
    });
    below.chain(alternatives).fold(1, usize::saturating_mul)
}
