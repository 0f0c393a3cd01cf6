//! Consumer adapters: a destination takes deliveries and says what became of them.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use thiserror::Error;
use trunkline_core::{Delivery, Examination, FailureClass, TypeCatalogue};

use crate::secrets::Secrets;

/// A platform that events are delivered to.
///
/// Its contract: [`Destination::deliver`] makes exactly one attempt. It never sleeps, retries, settles or writes a dead
/// letter, and it keeps no delivery after it returned: the runtime does all that, alike for every adapter.
pub trait Destination: Sized + Send + Sync + 'static {
    /// The adapter's name in configurations (`adapter: NAME`).
    const NAME: &'static str;
    /// The adapter's own settings, under `settings:`. Derive `Deserialize` with `deny_unknown_fields`, and
    /// `JsonSchema`; secrets are [`trunkline_core::config::Secret`]s.
    type Settings: DeserializeOwned + JsonSchema + Send;

    /// Makes the destination from its settings. Called at start and when the configuration changes. Everything that
    /// can be wrong with the settings is wrong here; a platform that can't be reached now is not an error.
    fn connect(
        settings: Self::Settings,
        context: &Context,
    ) -> impl Future<Output = Result<Self, SetupError>> + Send;

    /// Attempts one delivery, once. May be called concurrently, up to the destination's `concurrency`. The runtime
    /// ends it when the destination's `timeout` has passed (a transient failure), so it must be cancel-safe.
    ///
    /// # Errors
    /// [`DeliveryError`] with the class that says what must be done.
    fn deliver(&self, delivery: &Delivery) -> impl Future<Output = Result<Delivered, DeliveryError>> + Send;

    /// What [`Destination::deliver`] would send, for `trunkline try` and the console; sends nothing, shows no secret.
    ///
    /// # Errors
    /// What `deliver` would fail with before it sends anything, for example a template without its value.
    fn preview(&self, delivery: &Delivery) -> Result<Preview, DeliveryError> {
        let (content_type, body) = match &delivery.body {
            Some(body) => (body.content_type.clone(), body.bytes.clone()),
            None => ("application/cloudevents+protobuf".to_owned(), delivery.event.encoded().clone()),
        };
        Ok(Preview {
            target: Self::NAME.to_owned(),
            headers: vec![("content-type".to_owned(), content_type)],
            body,
        })
    }

    /// Looks, for `trunkline doctor`, whether deliveries could succeed: does the platform's name resolve, does somebody
    /// answer, is its certificate good, and does it take the credentials, where it has a call that changes nothing there. It
    /// delivers nothing. Findings name a setting as [`SetupError::field`] does. The caller bounds the time, and keeps what was
    /// found until then; what can't be looked at is said by [`Examination::unseen`].
    fn examine(&self, found: &mut Examination<String>) -> impl Future<Output = ()> + Send {
        found.unseen(format!("the platform: the adapter `{}` has no way to look at it", Self::NAME));
        std::future::ready(())
    }
}

/// What an adapter is given besides its settings.
#[derive(Debug, Clone)]
pub struct Context {
    /// The configured name of the source or destination.
    pub name: String,
    /// The process's name.
    pub instance: String,
    /// The folder of the configuration, where relative paths in settings start.
    pub folder: Arc<Path>,
    /// Reads secrets behind their references; watches those that were read.
    pub secrets: Secrets,
    /// The types that events' data may have.
    pub catalogue: Arc<TypeCatalogue>,
}

/// A successful attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The platform's status code, where it has one.
    pub status: Option<u16>,
    /// The beginning of its answer.
    pub response: String,
    /// The request as sent (for example method and URL), secrets removed.
    pub request: String,
}

/// What would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Method and URL, or a path; secrets replaced by their reference.
    pub target: String,
    /// Headers, secrets replaced by their reference.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: bytes::Bytes,
}

/// Why an adapter can't be made from its settings.
#[derive(Debug, Error)]
#[error("{}{}{problem}", .field, if .field.is_empty() { "" } else { ": " })]
pub struct SetupError {
    /// The setting at fault, as a path below `settings` (`url`, `headers.x-api-key`); empty for the whole.
    pub field: String,
    /// What is wrong, without secrets.
    pub problem: String,
    /// What to do.
    pub hint: Option<String>,
}

impl SetupError {
    /// About one setting.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), hint: None }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A failed attempt: what must be done is in `class`, what happened in the rest. Nothing in it is a secret.
#[derive(Debug, Error)]
#[error("{detail}")]
pub struct DeliveryError {
    /// What must be done.
    pub class: FailureClass,
    /// The platform says it is gone for good (410): the destination is disabled until an operator resumes it.
    pub gone: bool,
    /// What happened, in words.
    pub detail: String,
    /// The platform's status code, where it has one.
    pub status: Option<u16>,
    /// The beginning of its answer.
    pub response: String,
    /// The request as sent, secrets removed.
    pub request: String,
    /// What it came from.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl DeliveryError {
    /// A failure of any class.
    pub fn new(class: FailureClass, detail: impl Into<String>) -> Self {
        Self {
            class,
            gone: false,
            detail: detail.into(),
            status: None,
            response: String::new(),
            request: String::new(),
            cause: None,
        }
    }

    /// It may succeed later.
    pub fn transient(detail: impl Into<String>) -> Self {
        Self::new(FailureClass::Transient, detail)
    }

    /// The platform asks for patience.
    pub fn throttled(retry_after: Duration, detail: impl Into<String>) -> Self {
        Self::new(FailureClass::Throttled { retry_after }, detail)
    }

    /// It will never succeed as it is.
    pub fn rejected(detail: impl Into<String>) -> Self {
        Self::new(FailureClass::Rejected, detail)
    }

    /// The destination takes nothing until something changes (credentials refused).
    pub fn halted(detail: impl Into<String>) -> Self {
        Self::new(FailureClass::Halted, detail)
    }

    /// The platform says the endpoint is gone for good.
    pub fn gone(detail: impl Into<String>) -> Self {
        Self { gone: true, ..Self::halted(detail) }
    }

    /// Adds what the platform answered.
    #[must_use]
    pub fn answered(mut self, status: u16, response: impl Into<String>) -> Self {
        self.status = Some(status);
        self.response = response.into();
        self
    }

    /// Adds the request as sent, secrets removed.
    #[must_use]
    pub fn requested(mut self, request: impl Into<String>) -> Self {
        self.request = request.into();
        self
    }

    /// Adds what it came from.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}
