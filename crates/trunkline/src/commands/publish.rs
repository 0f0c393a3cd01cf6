//! `publish`: CloudEvents through the gateway.

use std::path::Path;

use serde_json::json;
use trunkline_sdk::service::Exit;

use super::{Common, Usage, addresses, input, named};
use crate::output;

pub(super) async fn run(common: &Common, path: &Path) -> anyhow::Result<Exit> {
    let bytes = input::read(path)?;
    let content_type = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => "application/cloudevents+json",
        Some(b'[') => "application/cloudevents-batch+json",
        _ => {
            let problem = format!("{} is neither a CloudEvent in JSON nor a list of them", named(path));
            return Err(Usage(problem).into());
        }
    };
    let answer = addresses::gateway(common)?.upload("/v1/events", content_type, bytes).await?;
    if common.json {
        output::json(&json!({ "accepted": answer["accepted"], "duplicates": answer["duplicates"] }));
    } else {
        let number = |name: &str| answer[name].as_u64().unwrap_or_default();
        let (accepted, duplicates) = (number("accepted"), number("duplicates"));
        output::line(&format!("{accepted} accepted{}", told(duplicates)));
    }
    Ok(Exit::Done)
}

fn told(duplicates: u64) -> String {
    match duplicates {
        0 => String::new(),
        some => format!(", {some} seen before and not accepted twice"),
    }
}
