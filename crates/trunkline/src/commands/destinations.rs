//! `destinations`, `pause` and `resume`.

use serde_json::{Value, json};
use trunkline_sdk::service::Exit;

use super::{Common, addresses, segment};
use crate::output;

const HEAD: [&str; 6] = ["DESTINATION", "ADAPTER", "STATE", "WAITING", "DEAD", "WHY"];

pub(super) async fn list(common: &Common) -> anyhow::Result<Exit> {
    let answer = addresses::console(common)?.get("/api/v1/destinations", &[]).await?;
    let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
    if common.json {
        items.iter().for_each(output::json);
    } else if items.is_empty() {
        output::line("no destinations are configured");
    } else {
        output::table(&HEAD, &items.iter().map(row).collect::<Vec<_>>());
    }
    Ok(Exit::Done)
}

pub(super) async fn pause(common: &Common, name: &str, reason: &str) -> anyhow::Result<Exit> {
    let path = format!("/api/v1/destinations/{}/pause", segment(name));
    let answer = addresses::console(common)?.post(&path, &json!({ "reason": reason })).await?;
    tell(common, &answer);
    Ok(Exit::Done)
}

pub(super) async fn resume(common: &Common, name: &str) -> anyhow::Result<Exit> {
    let path = format!("/api/v1/destinations/{}/resume", segment(name));
    let answer = addresses::console(common)?.post(&path, &json!({})).await?;
    tell(common, &answer);
    Ok(Exit::Done)
}

fn tell(common: &Common, destination: &Value) {
    if common.json {
        return output::json(destination);
    }
    let cell = |name: &str| output::cell(&destination[name]);
    output::line(&format!(
        "{} is {}; {} waiting, {} dead",
        cell("name"),
        cell("state"),
        cell("waiting"),
        cell("dead")
    ));
}

fn row(destination: &Value) -> Vec<String> {
    let cell = |name: &str| output::cell(&destination[name]);
    let adapter = if destination["external"] == true { "(external)".to_owned() } else { cell("adapter") };
    let by = if destination["by"].is_null() { String::new() } else { format!("by {}: ", cell("by")) };
    vec![
        cell("name"),
        adapter,
        cell("state"),
        cell("waiting"),
        cell("dead"),
        format!("{by}{}", cell("reason")),
    ]
}
