//! `try`: what would become of an event. Nothing is sent.

use std::path::Path;

use anyhow::Context as _;
use chrono::Utc;
use serde_json::{Value, json};
use trunkline_core::{Body, Delivery, DestinationName, Event};
use trunkline_rules::{Explanation, Outcome, RuleSet};
use trunkline_sdk::service::{Exit, ServiceError, instance_name};
use trunkline_sdk::{Adapters, Preview};

use super::{Common, Usage, input, named};
use crate::check::{Purpose, Valid, judge};
use crate::output;

/// What one subscription would do.
struct Tried {
    explanation: Explanation,
    /// Where it matches and its destination is made here: the request, or why there would be none.
    request: Option<Result<Preview, String>>,
}

pub(super) async fn run(common: &Common, path: &Path) -> anyhow::Result<Exit> {
    let event = Event::from_json(&input::read(path)?).map_err(|error| {
        Usage(format!("{} is no CloudEvent in structured JSON: {}", named(path), chain(&error)))
    })?;
    let adapters = trunkline_adapters::registry();
    let judged = judge(&common.config, Purpose::Look, &adapters).await;
    let valid = judged.into_valid(|_warning| {})?;
    let rules = compile(&valid)?;
    let explanations = {
        let (event, rules) = (event.clone(), rules);
        let asked = tokio::task::spawn_blocking(move || (rules.version().to_owned(), rules.explain(&event)));
        asked.await.context("the subscriptions could not be asked")?
    };
    let (rule_set, explanations) = explanations;
    let mut any = false;
    if !common.json {
        output::line(&format!("{} {} of {}", shown(event.kind()), shown(event.id()), shown(event.source())));
    }
    if explanations.is_empty() && !common.json {
        output::line("no subscriptions are configured");
    }
    for explanation in explanations {
        let tried = try_one(&valid, &adapters, &event, &rule_set, explanation).await;
        any |= matches!(tried.request, Some(Ok(_))) || is_external(&valid, &tried);
        if common.json { output::json(&tried.json()) } else { tried.print() }
    }
    Ok(if any { Exit::Done } else { Exit::No })
}

fn compile(valid: &Valid) -> Result<RuleSet, ServiceError> {
    let shared = &valid.shared;
    let destinations: Vec<DestinationName> = shared.destinations.keys().cloned().collect();
    let (rules, diagnostics) =
        RuleSet::compile(shared.section_node("subscriptions"), &destinations, shared.catalogue.clone());
    rules.ok_or(ServiceError::Configuration(diagnostics))
}

async fn try_one(
    valid: &Valid,
    adapters: &Adapters,
    event: &Event,
    rule_set: &str,
    explanation: Explanation,
) -> Tried {
    let request = match &explanation.outcome {
        Outcome::Matched { body } => {
            preview(valid, adapters, delivery(event, rule_set, &explanation, body)).await
        }
        _ => None,
    };
    Tried { explanation, request }
}

fn delivery(event: &Event, rule_set: &str, explanation: &Explanation, body: &Option<Body>) -> Delivery {
    Delivery {
        event: event.clone(),
        body: body.clone(),
        subscription: explanation.subscription.to_string(),
        destination: explanation.destination.to_string(),
        rule_set: rule_set.to_owned(),
        attempt: 0,
        generation: 0,
        routed: Utc::now(),
        first_attempt: None,
        replay_id: String::new(),
        attempts: Vec::new(),
    }
}

/// What the destination's adapter would send; `None` for one that a team's own service delivers.
async fn preview(valid: &Valid, adapters: &Adapters, delivery: Delivery) -> Option<Result<Preview, String>> {
    let (name, entry) =
        valid.shared.destinations.iter().find(|(name, _)| name.as_str() == delivery.destination)?;
    if entry.external {
        return None;
    }
    let context = valid.shared.context(name.as_str(), &instance_name());
    let made = adapters.make_destination(entry, &context).await;
    Some(match made {
        Ok(adapter) => adapter.preview(&delivery).map_err(|error| chain(&error)),
        Err(error) => Err(chain(&error)),
    })
}

fn is_external(valid: &Valid, tried: &Tried) -> bool {
    let entry = valid.shared.destinations.get(&tried.explanation.destination);
    matches!(tried.explanation.outcome, Outcome::Matched { .. }) && entry.is_some_and(|entry| entry.external)
}

impl Tried {
    fn json(&self) -> Value {
        let Explanation { subscription, destination, outcome } = &self.explanation;
        let mut line = json!({ "subscription": subscription.as_str(), "destination": destination.as_str() });
        let (word, detail) = match outcome {
            Outcome::Matched { .. } => ("matched", Value::Null),
            Outcome::ConditionFalse => ("condition_false", Value::Null),
            Outcome::Disabled => ("disabled", Value::Null),
            Outcome::Failed { stage, detail } => {
                ("failed", json!({ "stage": stage.to_string(), "detail": detail }))
            }
            Outcome::PatternMismatch(miss) => (
                "no_match",
                json!({
                    "path": miss.path, "expected": miss.expected, "found": miss.found,
                    "file": &*miss.place.file, "line": miss.place.line, "column": miss.place.column,
                }),
            ),
        };
        line["outcome"] = word.into();
        line["why"] = detail;
        match &self.request {
            Some(Ok(preview)) => {
                line["request"] = json!({ "target": preview.target, "headers": preview.headers, "body": text(&preview.body) });
            }
            Some(Err(problem)) => line["problem"] = problem.clone().into(),
            None => {}
        }
        line
    }

    fn print(&self) {
        let Explanation { subscription, destination, outcome } = &self.explanation;
        let name = format!("{subscription} -> {destination}");
        match outcome {
            Outcome::Matched { .. } => output::line(&format!("{name}: matches")),
            Outcome::ConditionFalse => output::line(&format!("{name}: no, its `when` is false")),
            Outcome::Disabled => output::line(&format!("{name}: switched off")),
            Outcome::Failed { stage, detail } => {
                output::line(&format!("{name}: its {stage} fails, so it is a dead letter"));
                output::text(&format!("  {detail}"));
            }
            Outcome::PatternMismatch(miss) => {
                let (path, expected, found) = (shown(&miss.path), shown(&miss.expected), shown(&miss.found));
                output::line(&format!("{name}: no, {path} is {found}"));
                output::line(&format!("  asked for {expected}, at {}", shown(&miss.place.to_string())));
            }
        }
        match &self.request {
            Some(Ok(preview)) => print_request(preview),
            Some(Err(problem)) => output::line(&format!("  but nothing would be sent: {}", shown(problem))),
            None => {}
        }
    }
}

fn print_request(preview: &Preview) {
    output::line(&format!("  {}", shown(&preview.target)));
    for (name, value) in &preview.headers {
        output::line(&format!("  {}: {}", shown(name), shown(value)));
    }
    output::line("");
    match serde_json::from_slice::<Value>(&preview.body) {
        Ok(body) => output::pretty(&body),
        Err(_) => output::text(&text(&preview.body)),
    }
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("({} bytes that are no text)", bytes.len()),
    }
}

fn shown(text: &str) -> String {
    output::shown(text)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
