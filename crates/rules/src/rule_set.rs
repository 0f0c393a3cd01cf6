//! All subscriptions of one configuration, compiled.

mod compile;
mod version;

use std::sync::Arc;

use thiserror::Error;
use trunkline_core::config::{Diagnostics, Node};
use trunkline_core::view::EventView;
use trunkline_core::{Body, DestinationName, Event, SubscriptionName, TypeCatalogue};

use crate::allowance::Allowances;
use crate::index::Index;
use crate::pattern::{Mismatch, Unmatched};
use crate::program::{Input, Limits, RunError};
use crate::subscription::Subscription;

/// All subscriptions of one configuration, compiled and indexed. Immutable; shared between threads by reference.
///
/// Its answers are those of asking each subscription by itself: the index only makes them fast, and the order of the
/// subscriptions in the file means nothing.
#[derive(Debug)]
pub struct RuleSet {
    /// By name.
    subscriptions: Vec<Subscription>,
    /// Over those that are switched on.
    index: Index,
    /// From the index's positions to those in `subscriptions`; ascending in both.
    enabled: Vec<usize>,
    catalogue: Arc<TypeCatalogue>,
    limits: Limits,
    version: Arc<str>,
}

/// Where an event goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// The subscriptions that match, by name.
    pub matched: Vec<Routed>,
    /// The subscriptions that could not be asked or rendered, by name. Each is a dead letter of its destination.
    pub failed: Vec<RuleFailure>,
}

/// One subscription's yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// Which subscription.
    pub subscription: SubscriptionName,
    /// Where it sends.
    pub destination: DestinationName,
    /// What its transform made; `None` when it has none and the destination gets the event itself.
    pub body: Option<Body>,
}

/// One subscription that failed on one event; the others are not affected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("subscription `{subscription}`: {stage}: {detail}")]
pub struct RuleFailure {
    /// Which subscription.
    pub subscription: SubscriptionName,
    /// Where it would have sent.
    pub destination: DestinationName,
    /// Which part failed.
    pub stage: Stage,
    /// Whether it was asked at all; not when its time was used up on earlier events ([`Allowances`]).
    pub ran: bool,
    /// What happened, in words.
    pub detail: String,
}

/// The part of a subscription that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The pattern looks into data that can't be looked into.
    Pattern,
    /// The `when` condition failed, was stopped, or its event can't be looked into.
    Condition,
    /// The `transform` failed, was stopped, or made too much.
    Transform,
}

/// What one subscription says to one event, for `try` and `explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Which subscription.
    pub subscription: SubscriptionName,
    /// Where it sends.
    pub destination: DestinationName,
    /// Its answer.
    pub outcome: Outcome,
}

/// A subscription's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It matches.
    Matched {
        /// What its transform made, if it has one.
        body: Option<Body>,
    },
    /// Its pattern does not match; the first predicate that failed.
    PatternMismatch(Mismatch),
    /// Its pattern matches, its `when` is false.
    ConditionFalse,
    /// It could not be asked or rendered.
    Failed {
        /// Which part failed.
        stage: Stage,
        /// What happened, in words.
        detail: String,
    },
    /// It is switched off (`enabled: false`).
    Disabled,
}

impl RuleSet {
    /// A rule set without subscriptions.
    pub fn empty() -> Self {
        Self::from_parts(
            Vec::new(),
            Arc::new(TypeCatalogue::canonical()),
            Limits::default(),
            version::of(None),
        )
    }

    /// Compiles the `subscriptions` section with the default [`Limits`]; see [`RuleSet::compile_within`].
    pub fn compile(
        section: Option<&Node>,
        destinations: &[DestinationName],
        catalogue: Arc<TypeCatalogue>,
    ) -> (Option<Self>, Diagnostics) {
        Self::compile_within(section, destinations, catalogue, Limits::default())
    }

    /// Compiles the `subscriptions` section (a map of names to subscriptions; `None` for an empty set).
    ///
    /// All errors and warnings of all subscriptions are returned at once; the rule set only when there is no error.
    pub fn compile_within(
        section: Option<&Node>,
        destinations: &[DestinationName],
        catalogue: Arc<TypeCatalogue>,
        limits: Limits,
    ) -> (Option<Self>, Diagnostics) {
        let mut diagnostics = Diagnostics::new();
        let subscriptions =
            compile::subscriptions(section, destinations, &catalogue, &limits, &mut diagnostics);
        let sound = !diagnostics.has_errors();
        let set = subscriptions
            .filter(|_| sound)
            .map(|subscriptions| Self::from_parts(subscriptions, catalogue, limits, version::of(section)));
        (set, diagnostics)
    }

    fn from_parts(
        mut subscriptions: Vec<Subscription>,
        catalogue: Arc<TypeCatalogue>,
        limits: Limits,
        version: Arc<str>,
    ) -> Self {
        subscriptions.sort_by(|a, b| a.name().cmp(b.name()));
        let enabled: Vec<usize> =
            (0..subscriptions.len()).filter(|at| subscriptions[*at].is_enabled()).collect();
        let index = Index::build(enabled.iter().map(|at| subscriptions[*at].pattern()));
        Self { subscriptions, index, enabled, catalogue, limits, version }
    }

    /// The first 16 hexadecimal digits of a SHA-256 over the subscriptions' content, independent of their order and
    /// of layout and comments of the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What one run of one program may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many subscriptions are switched on.
    pub fn len(&self) -> usize {
        self.enabled.len()
    }

    /// Whether no subscription is switched on.
    pub fn is_empty(&self) -> bool {
        self.enabled.is_empty()
    }

    /// All subscriptions, those switched off included, by name.
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// The subscription of this name, switched off or on.
    pub fn get(&self, name: &str) -> Option<&Subscription> {
        let at = self
            .subscriptions
            .binary_search_by(|subscription| subscription.name().as_str().cmp(name))
            .ok()?;
        self.subscriptions.get(at)
    }

    /// Asks all subscriptions; every match is rendered. Blocks for as long as the programs run (those of each
    /// subscription at most [`Limits::deadline`]), so call it off the async threads when there are programs.
    ///
    /// A subscription that fails is in [`Routing::failed`] and changes nothing for the others. One whose pattern looks
    /// into data that can't be looked into is such a failure, unless its attributes say no already.
    pub fn route(&self, event: &Event) -> Routing {
        self.route_within(event, &mut Allowances::new())
    }

    /// As [`RuleSet::route`], of one event in a stream of many: programs that were stopped on earlier events get less
    /// time, or none.
    pub fn route_within(&self, event: &Event, allowances: &mut Allowances) -> Routing {
        allowances.event(&self.limits);
        let view = EventView::new(event, &self.catalogue);
        let input = Input::new(&view);
        let mut routing = Routing::default();
        let mut candidates = Vec::new();
        self.index.candidates(&view, &mut candidates);
        for candidate in candidates {
            let subscription = &self.subscriptions[self.enabled[candidate.position as usize]];
            match self.ask(subscription, candidate.certain, &input, allowances) {
                Ok(None) => {}
                Ok(Some(body)) => routing.matched.push(Routed {
                    subscription: subscription.name().clone(),
                    destination: subscription.destination().clone(),
                    body,
                }),
                Err((stage, error)) => routing.failed.push(failure(subscription, stage, &error)),
            }
        }
        routing
    }

    /// `certain`: the pattern is known to match. `None` for no, the body (if there is a transform) for yes.
    fn ask(
        &self,
        subscription: &Subscription,
        certain: bool,
        input: &Input<'_>,
        allowances: &mut Allowances,
    ) -> Result<Option<Option<Body>>, (Stage, RunError)> {
        let matches = if certain { Ok(true) } else { subscription.pattern().matches(input.view()) };
        if !matches.map_err(|error| (Stage::Pattern, RunError::View(error)))? {
            return Ok(None);
        }
        subscription.ask(input, &self.limits, allowances)
    }

    /// What every subscription says to `event`, by name, those switched off included.
    pub fn explain(&self, event: &Event) -> Vec<Explanation> {
        let view = EventView::new(event, &self.catalogue);
        let input = Input::new(&view);
        let explanation = |subscription: &Subscription| Explanation {
            subscription: subscription.name().clone(),
            destination: subscription.destination().clone(),
            outcome: self.outcome(subscription, &input),
        };
        self.subscriptions.iter().map(explanation).collect()
    }

    fn outcome(&self, subscription: &Subscription, input: &Input<'_>) -> Outcome {
        if !subscription.is_enabled() {
            return Outcome::Disabled;
        }
        match subscription.pattern().evaluate(input.view()) {
            Ok(()) => {}
            Err(Unmatched::Mismatch(mismatch)) => return Outcome::PatternMismatch(mismatch),
            Err(Unmatched::View(error)) => {
                return Outcome::Failed { stage: Stage::Pattern, detail: error.to_string() };
            }
        }
        match subscription.ask(input, &self.limits, &mut Allowances::new()) {
            Ok(None) => Outcome::ConditionFalse,
            Ok(Some(body)) => Outcome::Matched { body },
            Err((stage, error)) => Outcome::Failed { stage, detail: error.to_string() },
        }
    }

    /// Renders `event` by the transform of `subscription` without asking its pattern and condition, for a replay. A
    /// subscription that is switched off renders too.
    ///
    /// `Ok(None)`: the subscription has no transform. A subscription that is gone is [`RenderError::Unknown`].
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn render(&self, subscription: &str, event: &Event) -> Result<Option<Body>, RenderError> {
        let subscription =
            self.get(subscription).ok_or_else(|| RenderError::Unknown(subscription.to_owned()))?;
        let view = EventView::new(event, &self.catalogue);
        let (mut left, mut allowances) = (self.limits.deadline, Allowances::new());
        let rendered = subscription.render(&Input::new(&view), &self.limits, &mut left, &mut allowances);
        Ok(rendered.map_err(|error| failure(subscription, Stage::Transform, &error))?)
    }
}

fn failure(subscription: &Subscription, stage: Stage, error: &RunError) -> RuleFailure {
    RuleFailure {
        subscription: subscription.name().clone(),
        destination: subscription.destination().clone(),
        stage,
        ran: *error != RunError::NotRun,
        detail: error.to_string(),
    }
}

/// Why an event can't be rendered for a replay.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenderError {
    /// No subscription of that name in this rule set.
    #[error("no subscription `{0}`")]
    Unknown(String),
    /// Its transform failed.
    #[error(transparent)]
    Failed(#[from] RuleFailure),
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Pattern => "match",
            Stage::Condition => "when",
            Stage::Transform => "transform",
        })
    }
}
