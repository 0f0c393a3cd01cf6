//! `dlq`: dead letters listed, grouped, shown, discarded; [`super::replay`] gives them another life.

use serde_json::{Value, json};
use trunkline_sdk::service::Exit;

use super::{Common, Usage, addresses, replay, segment};
use crate::cli::{Dlq, Filter};
use crate::client::Api;
use crate::output;

/// Dead letters of one page, at most.
const PAGE: u32 = 500;

pub(super) async fn run(common: &Common, command: Dlq) -> anyhow::Result<Exit> {
    let console = addresses::console(common)?;
    match command {
        Dlq::List { filter, group: true, .. } => groups(common, &console, &filter).await,
        Dlq::List { filter, limit, .. } => list(common, &console, &filter, limit).await,
        Dlq::Show { id } => show(common, &console, &id).await,
        Dlq::Replay { ids, filter, dry_run, force, as_it_was, rate, no_wait } => {
            let filter = meant(filter.with_ids(ids))?;
            let asked = replay::Asked { filter, dry_run, force, as_it_was, rate, wait: !no_wait };
            replay::run(common, &console, asked).await
        }
        Dlq::Discard { ids, filter, reason, dry_run } => {
            let filter = meant(filter.with_ids(ids))?;
            discard(common, &console, &filter, &reason, dry_run).await
        }
    }
}

/// A filter that means something: nobody replays or discards everything by leaving a word out.
fn meant(filter: Filter) -> anyhow::Result<Value> {
    let filter = serde_json::to_value(filter)?;
    if filter.as_object().is_none_or(serde_json::Map::is_empty) {
        let problem = "name dead letters by their ids, or by a filter such as `--destination crm`";
        return Err(Usage(problem.to_owned()).into());
    }
    Ok(filter)
}

/// A filter as a query.
fn query(filter: &Filter) -> anyhow::Result<Vec<(String, String)>> {
    let filter = serde_json::to_value(filter)?;
    let members = filter.as_object().into_iter().flatten();
    Ok(members
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect())
}

async fn list(common: &Common, console: &Api, filter: &Filter, limit: u32) -> anyhow::Result<Exit> {
    let mut items: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    while items.len() < wanted {
        let mut query = query(filter)?;
        let left = u32::try_from(wanted - items.len()).unwrap_or(PAGE).min(PAGE);
        query.push(("limit".to_owned(), left.to_string()));
        query.extend(after.take().map(|after| ("after".to_owned(), after)));
        let mut page = console.get("/api/v1/dead-letters", &query).await?;
        if let Value::Array(found) = page["items"].take() {
            items.extend(found);
        }
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    if common.json {
        items.iter().for_each(output::json);
    } else if items.is_empty() {
        output::line("no dead letters");
    } else {
        const HEAD: [&str; 7] = ["ID", "DIED", "OF", "STATE", "TYPE", "STATUS", "REASON"];
        output::table(&HEAD, &items.iter().map(row).collect::<Vec<_>>());
        if after.is_some() {
            output::line("and more: a higher --limit shows them");
        }
    }
    Ok(Exit::Done)
}

fn row(item: &Value) -> Vec<String> {
    let cell = |name: &str| output::cell(&item[name]);
    let reason = format!("{}: {}", cell("reason"), cell("detail"));
    vec![cell("id"), cell("time"), cell("origin"), cell("state"), cell("type"), cell("status"), reason]
}

async fn groups(common: &Common, console: &Api, filter: &Filter) -> anyhow::Result<Exit> {
    let answer = console.get("/api/v1/dead-letters/groups", &query(filter)?).await?;
    let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
    if common.json {
        items.iter().for_each(output::json);
        return Ok(Exit::Done);
    }
    if items.is_empty() {
        output::line("no dead letters wait");
        return Ok(Exit::Done);
    }
    let row = |item: &Value| {
        ["count", "origin", "subscription", "reason", "status", "last", "cause"]
            .map(|name| output::cell(&item[name]))
            .to_vec()
    };
    const HEAD: [&str; 7] = ["COUNT", "OF", "SUBSCRIPTION", "REASON", "STATUS", "LAST", "CAUSE"];
    output::table(&HEAD, &items.iter().map(row).collect::<Vec<_>>());
    Ok(Exit::Done)
}

async fn show(common: &Common, console: &Api, id: &str) -> anyhow::Result<Exit> {
    let letter = console.get(&format!("/api/v1/dead-letters/{}", segment(id)), &[]).await?;
    if common.json {
        output::json(&letter);
        return Ok(Exit::Done);
    }
    let cell = |name: &str| output::cell(&letter[name]);
    output::line(&format!("dead letter {} of {}: {}", cell("id"), cell("origin"), cell("state")));
    output::line(&format!("  died       {}, {}: {}", cell("time"), cell("reason"), cell("detail")));
    for (title, name) in
        [("because of", "subscription"), ("event", "event_id"), ("from", "source"), ("type", "type")]
    {
        if !letter[name].is_null() {
            output::line(&format!("  {title:<10} {}", cell(name)));
        }
    }
    for attempt in letter["attempts"].as_array().into_iter().flatten() {
        let cell = |name: &str| output::cell(&attempt[name]);
        let outcome = [cell("class"), cell("status"), cell("detail")].join(" ");
        output::line(&format!(
            "  attempt {}  {}  {}  {}",
            cell("number"),
            cell("time"),
            cell("request"),
            outcome.trim()
        ));
        if let Some(response) = attempt["response"].as_str().filter(|response| !response.is_empty()) {
            output::line(&format!("    answered {}", output::shown(response)));
        }
    }
    for change in letter["history"].as_array().into_iter().flatten() {
        let cell = |name: &str| output::cell(&change[name]);
        output::line(&format!(
            "  since {}  {} by {} {}",
            cell("time"),
            cell("state"),
            cell("by"),
            cell("detail")
        ));
    }
    for (title, name) in
        [("the event", "event"), ("the body that failed", "body"), ("a replay would send", "would_send")]
    {
        if !letter[name].is_null() {
            output::line(&format!("{title}:"));
            output::pretty(&letter[name]);
        }
    }
    Ok(Exit::Done)
}

async fn discard(
    common: &Common,
    console: &Api,
    filter: &Value,
    reason: &str,
    dry_run: bool,
) -> anyhow::Result<Exit> {
    let body = json!({ "filter": filter, "reason": reason, "dry_run": dry_run });
    let answer = console.post("/api/v1/dead-letters/discard", &body).await?;
    if common.json {
        output::json(&answer);
    } else if dry_run {
        output::line(&format!("{} would be discarded", answer["would_discard"]));
    } else {
        output::line(&format!("{} discarded", answer["discarded"]));
    }
    let none = answer["discarded"] == 0 || answer["would_discard"] == 0;
    Ok(if none { Exit::No } else { Exit::Done })
}
