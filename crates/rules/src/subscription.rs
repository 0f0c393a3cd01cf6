//! One subscription: which events go to which destination, in what form.

use std::time::Duration;

use trunkline_core::config::{Diagnostics, Node, NodeValue};
use trunkline_core::event::is_json_type;
use trunkline_core::{Body, DestinationName, SubscriptionName};

use crate::allowance::Allowances;
use crate::codes;
use crate::pattern::Pattern;
use crate::program::{Compiler, EventTypes, Form, Input, Limits, Program, Purpose, RunError};
use crate::rule_set::Stage;
use crate::suggest::did_you_mean;

/// A compiled subscription.
#[derive(Debug)]
pub struct Subscription {
    name: SubscriptionName,
    destination: DestinationName,
    enabled: bool,
    pattern: Pattern,
    condition: Option<Box<Program>>,
    transform: Option<Box<(Program, Form)>>,
}

const KEYS: [&str; 6] = ["match", "when", "transform", "content_type", "to", "enabled"];

/// What all subscriptions of a set are read with.
pub(crate) struct Reader<'a> {
    pub(crate) destinations: &'a [DestinationName],
    pub(crate) types: EventTypes<'a>,
    pub(crate) compiler: Compiler,
}

impl Subscription {
    /// Its name in the configuration.
    pub fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// Where it sends.
    pub fn destination(&self) -> &DestinationName {
        &self.destination
    }

    /// Whether it is switched on (`enabled`, true where it is not written).
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Which events it is about.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Whether it makes a body of its own; without one, the destination gets the event itself.
    pub fn has_transform(&self) -> bool {
        self.transform.is_some()
    }

    /// Whether the event passes `when`, and what `transform` makes of it: `None` for no, the body (if there is a
    /// transform) for yes. Both have the time of one run together.
    pub(crate) fn ask(
        &self,
        input: &Input<'_>,
        limits: &Limits,
        allowances: &mut Allowances,
    ) -> Result<Option<Option<Body>>, (Stage, RunError)> {
        let mut left = limits.deadline;
        if let Some(condition) = &self.condition {
            let holds =
                allowances.run(&self.name, Stage::Condition, input.size(), limits, &mut left, |meter| {
                    condition.holds(input, meter)
                });
            if !holds.map_err(|error| (Stage::Condition, error))? {
                return Ok(None);
            }
        }
        let body = self.render(input, limits, &mut left, allowances);
        body.map(Some).map_err(|error| (Stage::Transform, error))
    }

    /// What `transform` makes of the event.
    pub(crate) fn render(
        &self,
        input: &Input<'_>,
        limits: &Limits,
        left: &mut Duration,
        allowances: &mut Allowances,
    ) -> Result<Option<Body>, RunError> {
        let Some((program, form)) = self.transform.as_deref() else { return Ok(None) };
        let made = allowances.run(&self.name, Stage::Transform, input.size(), limits, left, |meter| {
            program.render(form, input, meter)
        });
        made.map(Some)
    }
}

impl Reader<'_> {
    /// Reads one entry of the `subscriptions` section. All mistakes go to `diagnostics`; `None` when there was one.
    pub(crate) fn read(
        &self,
        name: &str,
        node: &Node,
        diagnostics: &mut Diagnostics,
    ) -> Option<Subscription> {
        if !matches!(node.value, NodeValue::Map(_)) {
            let hint =
                Some("for example `{ match: { type: [commerce.order.created] }, to: crm }`".to_owned());
            diagnostics.push(node.error(codes::SUBSCRIPTION, "a subscription is a map", hint));
            return None;
        }
        let keys_known = known_keys(node, diagnostics);
        let name = SubscriptionName::parse(name)
            .map_err(|error| diagnostics.push(node.error(codes::SUBSCRIPTION, error.to_string(), None)))
            .ok();
        let destination = self.destination(node, diagnostics);
        let pattern = required(node, "match", diagnostics).and_then(|node| Pattern::read(node, diagnostics));
        let enabled = enabled(node, diagnostics);
        let (condition, transform) = self.programs(node, pattern.as_ref(), diagnostics);
        if !keys_known {
            return None;
        }
        Some(Subscription {
            name: name?,
            destination: destination?,
            enabled: enabled?,
            pattern: pattern?,
            condition: condition?.map(Box::new),
            transform: transform?.map(Box::new),
        })
    }

    fn destination(&self, node: &Node, diagnostics: &mut Diagnostics) -> Option<DestinationName> {
        let to = required(node, "to", diagnostics)?;
        let Some(name) = to.as_text() else {
            let hint = Some("for several destinations write several subscriptions".to_owned());
            diagnostics.push(to.error(codes::DESTINATION, "`to` is the name of one destination", hint));
            return None;
        };
        let found = self.destinations.iter().find(|destination| destination.as_str() == name);
        if found.is_none() {
            let names = || self.destinations.iter().map(DestinationName::as_str);
            let hint = did_you_mean(name, names()).unwrap_or_else(|| match self.destinations {
                [] => "no destination is configured; add one under `destinations`".to_owned(),
                _ => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
            });
            diagnostics.push(to.error(
                codes::DESTINATION,
                format!("there is no destination `{name}`"),
                Some(hint),
            ));
        }
        found.cloned()
    }

    /// Condition and transform: the outer `None` for a mistake, the inner one for a part that is not there.
    #[allow(clippy::type_complexity, reason = "two results of the same shape")]
    fn programs(
        &self,
        node: &Node,
        pattern: Option<&Pattern>,
        diagnostics: &mut Diagnostics,
    ) -> (Option<Option<Program>>, Option<Option<(Program, Form)>>) {
        let content_type = content_type(node, diagnostics);
        let (when, transform) = (node.get("when"), node.get("transform"));
        if when.is_none() && transform.is_none() {
            return (Some(None), content_type.map(|_| None));
        }
        let types = self.types.of(pattern);
        let condition = match when {
            None => Some(None),
            Some(node) => self.compiler.compile(node, Purpose::Condition, &types, diagnostics).map(Some),
        };
        let transform = match transform {
            None => content_type.map(|_| None),
            Some(node) => {
                let text = content_type.flatten().is_some_and(|content_type| !is_json_type(content_type));
                let program = self.compiler.compile(node, Purpose::Transform { text }, &types, diagnostics);
                program
                    .zip(content_type)
                    .map(|(program, content_type)| Some((program, Form::of(content_type))))
            }
        };
        (condition, transform)
    }
}

fn known_keys(node: &Node, diagnostics: &mut Diagnostics) -> bool {
    let mut known = true;
    for (key, value) in node.entries().filter(|(key, _)| !KEYS.contains(&&*key.name)) {
        known = false;
        let hint = did_you_mean(&key.name, KEYS).unwrap_or_else(|| format!("keys: {}", KEYS.join(", ")));
        let at_key = Node { place: key.place.clone(), ..value.clone() };
        let message = format!("a subscription has no `{}`", key.name);
        diagnostics.push(at_key.error(codes::SUBSCRIPTION, message, Some(hint)));
    }
    known
}

fn required<'a>(node: &'a Node, name: &str, diagnostics: &mut Diagnostics) -> Option<&'a Node> {
    let found = node.get(name);
    if found.is_none() {
        let hint = match name {
            "match" => "to match every event, write `match: {}`",
            _ => "name one of the destinations",
        };
        diagnostics.push(node.error(
            codes::SUBSCRIPTION,
            format!("`{name}` is missing"),
            Some(hint.to_owned()),
        ));
    }
    found
}

fn enabled(node: &Node, diagnostics: &mut Diagnostics) -> Option<bool> {
    match node.get("enabled") {
        None => Some(true),
        Some(Node { value: NodeValue::Boolean(enabled), .. }) => Some(*enabled),
        Some(other) => {
            diagnostics.push(other.error(codes::SUBSCRIPTION, "`enabled` is true or false", None));
            None
        }
    }
}

/// The outer `None` for a mistake.
fn content_type<'a>(node: &'a Node, diagnostics: &mut Diagnostics) -> Option<Option<&'a str>> {
    let Some(written) = node.get("content_type") else { return Some(None) };
    let problem = match written.as_text() {
        None => "`content_type` is text, for example `text/plain`",
        Some(_) if node.get("transform").is_none() => {
            "`content_type` says what a transform makes, and there is no `transform`"
        }
        Some(text) if !is_media_type(text) => "not a media type",
        Some(text) => return Some(Some(text)),
    };
    diagnostics.push(written.error(codes::SUBSCRIPTION, problem, None));
    None
}

/// Type, slash, subtype, perhaps parameters; printable ASCII only, as it becomes a header.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    printable && essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}
