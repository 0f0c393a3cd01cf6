//! What an event must have for a pattern to match it.

use std::sync::Arc;

use trunkline_core::Value;
use trunkline_core::view::EventView;

use crate::pattern::{Fields, Operator, Pattern, Scalar, Want};

/// An attribute patterns are filed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Attribute {
    Type,
    Source,
    Subject,
    Id,
    Extension(Arc<str>),
}

/// An attribute's value in an event.
pub(super) enum AttributeValue<'a> {
    Text(&'a str),
    Other(Value),
}

/// The names from `data` down.
pub(super) type DataPath = Box<[Arc<str>]>;

/// One value that lets a pattern match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Hook {
    Exact(Scalar),
    Prefix(Arc<str>),
}

/// A place in the event, and all the values there that let a pattern match: with none of them it does not.
#[derive(Debug)]
pub(super) struct Slot<T = Attribute> {
    pub(super) of: T,
    pub(super) hooks: Vec<Hook>,
}

pub(super) type DataSlot = Slot<DataPath>;

/// The slots among the attributes, the usually most selective first.
pub(super) fn attribute_slots(pattern: &Pattern) -> Vec<Slot> {
    let named = [
        ("type", Attribute::Type),
        ("source", Attribute::Source),
        ("subject", Attribute::Subject),
        ("id", Attribute::Id),
    ];
    let mut slots = Vec::new();
    for (name, of) in named {
        slots.extend(pattern.alternatives_of(name).and_then(hooks).map(|hooks| Slot { of, hooks }));
    }
    let extensions = pattern.root.fields.iter().filter(|field| &*field.name == "ext");
    for field in extensions.flat_map(|field| below(&field.want)) {
        // `subject` and `time` are no extensions, whatever a pattern calls them.
        if let Want::One { operators, .. } = &field.want
            && !matches!(&*field.name, "subject" | "time")
            && let Some(hooks) = hooks(operators)
        {
            slots.push(Slot { of: Attribute::Extension(field.name.clone()), hooks });
        }
    }
    slots
}

/// The slots in the data: fields asked for exact values only.
pub(super) fn data_slots(pattern: &Pattern) -> Vec<DataSlot> {
    let mut slots = Vec::new();
    for field in pattern.root.fields.iter().filter(|field| &*field.name == "data") {
        collect(&field.want, &mut Vec::new(), &mut slots);
    }
    slots
}

fn collect(want: &Want, path: &mut Vec<Arc<str>>, slots: &mut Vec<DataSlot>) {
    match want {
        Want::Below(fields) => {
            for field in &fields.fields {
                path.push(field.name.clone());
                collect(&field.want, path, slots);
                path.pop();
            }
        }
        Want::One { operators, .. } => {
            let exact =
                hooks(operators).filter(|hooks| hooks.iter().all(|hook| matches!(hook, Hook::Exact(_))));
            slots.extend(exact.map(|hooks| Slot { of: path.clone().into(), hooks }));
        }
    }
}

fn below(want: &Want) -> &[crate::pattern::Field] {
    match want {
        Want::Below(Fields { fields, .. }) => fields,
        Want::One { .. } => &[],
    }
}

/// The values and prefixes of a list that has nothing else.
fn hooks(operators: &[Operator]) -> Option<Vec<Hook>> {
    operators
        .iter()
        .map(|operator| match operator {
            Operator::Exact(scalar) => Some(Hook::Exact(scalar.clone())),
            Operator::Prefix(affix) => affix.exact().map(|text| Hook::Prefix(text.clone())),
            _ => None,
        })
        .collect()
}

impl Attribute {
    /// Hands over the attribute's value, if the event has it.
    pub(super) fn with(&self, view: &EventView<'_>, look: impl FnOnce(AttributeValue<'_>)) {
        let event = view.event();
        let text = match self {
            Attribute::Type => Some(event.kind()),
            Attribute::Source => Some(event.source()),
            Attribute::Id => Some(event.id()),
            Attribute::Subject => event.subject(),
            Attribute::Extension(name) => event.text_attribute(name),
        };
        let name = match self {
            Attribute::Extension(name) => name,
            _ => "subject",
        };
        match text {
            Some(text) => look(AttributeValue::Text(text)),
            // An attribute that is no text; those that every event has are.
            None => {
                if let Some(value) = view.attribute(name) {
                    look(AttributeValue::Other(value));
                }
            }
        }
    }
}

/// Calls `leaf` with each value at `path`: one for each element of the arrays on the way and at its end.
pub(super) fn each_leaf<'a>(value: &'a Value, path: &[Arc<str>], leaf: &mut impl FnMut(&'a Value)) {
    match (value, path) {
        (Value::Array(elements), _) => elements.iter().for_each(|element| each_leaf(element, path, leaf)),
        (_, []) => leaf(value),
        (_, [name, rest @ ..]) => {
            if let Some(value) = value.get(name) {
                each_leaf(value, rest, leaf);
            }
        }
    }
}
