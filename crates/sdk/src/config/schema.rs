//! The JSON Schema of a whole configuration, for editors.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::broker::RawBroker;
use super::destinations::RawDestination;
use super::sections::RawChannels;
use super::sources::RawSource;
use super::types::TypeEntry;
use crate::registry::{AdapterKind, Adapters};

/// What names must look like.
const NAME: &str = "^[a-z0-9-]{1,63}$";

/// The schema of the configuration document: the shared sections, each adapter's settings under its name, and
/// `sections`: the schemas of the sections that crates above own (`gateway`, `console`, `subscriptions`, ..).
pub fn schema(adapters: &Adapters, sections: BTreeMap<&str, Schema>) -> Value {
    let mut properties = Map::new();
    properties.insert("version".into(), json!({ "const": 1 }));
    properties.insert(
        "broker".into(),
        json!({
            "oneOf": [{ "type": "string" }, of::<RawBroker>()],
            "default": super::Shared::DEFAULT_BROKER,
            "description": "Where records are kept: embedded:DIR, kafka://HOST:PORT or amqp://HOST/VHOST; or a map with it.",
        }),
    );
    properties.insert(
        "store".into(),
        json!({
            "type": "string",
            "default": super::Shared::DEFAULT_STORE,
            "description": "Where operational state is kept: sqlite:FILE or postgres://HOST/NAME.",
        }),
    );
    properties.insert("channels".into(), of::<RawChannels>());
    properties.insert("types".into(), named(of::<TypeEntry>()));
    properties.insert("sources".into(), named(sources(adapters)));
    properties.insert("destinations".into(), named(destinations(adapters)));
    for (name, section) in sections {
        properties.insert(name.to_owned(), plain(section));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Trunkline configuration",
        "type": "object",
        "required": ["version"],
        "additionalProperties": false,
        "properties": properties,
    })
}

/// A map from names to entries.
fn named(entry: Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": entry })
}

fn sources(adapters: &Adapters) -> Value {
    let registered = adapters.names().into_iter().filter(|(kind, _)| *kind != AdapterKind::Destination);
    with_settings(of::<RawSource>(), adapters, registered)
}

fn destinations(adapters: &Adapters) -> Value {
    let registered = adapters.names().into_iter().filter(|(kind, _)| *kind == AdapterKind::Destination);
    with_settings(of::<RawDestination>(), adapters, registered)
}

/// Adds to an entry's schema: which adapters there are, and for each of them what its `settings` look like.
fn with_settings(
    mut entry: Value,
    adapters: &Adapters,
    registered: impl Iterator<Item = (AdapterKind, &'static str)>,
) -> Value {
    let mut names = Vec::new();
    let mut conditions = Vec::new();
    for (kind, name) in registered {
        names.push(name);
        if let Some(settings) = adapters.schema(kind, name) {
            conditions.push(json!({
                "if": { "properties": { "adapter": { "const": name } }, "required": ["adapter"] },
                "then": { "properties": { "settings": plain(settings) } },
            }));
        }
    }
    entry["properties"]["adapter"]["enum"] = json!(names);
    if !conditions.is_empty() {
        entry["allOf"] = Value::Array(conditions);
    }
    entry
}

fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    plain(settings.into_generator().into_root_schema_for::<T>())
}

/// A schema that stands inside another: without its own dialect and title.
fn plain(schema: Schema) -> Value {
    let mut value = schema.to_value();
    if let Some(members) = value.as_object_mut() {
        members.remove("$schema");
        members.remove("title");
    }
    value
}
