//! `dlq replay`: another life for dead letters, followed to its end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use trunkline_sdk::service::Exit;

use super::{Common, segment};
use crate::client::Api;
use crate::output;

const ASK_EVERY: Duration = Duration::from_millis(250);

/// What is to be replayed, and how.
pub(super) struct Asked {
    pub(super) filter: Value,
    pub(super) dry_run: bool,
    pub(super) force: bool,
    pub(super) as_it_was: bool,
    pub(super) rate: Option<String>,
    pub(super) wait: bool,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pending: u64,
    sent: u64,
    skipped: u64,
    delivered: u64,
    pub(crate) dead_again: u64,
    running: bool,
}

pub(super) async fn run(common: &Common, console: &Api, asked: Asked) -> anyhow::Result<Exit> {
    let mut body = json!({
        "filter": asked.filter,
        "force": asked.force,
        "as_it_was": asked.as_it_was,
        "dry_run": asked.dry_run,
    });
    if let Some(rate) = asked.rate {
        body["rate"] = rate.into();
    }
    let answer = console.post("/api/v1/replays", &body).await?;
    if asked.dry_run {
        tell_dry(common, &answer);
        return Ok(if answer["would_replay"] == 0 { Exit::No } else { Exit::Done });
    }
    let id = answer["id"].as_str().unwrap_or_default().to_owned();
    if !common.json {
        output::line(&format!("replay {id} to {}", output::cell(&answer["destination"])));
        tell_refused(&answer);
    }
    let last = if asked.wait { follow(common, console, &id).await? } else { answer };
    let progress = Progress::of(&last);
    if common.json {
        output::json(&last);
    } else if asked.wait {
        output::line(&progress.words());
    }
    let all_well = progress.dead_again == 0 && progress.skipped == 0;
    Ok(if all_well { Exit::Done } else { Exit::No })
}

/// Asks until every dead letter that was sent is delivered or dead again.
async fn follow(common: &Common, console: &Api, id: &str) -> anyhow::Result<Value> {
    let path = format!("/api/v1/replays/{}", segment(id));
    let bar = (output::on_terminal() && !common.json).then(bar);
    let mut told = None;
    loop {
        let replay = console.get(&path, &[]).await?;
        let progress = Progress::of(&replay);
        match &bar {
            Some(bar) => {
                bar.set_length(progress.pending + progress.sent);
                bar.set_position(progress.delivered + progress.dead_again);
            }
            None if !common.json && told != Some(progress) && !progress.is_over() => {
                output::line(&progress.words())
            }
            None => {}
        }
        told = Some(progress);
        if progress.is_over() {
            bar.iter().for_each(ProgressBar::finish_and_clear);
            return Ok(replay);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} settled, {elapsed}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Progress {
    /// Of the console's view of a replay.
    pub(crate) fn of(replay: &Value) -> Self {
        let number = |name: &str| replay["progress"][name].as_u64().unwrap_or_default();
        Self {
            pending: number("pending"),
            sent: number("sent"),
            skipped: number("skipped"),
            delivered: number("delivered"),
            dead_again: number("dead_again"),
            running: replay["state"] == "running",
        }
    }

    /// Whether nothing of it is under way.
    pub(crate) fn is_over(&self) -> bool {
        !self.running && self.delivered + self.dead_again >= self.sent
    }

    /// How many became what.
    pub(crate) fn words(&self) -> String {
        let waiting = self.pending + self.sent.saturating_sub(self.delivered + self.dead_again);
        let mut words = format!("{} delivered, {} dead again", self.delivered, self.dead_again);
        for (number, what) in [(waiting, "under way"), (self.skipped, "not sent")] {
            if number > 0 {
                words.push_str(&format!(", {number} {what}"));
            }
        }
        words
    }
}

fn tell_dry(common: &Common, answer: &Value) {
    if common.json {
        return output::json(answer);
    }
    output::line(&format!("{} would be replayed", answer["would_replay"]));
    tell_refused(answer);
}

fn tell_refused(answer: &Value) {
    let refused = answer["refused"].as_array().map_or(&[][..], Vec::as_slice);
    for item in refused {
        let force = if item["forcible"] == true { " (--force replays it)" } else { "" };
        output::line(&format!("  not {}: {}{force}", output::cell(&item["id"]), output::cell(&item["why"])));
    }
    let more = answer["refused_count"].as_u64().unwrap_or_default().saturating_sub(refused.len() as u64);
    if more > 0 {
        output::line(&format!("  and {more} more not"));
    }
}
