//! All subscriptions of one configuration, compiled.

use std::sync::Arc;

use thiserror::Error;
use trunkline_core::config::{Diagnostics, Node};
use trunkline_core::{Body, DestinationName, Event, SubscriptionName, TypeCatalogue};

use crate::pattern::Mismatch;
use crate::program::Limits;

/// All subscriptions of one configuration, compiled and indexed. Immutable; shared between threads by reference.
///
/// Its answers are those of asking each subscription by itself: the index only makes them fast, and the order of the
/// subscriptions in the file means nothing.
#[derive(Debug)]
pub struct RuleSet {
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
        todo!()
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
        todo!("{section:?} {destinations:?} {catalogue:?} {limits:?}")
    }

    /// The first 16 hexadecimal digits of a SHA-256 over the subscriptions' content, independent of their order and
    /// of layout and comments of the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How many subscriptions are switched on.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether no subscription is switched on.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks all subscriptions; every match is rendered. Blocks for as long as the programs run (each at most
    /// [`Limits::deadline`]), so call it off the async threads when there are programs.
    pub fn route(&self, event: &Event) -> Routing {
        todo!("{event:?} {:?} {:?}", self.catalogue, self.limits)
    }

    /// What every subscription says to `event`, by name, those switched off included.
    pub fn explain(&self, event: &Event) -> Vec<Explanation> {
        todo!("{event:?}")
    }

    /// Renders `event` by the transform of `subscription` without asking its pattern and condition, for a replay.
    ///
    /// `Ok(None)`: the subscription has no transform. A subscription that is gone is [`RenderError::Unknown`].
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn render(&self, subscription: &str, event: &Event) -> Result<Option<Body>, RenderError> {
        todo!("{subscription} {event:?}")
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
