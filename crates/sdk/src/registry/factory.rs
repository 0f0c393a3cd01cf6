//! Typed factories: settings are read as the adapter's own type, then the adapter is made.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use trunkline_core::config::{Diagnostics, Node};

use super::{AnyDestination, MadeSource, MakeError};
use crate::destination::{Context, Destination};
use crate::source::Source;
use crate::webhook::WebhookSource;

/// Makes adapters of one type from `settings:` nodes.
#[async_trait]
pub(super) trait Factory<Made>: Send + Sync {
    fn schema(&self) -> Schema;
    fn check(&self, settings: &Node, diagnostics: &mut Diagnostics);
    async fn make(&self, settings: &Node, context: &Context) -> Result<Made, MakeError>;
}

/// Of `fn() -> T`, so that a factory is `Send` and `Sync` whatever the adapter is.
type Of<T> = PhantomData<fn() -> T>;

pub(super) struct DestinationFactory<D>(Of<D>);
pub(super) struct WebhookFactory<W>(Of<W>);
pub(super) struct PollingFactory<S>(Of<S>);

#[async_trait]
impl<D: Destination> Factory<Arc<dyn AnyDestination>> for DestinationFactory<D> {
    fn schema(&self) -> Schema {
        schema_of::<D::Settings>()
    }

    fn check(&self, settings: &Node, diagnostics: &mut Diagnostics) {
        settings.read::<D::Settings>(diagnostics);
    }

    async fn make(&self, settings: &Node, context: &Context) -> Result<Arc<dyn AnyDestination>, MakeError> {
        let settings = read::<D::Settings>(settings)?;
        Ok(Arc::new(D::connect(settings, context).await.map_err(MakeError::Setup)?))
    }
}

#[async_trait]
impl<W: WebhookSource> Factory<MadeSource> for WebhookFactory<W> {
    fn schema(&self) -> Schema {
        schema_of::<W::Settings>()
    }

    fn check(&self, settings: &Node, diagnostics: &mut Diagnostics) {
        settings.read::<W::Settings>(diagnostics);
    }

    async fn make(&self, settings: &Node, context: &Context) -> Result<MadeSource, MakeError> {
        let settings = read::<W::Settings>(settings)?;
        let source = W::connect(settings, context).await.map_err(MakeError::Setup)?;
        Ok(MadeSource::Webhook(Arc::new(source)))
    }
}

#[async_trait]
impl<S: Source> Factory<MadeSource> for PollingFactory<S> {
    fn schema(&self) -> Schema {
        schema_of::<S::Settings>()
    }

    fn check(&self, settings: &Node, diagnostics: &mut Diagnostics) {
        settings.read::<S::Settings>(diagnostics);
    }

    async fn make(&self, settings: &Node, context: &Context) -> Result<MadeSource, MakeError> {
        let settings = read::<S::Settings>(settings)?;
        let source = S::connect(settings, context).await.map_err(MakeError::Setup)?;
        Ok(MadeSource::Polling(Box::new(source)))
    }
}

fn read<T: DeserializeOwned>(settings: &Node) -> Result<T, MakeError> {
    let mut diagnostics = Diagnostics::new();
    settings.read(&mut diagnostics).ok_or(MakeError::Settings(diagnostics))
}

/// Subschemas stand inline, so that an adapter's schema can be put anywhere in the configuration's.
fn schema_of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    SchemaGenerator::new(settings).into_root_schema_for::<T>()
}

impl<T> Default for DestinationFactory<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for WebhookFactory<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for PollingFactory<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
