//! What a replay makes of one dead letter.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use trunkline_rules::RuleSet;
use trunkline_rules::rule_set::RenderError;
use trunkline_sdk::core::dead_letter::{Contents, RawRequest};
use trunkline_sdk::core::{DeadLetterReason, Delivery};
use trunkline_sdk::store::{NewReplay, ReplayItem};
use trunkline_sdk::{AnyWebhookSource, Event, WebhookRequest};

/// The configured webhook sources, by name.
pub type Sources = BTreeMap<String, Arc<dyn AnyWebhookSource>>;

/// What a dead letter's next life is.
#[derive(Debug)]
pub enum Life {
    /// A delivery, to the destination whose dead letter it was and to no other.
    Delivery(Box<Delivery>),
    /// The events of a webhook that normalizes now.
    Events(Vec<Event>),
}

/// Makes the next life of a dead letter: attempt 0, the item's generation, rendered by today's transform of its
/// subscription. With `as_it_was`, or when the subscription is gone, the stored body goes out.
///
/// # Errors
/// Why it can't be replayed, in words for the operator; it then stays what it was.
pub fn life(
    item: &ReplayItem,
    replay: &NewReplay,
    rules: &RuleSet,
    sources: &Sources,
    now: DateTime<Utc>,
) -> Result<Life, String> {
    match &item.dead_letter.contents {
        Contents::Malformed(_) => Err("it holds no event".to_owned()),
        Contents::Webhook(raw) => normalize(raw, sources).map(Life::Events),
        Contents::Delivery(dead) => {
            // Where a condition or transform failed no body was made, and where it was too large it was dropped.
            let never_made = matches!(
                item.dead_letter.reason,
                DeadLetterReason::ConditionFailed | DeadLetterReason::TransformFailed
            );
            let stored_body_is_whole = item.dead_letter.dropped_body.is_none() && !never_made;
            if replay.as_it_was && !stored_body_is_whole {
                return Err("its body was not kept; replay it by today's transform".to_owned());
            }
            let body = if replay.as_it_was {
                dead.body.clone()
            } else {
                match rules.render(&dead.subscription, &dead.event) {
                    Ok(body) => body,
                    Err(RenderError::Unknown(_)) if stored_body_is_whole => dead.body.clone(),
                    Err(error) => return Err(error.to_string()),
                }
            };
            Ok(Life::Delivery(Box::new(Delivery {
                body,
                rule_set: if replay.as_it_was { dead.rule_set.clone() } else { rules.version().to_owned() },
                attempt: 0,
                generation: item.generation,
                routed: now,
                first_attempt: None,
                replay_id: replay.id.clone(),
                attempts: Vec::new(),
                ..(**dead).clone()
            })))
        }
    }
}

fn normalize(raw: &RawRequest, sources: &Sources) -> Result<Vec<Event>, String> {
    let source = sources
        .get(&raw.source)
        .ok_or_else(|| format!("source `{}` is not configured any more", raw.source))?;
    let request = WebhookRequest::from_kept(raw).map_err(|error| error.to_string())?;
    source.normalize(&request).map(|normalized| normalized.events).map_err(|error| error.to_string())
}
