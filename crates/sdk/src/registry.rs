//! The adapters a process knows, by name: typed factories, their types erased once.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::Schema;
use tokio_util::sync::CancellationToken;
use trunkline_core::config::{Diagnostics, Node};
use trunkline_core::{Delivery, Examination};

use crate::config::{DestinationEntry, SourceEntry};
use crate::destination::{Context, Delivered, DeliveryError, Destination, Preview};
use crate::source::{Emitter, Source};
use crate::webhook::{NormalizeError, Normalized, Refusal, WebhookRequest, WebhookSource};

mod check;
mod error;
mod factory;

pub use error::MakeError;
use factory::{DestinationFactory, Factory, PollingFactory, WebhookFactory};

/// A destination whose type is forgotten.
#[async_trait]
pub trait AnyDestination: Send + Sync + 'static {
    /// As [`Destination::deliver`].
    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError>;
    /// As [`Destination::preview`].
    fn preview(&self, delivery: &Delivery) -> Result<Preview, DeliveryError>;
    /// As [`Destination::examine`].
    async fn examine(&self, found: &mut Examination<String>) {
        found.unseen("the platform: there is no way to look at it");
    }
}

/// A webhook source whose type is forgotten.
pub trait AnyWebhookSource: Send + Sync + 'static {
    /// As [`WebhookSource::verify`].
    fn verify(&self, request: &WebhookRequest) -> Result<(), Refusal>;
    /// As [`WebhookSource::normalize`].
    fn normalize(&self, request: &WebhookRequest) -> Result<Normalized, NormalizeError>;
}

/// A source that fetches, whose type is forgotten.
#[async_trait]
pub trait AnySource: Send + 'static {
    /// As [`Source::run`].
    async fn run(
        self: Box<Self>,
        emitter: Emitter,
        shutdown: CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

#[async_trait]
impl<D: Destination> AnyDestination for D {
    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        Destination::deliver(self, delivery).await
    }

    fn preview(&self, delivery: &Delivery) -> Result<Preview, DeliveryError> {
        Destination::preview(self, delivery)
    }

    async fn examine(&self, found: &mut Examination<String>) {
        Destination::examine(self, found).await;
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

#[async_trait]
impl<S: Source> AnySource for S {
    async fn run(
        self: Box<Self>,
        emitter: Emitter,
        shutdown: CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Source::run(*self, emitter, shutdown).await
    }
}

/// A source made from its entry.
pub enum MadeSource {
    /// Platforms call it.
    Webhook(Arc<dyn AnyWebhookSource>),
    /// It fetches.
    Polling(Box<dyn AnySource>),
}

/// The node that a setting's path below `settings` means, as adapters name it; `settings` itself where nothing stands there.
pub fn setting_node<'a>(settings: &'a Node, path: &str) -> &'a Node {
    error::find(settings, path).unwrap_or(settings)
}

/// What an adapter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// Produces events that platforms bring (`sources`).
    WebhookSource,
    /// Produces events that it fetches (`sources`).
    Source,
    /// Takes deliveries (`destinations`).
    Destination,
}

/// The adapters a process knows, by name. A name is unique among destinations, and among sources of both kinds.
#[derive(Clone, Default)]
pub struct Adapters {
    destinations: BTreeMap<&'static str, Arc<dyn Factory<Arc<dyn AnyDestination>>>>,
    sources: BTreeMap<&'static str, (AdapterKind, Arc<dyn Factory<MadeSource>>)>,
}

impl Adapters {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a consumer adapter. One of the same name is replaced.
    #[must_use]
    pub fn destination<D: Destination>(mut self) -> Self {
        self.destinations.insert(D::NAME, Arc::new(DestinationFactory::<D>::default()));
        self
    }

    /// With a producer adapter that platforms call. A source of the same name is replaced.
    #[must_use]
    pub fn webhook_source<W: WebhookSource>(mut self) -> Self {
        let factory = Arc::new(WebhookFactory::<W>::default());
        self.sources.insert(W::NAME, (AdapterKind::WebhookSource, factory));
        self
    }

    /// With a producer adapter that fetches. A source of the same name is replaced.
    #[must_use]
    pub fn source<S: Source>(mut self) -> Self {
        self.sources.insert(S::NAME, (AdapterKind::Source, Arc::new(PollingFactory::<S>::default())));
        self
    }

    /// What is registered: sources, then destinations, each by name.
    pub fn names(&self) -> Vec<(AdapterKind, &'static str)> {
        let sources = self.sources.iter().map(|(name, (kind, _factory))| (*kind, *name));
        let destinations = self.destinations.keys().map(|name| (AdapterKind::Destination, *name));
        sources.chain(destinations).collect()
    }

    /// The JSON Schema of an adapter's `settings`; `None` when no such adapter is registered.
    pub fn schema(&self, kind: AdapterKind, name: &str) -> Option<Schema> {
        match kind {
            AdapterKind::Destination => self.destinations.get(name).map(|factory| factory.schema()),
            AdapterKind::WebhookSource | AdapterKind::Source => {
                self.sources.get(name).map(|(_kind, factory)| factory.schema())
            }
        }
    }

    /// Reads a destination's settings as its adapter's type and says what is wrong with them. An external one is not
    /// judged.
    pub fn check_destination(&self, entry: &DestinationEntry, diagnostics: &mut Diagnostics) {
        let Some(adapter) = entry.adapter.as_deref().filter(|_| !entry.external) else { return };
        match self.destination_factory(adapter) {
            Ok(factory) => factory.check(&entry.settings, diagnostics),
            Err(error) => error.report(&entry.node, &entry.settings, diagnostics),
        }
    }

    /// Reads a source's settings as its adapter's type and says what is wrong with them.
    pub fn check_source(&self, entry: &SourceEntry, diagnostics: &mut Diagnostics) {
        match self.source_factory(&entry.adapter) {
            Ok(factory) => factory.check(&entry.settings, diagnostics),
            Err(error) => error.report(&entry.node, &entry.settings, diagnostics),
        }
    }

    /// Makes a destination.
    ///
    /// # Errors
    /// [`MakeError`]; [`MakeError::report`] makes diagnostics of it. An external destination has no adapter:
    /// [`MakeError::External`].
    pub async fn make_destination(
        &self,
        entry: &DestinationEntry,
        context: &Context,
    ) -> Result<Arc<dyn AnyDestination>, MakeError> {
        match entry.adapter.as_deref() {
            Some(adapter) => self.destination_factory(adapter)?.make(&entry.settings, context).await,
            None => Err(MakeError::External),
        }
    }

    /// Makes a source of either kind.
    ///
    /// # Errors
    /// [`MakeError`]; [`MakeError::report`] makes diagnostics of it.
    pub async fn make_source(&self, entry: &SourceEntry, context: &Context) -> Result<MadeSource, MakeError> {
        self.source_factory(&entry.adapter)?.make(&entry.settings, context).await
    }

    fn destination_factory(
        &self,
        adapter: &str,
    ) -> Result<&Arc<dyn Factory<Arc<dyn AnyDestination>>>, MakeError> {
        self.destinations.get(adapter).ok_or_else(|| MakeError::Unknown {
            adapter: adapter.to_owned(),
            known: self.destinations.keys().copied().collect(),
        })
    }

    fn source_factory(&self, adapter: &str) -> Result<&Arc<dyn Factory<MadeSource>>, MakeError> {
        self.sources.get(adapter).map(|(_kind, factory)| factory).ok_or_else(|| MakeError::Unknown {
            adapter: adapter.to_owned(),
            known: self.sources.keys().copied().collect(),
        })
    }
}

impl std::fmt::Debug for Adapters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
