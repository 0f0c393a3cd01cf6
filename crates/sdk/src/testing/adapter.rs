//! Adapters from a few lines of settings.

use std::path::Path;
use std::sync::Arc;

use trunkline_core::TypeCatalogue;
use trunkline_core::config::{Diagnostics, Node, parse};

use super::Failure;
use crate::config::{DestinationEntry, DestinationSettings, SourceEntry};
use crate::destination::{Context, Destination};
use crate::registry::{Adapters, AnyDestination, MadeSource, MakeError};
use crate::secrets::Secrets;
use crate::webhook::WebhookSource;

/// What an adapter called `name` is given: the canonical types, and secrets whose relative files start at `folder`.
pub fn context(name: &str, folder: &Path) -> Context {
    Context {
        name: name.to_owned(),
        instance: "test".to_owned(),
        folder: folder.into(),
        secrets: Secrets::in_folder(folder),
        catalogue: Arc::new(TypeCatalogue::canonical()),
    }
}

/// Makes a destination from its settings, written as YAML (or JSON) as in a configuration.
///
/// # Errors
/// As a start would fail: [`MakeError`], with places in `settings`.
pub async fn destination<D: Destination>(settings: &str) -> Result<Arc<dyn AnyDestination>, MakeError> {
    let settings = node(settings)?;
    let entry = DestinationEntry {
        adapter: Some(D::NAME.to_owned()),
        node: settings.clone(),
        settings,
        external: false,
        runtime: DestinationSettings::default(),
    };
    let adapters = Adapters::new().destination::<D>();
    adapters.make_destination(&entry, &context("sample", Path::new("."))).await
}

/// Makes a webhook source from its settings, written as YAML (or JSON) as in a configuration.
///
/// # Errors
/// As a start would fail: [`MakeError`], with places in `settings`.
pub async fn source<W: WebhookSource>(
    settings: &str,
) -> Result<Arc<dyn crate::registry::AnyWebhookSource>, Failure> {
    let settings = node(settings)?;
    let entry = SourceEntry { adapter: W::NAME.to_owned(), node: settings.clone(), settings };
    let adapters = Adapters::new().webhook_source::<W>();
    match adapters.make_source(&entry, &context("sample", Path::new("."))).await? {
        MadeSource::Webhook(source) => Ok(source),
        MadeSource::Polling(_) => Err(format!("`{}` is not called by platforms", W::NAME).into()),
    }
}

fn node(settings: &str) -> Result<Node, MakeError> {
    parse("settings.yaml", settings).map_err(|diagnostic| {
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(diagnostic);
        MakeError::Settings(diagnostics)
    })
}
