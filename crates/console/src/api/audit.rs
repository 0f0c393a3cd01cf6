//! The audit log: every action of an operator, with who.

use axum::Json;
use axum::extract::{Query, State};
use axum::routing::get;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_sdk::store::{AuditEntry, Page};

use super::problem::Problem;
use super::{Console, Operation, Who, read};

/// How many items a list has unless asked, and at most.
const LIMIT: (u32, u32) = (50, 500);

pub(super) fn operations() -> Vec<Operation> {
    vec![read("/api/v1/audit", "What operators did, latest first", PAGE, || get(list))]
}

/// The query of every list.
pub(super) const PAGE: &[(&str, &str)] =
    &[("limit", "How many items, at most 500"), ("after", "`next` of the page before")];

/// Which part of a list is asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PageQuery {
    limit: Option<u32>,
    after: Option<String>,
}

impl PageQuery {
    pub(super) fn page(self) -> Page {
        Page { limit: self.limit.unwrap_or(LIMIT.0).clamp(1, LIMIT.1), after: self.after }
    }
}

async fn list(
    State(console): State<Console>,
    page: Result<Query<PageQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(page) = page?;
    let (entries, next) = console.store.list_audit(&page.page()).await?;
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
