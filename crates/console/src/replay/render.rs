//! What a replay makes of one dead letter.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use trunkline_rules::RuleSet;
use trunkline_rules::rule_set::RenderError;
use trunkline_sdk::core::dead_letter::{Contents, RawRequest};
use trunkline_sdk::core::{Body, DeadLetter, DeadLetterReason, Delivery};
use trunkline_sdk::{AnyWebhookSource, Event, WebhookRequest};

use super::GATEWAY;

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

/// The next life that is wanted for a dead letter.
#[derive(Debug, Clone, Copy)]
pub struct NewLife<'a> {
    /// The origin of the replay's dead letters: a destination's name, or `gateway`.
    pub destination: &'a str,
    /// The generation its delivery gets.
    pub generation: u32,
    /// The replay's id.
    pub replay_id: &'a str,
    /// The stored body instead of today's transform's.
    pub as_it_was: bool,
    /// The time.
    pub now: DateTime<Utc>,
}

impl NewLife<'_> {
    /// Makes the next life of a dead letter: attempt 0, the new generation, rendered by today's transform of its
    /// subscription. With `as_it_was`, or when the subscription is gone or goes elsewhere today, the stored body goes out.
    /// Blocks for as long as the transform runs.
    ///
    /// # Errors
    /// Why it can't be replayed, in words for the operator; it then stays what it was.
    pub fn of(&self, letter: &DeadLetter, rules: &RuleSet, sources: &Sources) -> Result<Life, String> {
        match &letter.contents {
            Contents::Malformed(_) => Err("it holds no event".to_owned()),
            // What a channel holds is not proof of where it belongs: anyone who can write to the broker could have put
            // it there, and a replay reaches the destination it names and no other.
            Contents::Webhook(_) if self.destination != GATEWAY => {
                Err(format!("it is a webhook, and those of `{}` are deliveries", self.destination))
            }
            Contents::Delivery(dead) if dead.destination != self.destination => {
                Err(format!("it is a delivery to `{}`, not to `{}`", dead.destination, self.destination))
            }
            Contents::Webhook(raw) => normalize(raw, sources).map(Life::Events),
            Contents::Delivery(dead) => {
                let (body, rule_set) = self.body(letter, dead, rules)?;
                Ok(Life::Delivery(Box::new(Delivery {
                    body,
                    rule_set,
                    attempt: 0,
                    generation: self.generation,
                    routed: self.now,
                    first_attempt: None,
                    replay_id: self.replay_id.to_owned(),
                    attempts: Vec::new(),
                    ..(**dead).clone()
                })))
            }
        }
    }

    /// The body, and the version of the rule set that made it.
    fn body(
        &self,
        letter: &DeadLetter,
        dead: &Delivery,
        rules: &RuleSet,
    ) -> Result<(Option<Body>, String), String> {
        // Where a condition or transform failed no body was made, and where it was too large it was dropped.
        let never_made =
            matches!(letter.reason, DeadLetterReason::ConditionFailed | DeadLetterReason::TransformFailed);
        let stored = (letter.dropped_body.is_none() && !never_made)
            .then(|| (dead.body.clone(), dead.rule_set.clone()));
        if self.as_it_was {
            return stored.ok_or_else(|| "its body was not kept; replay it by today's transform".to_owned());
        }
        // A subscription that goes elsewhere today is made for another platform.
        let elsewhere = |name: &str| {
            rules.get(name).filter(|found| found.destination().as_str() != self.destination).map(|found| {
                format!(
                    "subscription `{name}` goes to `{}` today, and its body was not kept",
                    found.destination()
                )
            })
        };
        if let Some(reason) = elsewhere(&dead.subscription) {
            return stored.ok_or(reason);
        }
        match rules.render(&dead.subscription, &dead.event) {
            Ok(body) => Ok((body, rules.version().to_owned())),
            Err(error @ RenderError::Unknown(_)) => {
                stored.ok_or_else(|| format!("{error} is configured any more, and its body was not kept"))
            }
            Err(error) => Err(error.to_string()),
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
