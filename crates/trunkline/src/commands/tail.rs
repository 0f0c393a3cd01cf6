//! `tail`: records of a channel as they come.

use serde_json::Value;
use trunkline_sdk::service::Exit;

use super::{Common, addresses};
use crate::output;

pub(super) async fn run(
    common: &Common,
    channel: &str,
    oldest: bool,
    limit: Option<u64>,
) -> anyhow::Result<Exit> {
    let mut query = vec![("channel".to_owned(), channel.to_owned())];
    if oldest {
        query.push(("from".to_owned(), "oldest".to_owned()));
    }
    query.extend(limit.map(|limit| ("limit".to_owned(), limit.to_string())));
    let mut stream = addresses::console(common)?.stream("/api/v1/tail", &query).await?;
    let mut waiting = Vec::new();
    loop {
        let chunk = tokio::select! {
            chunk = stream.chunk() => chunk,
            interrupted = tokio::signal::ctrl_c() => return interrupted.map(|()| Exit::Done).map_err(Into::into),
        };
        // The console ends the stream by closing it: at the limit, and when it stops.
        let Ok(Some(chunk)) = chunk else { return Ok(Exit::Done) };
        waiting.extend_from_slice(&chunk);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            print(common, &serde_json::from_slice(&line)?);
        }
    }
}

fn print(common: &Common, record: &Value) {
    if common.json {
        output::json(record);
        return;
    }
    let cell = |name: &str| output::cell(&record[name]);
    let at = format!("{}  {}/{}@{}", cell("stored"), cell("channel"), cell("partition"), cell("offset"));
    if let Some(steps) = record["steps"].as_array() {
        for step in steps {
            output::line(&format!("{at}  {}", step_line(step)));
        }
        return;
    }
    let event = |event: &Value| {
        format!(
            "{} {} {}",
            output::cell(&event["type"]),
            output::cell(&event["source"]),
            output::cell(&event["id"])
        )
    };
    let what = match (&record["event"], &record["delivery"], &record["dead_letter"]) {
        (found @ Value::Object(_), ..) => event(found),
        (_, delivery @ Value::Object(_), _) => {
            let (subscription, made) = (output::cell(&delivery["subscription"]), &delivery["attempts_made"]);
            format!("{} because of {subscription}, attempts made: {made}", event(&delivery["event"]))
        }
        (.., dead @ Value::Object(_)) => {
            format!("{} {}", output::cell(&dead["id"]), output::cell(&dead["detail"]))
        }
        _ => format!("undecodable: {}", cell("undecodable")),
    };
    output::line(&format!("{at}  {what}"));
}

/// One step of a journey in words.
pub(super) fn step_line(step: &Value) -> String {
    let mut words = vec![
        format!("{:<9}", output::cell(&step["step"])),
        output::cell(&step["source"]),
        output::cell(&step["id"]),
    ];
    words.extend(circumstances(step));
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

/// Why, where to and with what outcome.
pub(super) fn circumstances(step: &Value) -> Vec<String> {
    let mut words = Vec::new();
    let mut say = |before: &str, name: &str| {
        let text = output::cell(&step[name]);
        if !text.is_empty() && text != "0" {
            words.push(format!("{before}{text}"));
        }
    };
    say("by ", "subscription");
    say("to ", "destination");
    say("attempt ", "attempt");
    say("life ", "generation");
    say("", "class");
    say("status ", "status");
    say("dead letter ", "dead_letter");
    say("replay ", "replay");
    say("- ", "detail");
    words
}
