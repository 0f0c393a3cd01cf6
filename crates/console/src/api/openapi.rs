//! The OpenAPI document, made from the table of operations.

use axum::Json;
use serde_json::{Map, Value, json};

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
        let kind = if ["limit", "status"].contains(name) { "integer" } else { "string" };
        json!({ "name": name, "in": "query", "required": false, "description": meaning, "schema": { "type": kind } })
    });
    let in_path = in_path(operation.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "x-scope": operation.scope.as_str(),
        "parameters": in_path.chain(query).collect::<Vec<_>>(),
        "responses": responses(operation),
    });
    if let Ok(example) = serde_json::from_str::<Value>(operation.body) {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": { "type": "object" }, "example": example } },
        });
    }
    described
}

fn responses(operation: &Operation) -> Value {
    let problem = |meaning: &str| json!({ "description": meaning, "content": { "application/problem+json": { "schema": { "type": "object" } } } });
    let acts = operation.method == "post";
    let content = if operation.path.ends_with("/tail") { "application/x-ndjson" } else { "application/json" };
    let mut responses = json!({
        "2XX": { "description": "Done", "content": { content: { "schema": { "type": "object" } } } },
        "400": problem("The request can't be read, or means too much"),
        "401": problem("No valid key"),
        "403": problem(&format!("The key lacks the scope `{}`", operation.scope.as_str())),
        "503": problem("The store or the broker can't be had; `Retry-After` says when to ask again"),
    });
    if acts || in_path(operation.path).next().is_some() || operation.path.ends_with("/explain") {
        responses["404"] = problem("There is no such thing");
    }
    if acts || operation.path.ends_with("/explain") {
        responses["409"] = problem("Not as things are; the detail says what to do");
    }
    if acts {
        responses["415"] = problem("The body is not JSON");
    }
    responses
}

fn in_path(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// Method and path as one word, for generators of clients.
fn operation_id(operation: &Operation) -> String {
    let path = operation.path.trim_start_matches("/api/v1/");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(operation.method).chain(words).collect::<Vec<_>>().join("_")
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
