//! `schema`: the JSON Schema of the configuration, for editors.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trunkline_console::ConsoleSettings;
use trunkline_dispatcher::DispatcherSettings;
use trunkline_gateway::GatewaySettings;
use trunkline_router::RouterSettings;
use trunkline_sdk::config::schema;
use trunkline_sdk::schemars::generate::SchemaSettings;
use trunkline_sdk::schemars::{JsonSchema, Schema};
use trunkline_sdk::service::Exit;

use super::Common;
use crate::output;

pub(super) fn run(common: &Common) -> Exit {
    let document = document();
    if common.json {
        output::json(&document);
    } else {
        output::pretty(&document);
    }
    Exit::Done
}

/// The schema of the whole document.
fn document() -> Value {
    let sections = BTreeMap::from([
        ("gateway", of::<GatewaySettings>()),
        ("router", of::<RouterSettings>()),
        ("dispatcher", of::<DispatcherSettings>()),
        ("console", of::<ConsoleSettings>()),
        ("subscriptions", subscriptions()),
    ]);
    schema(&trunkline_adapters::registry(), sections)
}

fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}

/// Patterns and programs have rules of their own that no schema can say; `check` judges them.
fn subscriptions() -> Schema {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let entry = json!({
        "type": "object",
        "required": ["match", "to"],
        "additionalProperties": false,
        "properties": {
            "match": { "type": "object", "description": "The pattern: which events. `{}` for all." },
            "when": text("A VRL condition, asked only of what matches."),
            "transform": text("A VRL program; its value is the body."),
            "content_type": text("The media type of what the transform makes. Default application/json."),
            "to": text("The name of one destination."),
            "enabled": { "type": "boolean", "default": true, "description": "Whether it is switched on." },
        },
    });
    let document = json!({
        "type": "object",
        "description": "Which events go to which destination, in what form.",
        "propertyNames": { "pattern": "^[a-z0-9-]{1,63}$" },
        "additionalProperties": entry,
    });
    match document {
        Value::Object(members) => Schema::from(members),
        _ => Schema::default(),
    }
}
