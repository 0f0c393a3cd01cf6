//! `explain`: where an event is and how it came there.

use serde_json::Value;
use trunkline_sdk::service::Exit;

use super::{Common, addresses, tail};
use crate::output;

pub(super) async fn run(common: &Common, id: &str, source: Option<String>) -> anyhow::Result<Exit> {
    let mut query = vec![("id".to_owned(), id.to_owned())];
    query.extend(source.map(|source| ("source".to_owned(), source)));
    let answer = addresses::console(common)?.get("/api/v1/explain", &query).await?;
    if common.json {
        output::json(&answer);
        return Ok(Exit::Done);
    }
    let cell = |name: &str| output::cell(&answer[name]);
    output::line(&format!("{} {} of {}", cell("type"), cell("id"), cell("source")));
    for step in answer["steps"].as_array().into_iter().flatten() {
        let words = tail::circumstances(step).join(", ");
        let (time, name) = (output::cell(&step["time"]), output::cell(&step["step"]));
        output::line(format!("  {time:<30}  {name:<9}  {words}").trim_end());
    }
    let dead = answer["dead_letters"].as_array().map_or(&[][..], Vec::as_slice);
    dead.iter().for_each(dead_letter);
    Ok(Exit::Done)
}

fn dead_letter(dead: &Value) {
    let cell = |name: &str| output::cell(&dead[name]);
    let (id, state) = (cell("id"), cell("state"));
    output::line(&format!(
        "dead letter {id}: {state}, {} at {}: {}",
        cell("reason"),
        cell("origin"),
        cell("detail")
    ));
    if state == "waiting" || state == "dead_again" {
        output::line(&format!(
            "  look at it: trunkline dlq show {id}    give it another life: trunkline dlq replay {id}"
        ));
    }
}
