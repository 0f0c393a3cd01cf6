//! The OpenAPI document, made from the table of operations.

use axum::Json;
use serde_json::{Map, Value, json};
use trunkline_sdk::config::Scope;

use super::{Operation, operations};

pub(super) async fn document() -> Json<Value> {
    Json(describe(&operations()))
}

fn describe(operations: &[Operation]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe_one(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Trunkline console",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Dead letters, replays, destinations and journeys. Errors are problem details (RFC 9457).",
        },
        "paths": paths,
        "components": { "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } } },
        "security": [{ "key": [] }],
    })
}

fn describe_one(operation: &Operation) -> Value {
    let query = operation.query.iter().map(|(name, meaning)| {
        json!({ "name": name, "in": "query", "required": false, "description": meaning, "schema": { "type": "string" } })
    });
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let problem = |meaning: &str| json!({ "description": meaning, "content": { "application/problem+json": { "schema": { "type": "object" } } } });
    let mut described = json!({
        "summary": operation.summary,
        "x-scope": operation.scope.as_str(),
        "parameters": in_path.chain(query).collect::<Vec<_>>(),
        "responses": {
            "2XX": { "description": "Done", "content": { "application/json": { "schema": { "type": "object" } } } },
            "400": problem("The request can't be read"),
            "401": problem("No valid key"),
            "403": problem(if operation.scope == Scope::Operate { "The key lacks the scope `operate`" } else { "The key lacks the scope `read`" }),
            "503": problem("The store or the broker can't be had"),
        },
    });
    if let Ok(example) = serde_json::from_str::<Value>(operation.body) {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": { "type": "object" }, "example": example } },
        });
    }
    described
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_once_and_every_example_is_json() {
        let operations = operations();
        let document = describe(&operations);
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, operations.len(), "two operations share a path and a method");
        for operation in &operations {
            let example = &document["paths"][operation.path][operation.method]["requestBody"];
            assert_eq!(
                operation.method == "post",
                example.is_object(),
                "{} {}",
                operation.method,
                operation.path
            );
        }
    }
}
