//! The audit log: every action of an operator, with who.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use chrono::Utc;
use serde_json::{Value, json};
use trunkline_sdk::store::AuditEntry;

use super::ask::{Asked, PAGE};
use super::guard::Who;
use super::problem::Problem;
use super::{Console, Operation, read};

pub(super) fn operations() -> Vec<Operation> {
    vec![read("/api/v1/audit", "What operators did, latest first", PAGE, || get(list))]
}

async fn list(State(console): State<Console>, asked: Asked) -> Result<Json<Value>, Problem> {
    let (entries, next) = console.store.list_audit(&asked.page()?).await?;
    let items: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            json!({ "time": entry.time, "who": entry.who, "action": entry.action, "target": entry.target, "detail": entry.detail })
        })
        .collect();
    Ok(Json(json!({ "items": items, "next": next })))
}

/// Notes an action before it is done: one that can't be noted is not done.
pub(super) async fn note(
    console: &Console,
    who: &Who,
    action: &str,
    target: &str,
    detail: Value,
) -> Result<(), Problem> {
    let entry = AuditEntry {
        time: Utc::now(),
        who: who.0.name.to_string(),
        action: action.to_owned(),
        target: target.to_owned(),
        detail,
    };
    Ok(console.store.audit(&entry).await?)
}
