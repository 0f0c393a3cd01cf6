//! What needs nothing running: adapters, schema, version.

use crate::binary::Folder;

#[test]
fn adapters_and_version_need_no_configuration() {
    let folder = Folder::new("");
    let adapters = folder.run(&["adapters", "--json"]).ok().json();
    let names: Vec<(&str, &str)> = adapters
        .iter()
        .map(|line| (line["kind"].as_str().unwrap(), line["name"].as_str().unwrap()))
        .collect();
    for expected in [
        ("source", "shopify"),
        ("source", "stripe"),
        ("source", "hmac"),
        ("destination", "http"),
        ("destination", "file"),
    ] {
        assert!(names.contains(&expected), "{expected:?} is not in {names:?}");
    }
    let version = folder.run(&["version", "--json"]).ok().json();
    assert_eq!(version[0]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_schema_knows_every_section_and_every_adapters_settings() {
    let schema = &Folder::new("").run(&["schema", "--json"]).ok().json()[0];
    let sections = schema["properties"].as_object().unwrap();
    for section in trunkline_sdk::config::SECTIONS {
        assert!(sections.contains_key(section), "{section}");
    }
    assert!(schema["properties"]["gateway"]["properties"]["max_body"].is_object());
    let text = schema.to_string();
    for setting in ["allow_private", "standard_webhooks", "type_prefix", "transform"] {
        assert!(text.contains(setting), "{setting}");
    }
}
