//! The adapters a process knows, by name: typed factories, their types erased once.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::Schema;
use trunkline_core::Delivery;
use trunkline_core::config::{Diagnostics, Node};

use crate::destination::{Context, Delivered, DeliveryError, Destination, Preview, SetupError};
use crate::webhook::{Normalized, NormalizeError, Refusal, WebhookRequest, WebhookSource};

/// A destination whose type is forgotten.
#[async_trait]
pub trait AnyDestination: Send + Sync + 'static {
    /// As [`Destination::deliver`].
    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError>;
    /// As [`Destination::preview`].
    fn preview(&self, delivery: &Delivery) -> Result<Preview, DeliveryError>;
}

/// A webhook source whose type is forgotten.
pub trait AnyWebhookSource: Send + Sync + 'static {
    /// As [`WebhookSource::verify`].
    fn verify(&self, request: &WebhookRequest) -> Result<(), Refusal>;
    /// As [`WebhookSource::normalize`].
    fn normalize(&self, request: &WebhookRequest) -> Result<Normalized, NormalizeError>;
}

#[async_trait]
impl<D: Destination> AnyDestination for D {
    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        Destination::deliver(self, delivery).await
    }

    fn preview(&self, delivery: &Delivery) -> Result<Preview, DeliveryError> {
        Destination::preview(self, delivery)
    }
}

impl<W: WebhookSource> AnyWebhookSource for W {
    fn verify(&self, request: &WebhookRequest) -> Result<(), Refusal> {
        WebhookSource::verify(self, request)
    }

    fn normalize(&self, request: &WebhookRequest) -> Result<Normalized, NormalizeError> {
        WebhookSource::normalize(self, request)
    }
}

/// Makes adapters of one type from `settings:` nodes.
#[async_trait]
trait Factory<A: ?Sized>: Send + Sync {
    fn schema(&self) -> Schema;
    fn check(&self, settings: &Node, diagnostics: &mut Diagnostics);
    async fn make(&self, settings: &Node, context: &Context) -> Result<Arc<A>, MakeError>;
}

/// Why an adapter was not made.
#[derive(Debug)]
pub enum MakeError {
    /// The configuration names an adapter that is not registered.
    Unknown {
        /// The adapter asked for.
        adapter: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
    /// The settings do not read.
    Settings(Diagnostics),
    /// The adapter refused them.
    Setup(SetupError),
}

/// The adapters a process knows, by name.
#[derive(Clone, Default)]
pub struct Adapters {
    destinations: BTreeMap<&'static str, Arc<dyn Factory<dyn AnyDestination>>>,
    webhooks: BTreeMap<&'static str, Arc<dyn Factory<dyn AnyWebhookSource>>>,
}

impl Adapters {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }
}
