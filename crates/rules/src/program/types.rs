//! The types an event's data can have, as VRL's kinds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use prost_reflect::{FieldDescriptor, Kind as Proto, MessageDescriptor};
use trunkline_core::TypeCatalogue;
use trunkline_core::types::{canonical_families, canonical_message};
use vrl::path::{OwnedSegment, OwnedTargetPath};
use vrl::value::Kind;
use vrl::value::kind::{Collection, Field};

use crate::pattern::{Operator, Pattern, Scalar};

/// Deeper messages, and those that hold themselves, are any JSON from there on.
const MAX_DEPTH: usize = 12;

/// One type that the data of a subscription's events can have.
#[derive(Debug, Clone)]
pub(crate) struct DataType {
    /// The message's full name, or "JSON".
    pub(crate) name: String,
    /// The kind of an event with such data.
    pub(crate) event: Rc<Kind>,
}

/// The kinds of the catalogue's types, each made once.
#[derive(Debug)]
pub(crate) struct EventTypes<'a> {
    catalogue: &'a TypeCatalogue,
    made: RefCell<BTreeMap<String, Rc<Kind>>>,
    json: Rc<Kind>,
}

impl<'a> EventTypes<'a> {
    pub(crate) fn new(catalogue: &'a TypeCatalogue) -> Self {
        let json = Rc::new(root(any_json().or_undefined()));
        Self { catalogue, made: RefCell::default(), json }
    }

    /// The types of the events that a pattern's `type` can match. Never empty: what is no known type is any JSON.
    ///
    /// Canonical types are known by the families of their names. A registered type belongs to the events whose type is
    /// its name in the configuration, or begins with that and a dot.
    pub(crate) fn of(&self, pattern: Option<&Pattern>) -> Vec<DataType> {
        let mut messages = BTreeMap::new();
        let mut open = false;
        match pattern.and_then(|pattern| pattern.alternatives_of("type")) {
            None => open = true,
            Some(operators) => {
                for operator in operators {
                    let found = self.messages(operator);
                    open |= found.is_empty();
                    messages.extend(found.into_iter().map(|message| (message, ())));
                }
            }
        }
        let known = messages.into_keys().filter_map(|message| {
            let event = self.event(&message)?;
            Some(DataType { name: message, event })
        });
        let mut types: Vec<_> = known.collect();
        if open || types.is_empty() {
            types.push(DataType { name: "JSON".to_owned(), event: self.json.clone() });
        }
        types
    }

    fn messages(&self, operator: &Operator) -> Vec<String> {
        match operator {
            Operator::Exact(Scalar::Text(text)) => self.of_type(text),
            Operator::EqualsIgnoreCase(affix) => self.of_type(&affix.text().to_lowercase()),
            Operator::Prefix(affix) => self.beginning_with(&affix.text().to_lowercase()),
            Operator::Wildcard(wildcard) => self.beginning_with(wildcard.beginning()),
            _ => Vec::new(),
        }
    }

    fn of_type(&self, event_type: &str) -> Vec<String> {
        let registered = self.catalogue.registered().find(|(name, _)| belongs(event_type, name));
        let message = registered.map(|(_, message)| message).or_else(|| canonical_message(event_type));
        message.map(str::to_owned).into_iter().collect()
    }

    fn beginning_with(&self, prefix: &str) -> Vec<String> {
        if prefix.is_empty() {
            return Vec::new();
        }
        let touches = |name: &str| name.starts_with(prefix) || prefix.starts_with(name);
        let canonical = canonical_families().iter().filter(|(family, _)| touches(family));
        let registered =
            self.catalogue.registered().filter(|(name, _)| name.starts_with(prefix) || belongs(prefix, name));
        canonical.copied().chain(registered).map(|(_, message)| message.to_owned()).collect()
    }

    fn event(&self, message: &str) -> Option<Rc<Kind>> {
        if let Some(kind) = self.made.borrow().get(message) {
            return Some(kind.clone());
        }
        let kind = Rc::new(root(message_kind(&self.catalogue.find(message)?, &mut Vec::new())));
        self.made.borrow_mut().insert(message.to_owned(), kind.clone());
        Some(kind)
    }
}

fn belongs(event_type: &str, name: &str) -> bool {
    event_type.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The kind of the events of these types, with no more detail than the paths read need: the compiler copies it often,
/// and keeps it.
pub(super) fn event_kind<'a>(types: &[DataType], reads: impl Iterator<Item = &'a OwnedTargetPath>) -> Kind {
    let mut wanted = Wanted::default();
    for path in reads {
        wanted.add(&path.path.segments);
    }
    types.iter().fold(Kind::never(), |union, data_type| union.union(wanted.prune(&data_type.event)))
}

/// Whether a value of this kind can have something at the path.
pub(super) fn has(kind: &Kind, path: &[OwnedSegment]) -> bool {
    let inside = |unknown: Kind, rest: &[OwnedSegment]| unknown.contains_any_defined() && has(&unknown, rest);
    match path {
        [] => kind.contains_any_defined(),
        [OwnedSegment::Field(name), rest @ ..] => {
            kind.as_object().is_some_and(|object| match object.known().get(&Field::from(name.as_str())) {
                Some(kind) => has(kind, rest),
                None => inside(object.unknown_kind(), rest),
            })
        }
        [OwnedSegment::Index(_), rest @ ..] => kind.as_array().is_some_and(|array| {
            array.known().values().any(|kind| has(kind, rest)) || inside(array.unknown_kind(), rest)
        }),
    }
}

/// The kind of an event with this data.
fn root(data: Kind) -> Kind {
    let text = Kind::bytes();
    let extension = Kind::bytes().or_integer().or_boolean().or_timestamp();
    closed([
        ("id", text.clone()),
        ("source", text.clone()),
        ("type", text.clone()),
        ("subject", text.or_null()),
        ("time", Kind::timestamp().or_null()),
        ("ext", Kind::object(Collection::from_unknown(extension))),
        ("data", data),
    ])
}

fn closed<'a>(members: impl IntoIterator<Item = (&'a str, Kind)>) -> Kind {
    let known: BTreeMap<Field, Kind> = members.into_iter().map(|(name, kind)| (name.into(), kind)).collect();
    Kind::object(Collection::from_parts(known, Kind::undefined()))
}

fn any_json() -> Kind {
    Kind::json().or_timestamp()
}

fn message_kind(message: &MessageDescriptor, above: &mut Vec<String>) -> Kind {
    let name = message.full_name();
    match name {
        "google.protobuf.Timestamp" => return Kind::timestamp(),
        "google.protobuf.Duration" | "google.protobuf.StringValue" | "google.protobuf.BytesValue" => {
            return Kind::bytes();
        }
        "google.protobuf.BoolValue" => return Kind::boolean(),
        "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => return Kind::float(),
        "google.protobuf.Int32Value" | "google.protobuf.UInt32Value" | "google.protobuf.Int64Value" => {
            return Kind::integer();
        }
        "google.protobuf.UInt64Value" => return Kind::integer().or_float(),
        "google.protobuf.Any" | "google.protobuf.Struct" => {
            return Kind::object(Collection::from_unknown(any_json()));
        }
        "google.protobuf.ListValue" => return Kind::array(Collection::from_unknown(any_json())),
        "google.protobuf.Value" => return any_json(),
        _ => {}
    }
    if above.len() == MAX_DEPTH || above.iter().any(|message| message == name) {
        return any_json();
    }
    above.push(name.to_owned());
    let members: Vec<_> =
        message.fields().map(|field| (field.name().to_owned(), field_kind(&field, above))).collect();
    above.pop();
    closed(members.iter().map(|(name, kind)| (name.as_str(), kind.clone())))
}

fn field_kind(field: &FieldDescriptor, above: &mut Vec<String>) -> Kind {
    if field.is_map() {
        let value = match field.kind() {
            Proto::Message(entry) => single_kind(&entry.map_entry_value_field().kind(), above),
            _ => any_json(),
        };
        return Kind::object(Collection::from_unknown(value));
    }
    let single = single_kind(&field.kind(), above);
    if field.is_list() {
        return Kind::array(Collection::from_unknown(single));
    }
    if field.supports_presence() { single.or_null() } else { single }
}

fn single_kind(kind: &Proto, above: &mut Vec<String>) -> Kind {
    match kind {
        // A float that is no number is null in a program.
        Proto::Double | Proto::Float => Kind::float().or_null(),
        Proto::Bool => Kind::boolean(),
        Proto::String | Proto::Bytes | Proto::Enum(_) => Kind::bytes(),
        Proto::Uint64 | Proto::Fixed64 => Kind::integer().or_float(),
        Proto::Message(message) => message_kind(message, above),
        _ => Kind::integer(),
    }
}

/// The paths read, as a tree.
#[derive(Debug, Default)]
struct Wanted<'a> {
    whole: bool,
    below: BTreeMap<&'a str, Wanted<'a>>,
}

impl<'a> Wanted<'a> {
    fn add(&mut self, segments: &'a [OwnedSegment]) {
        match segments {
            [OwnedSegment::Field(name), rest @ ..] => self.below.entry(name.as_str()).or_default().add(rest),
            _ => self.whole = true,
        }
    }

    fn prune(&self, kind: &Kind) -> Kind {
        let Some(object) = kind.as_object().filter(|_| !self.whole) else { return kind.clone() };
        let known = self.below.iter().filter_map(|(name, wanted)| {
            let field = Field::from(*name);
            object.known().get(&field).map(|kind| (field, wanted.prune(kind)))
        });
        let pruned = Collection::from_parts(known.collect(), object.unknown_kind());
        let mut kind = kind.without_object();
        kind.add_object(pruned);
        kind
    }
}
