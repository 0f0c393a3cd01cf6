//! `health`: what a container's health check runs.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use serde_json::{Value, json};
use trunkline_sdk::service::Exit;

use super::{Common, addresses};
use crate::output;

/// A process that has not answered by then is not well, whatever it would say.
const WITHIN: Duration = Duration::from_secs(5);

/// 0 when every service at the address is ready, 1 when one is not, 4 without an answer.
pub(super) async fn run(common: &Common, admin: SocketAddr) -> anyhow::Result<Exit> {
    let admin = addresses::reachable(admin);
    // The environment's proxy is not for this.
    let client = Client::builder().no_proxy().timeout(WITHIN).build().context("no HTTP client")?;
    let (told, exit) = match readiness(&client, admin).await {
        Ok(told) => {
            let exit = if told["ready"] == true { Exit::Done } else { Exit::No };
            (told, exit)
        }
        Err(cause) => {
            let reason = format!("no answer from {admin}: {}", cause.without_url());
            (json!({ "ready": false, "reason": reason }), Exit::Unavailable)
        }
    };
    if common.json {
        output::json(&told);
    } else {
        output::line(&output::shown(&words(&told)));
    }
    Ok(exit)
}

async fn readiness(client: &Client, admin: SocketAddr) -> reqwest::Result<Value> {
    let answer = client.get(format!("http://{admin}/readyz")).send().await?.bytes().await?;
    // Something else may listen there.
    let other = || json!({ "ready": false, "reason": format!("what answers at {admin} is no Trunkline") });
    Ok(serde_json::from_slice(&answer)
        .ok()
        .filter(|told: &Value| told["ready"].is_boolean())
        .unwrap_or_else(other))
}

fn words(told: &Value) -> String {
    if let Some(reason) = told["reason"].as_str() {
        return reason.to_owned();
    }
    let services = told["services"].as_object().into_iter().flatten();
    let words = services.map(|(name, state)| match state["reason"].as_str() {
        None => format!("{name} is ready"),
        Some(reason) => format!("{name} is not ready: {reason}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
