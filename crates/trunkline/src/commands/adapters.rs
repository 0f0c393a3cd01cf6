//! `adapters`: those in this build.

use serde_json::json;
use trunkline_sdk::AdapterKind;
use trunkline_sdk::service::Exit;

use super::Common;
use crate::output;

pub(super) fn run(common: &Common) -> Exit {
    let mut rows = Vec::new();
    for (kind, name) in trunkline_adapters::registry().names() {
        let (role, takes) = match kind {
            AdapterKind::WebhookSource => ("source", "platforms call it"),
            AdapterKind::Source => ("source", "it fetches"),
            AdapterKind::Destination => ("destination", "takes deliveries"),
        };
        if common.json {
            let webhook = kind == AdapterKind::WebhookSource;
            output::json(&json!({ "name": name, "kind": role, "webhook": webhook }));
        } else {
            rows.push(vec![role.to_owned(), name.to_owned(), takes.to_owned()]);
        }
    }
    if !common.json {
        output::table(&["KIND", "ADAPTER", "HOW"], &rows);
    }
    Exit::Done
}
