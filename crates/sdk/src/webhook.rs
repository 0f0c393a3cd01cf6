//! Producer adapters that platforms call: authenticate over raw bytes, then normalize, purely.

use std::future::Future;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use thiserror::Error;
use trunkline_core::Event;
use trunkline_core::dead_letter::RawRequest;

use crate::destination::{Context, SetupError};

/// A platform that calls `POST /hooks/{source}`.
pub trait WebhookSource: Sized + Send + Sync + 'static {
    /// The adapter's name in configurations (`adapter: NAME`).
    const NAME: &'static str;
    /// The adapter's own settings, under `settings:`.
    type Settings: DeserializeOwned + JsonSchema + Send;

    /// Makes the source from its settings. At least one secret must be configured: a source without one is refused.
    fn connect(
        settings: Self::Settings,
        context: &Context,
    ) -> impl Future<Output = Result<Self, SetupError>> + Send;

    /// Authenticates a request over its raw bytes, in constant time, before anything of it is parsed.
    ///
    /// # Errors
    /// [`Refusal`]: the gateway answers 401 and the request goes no further.
    fn verify(&self, request: &WebhookRequest) -> Result<(), Refusal>;

    /// Turns an authenticated request into events: a pure function. Each event's `source` is `request.source`; its id
    /// is the platform's own delivery id, else its object id with its version or update time.
    ///
    /// # Errors
    /// [`NormalizeError`]: the gateway writes a dead letter with the raw request and still answers 2xx.
    fn normalize(&self, request: &WebhookRequest) -> Result<Normalized, NormalizeError>;
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct WebhookRequest {
    /// The configured source's name.
    pub source: String,
    /// HTTP method.
    pub method: http::Method,
    /// The URL as the platform called it (scheme and host from the configuration or the request), for schemes that sign it.
    pub url: String,
    /// Headers.
    pub headers: http::HeaderMap,
    /// The raw body.
    pub body: Bytes,
    /// When it came in.
    pub received: DateTime<Utc>,
}

impl WebhookRequest {
    /// A header's value, when it occurs exactly once and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// A webhook kept as a dead letter, to be normalized again. Its authentication was checked when it came in, and what
    /// that needed was not kept: it can't be verified again.
    ///
    /// # Errors
    /// What is kept is no HTTP request.
    pub fn from_kept(kept: &RawRequest) -> Result<Self, http::Error> {
        let mut request = http::Request::builder().method(kept.method.as_str());
        for (name, value) in &kept.headers {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(())?.into_parts();
        Ok(Self {
            source: kept.source.clone(),
            method: parts.method,
            url: kept.path.clone(),
            headers: parts.headers,
            body: kept.body.clone(),
            received: kept.received,
        })
    }
}

/// What a request was turned into.
#[derive(Debug, Clone, Default)]
pub struct Normalized {
    /// None for a platform's ping.
    pub events: Vec<Event>,
    /// What the platform wants to read in the answer; empty for most.
    pub answer: Bytes,
}

/// Why a request was not authenticated. Its text goes to the log; the caller reads only "401".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("header `{0}` is missing, repeated or not text")]
    MissingHeader(String),
    #[error("header `{0}` is not in the scheme's form")]
    MalformedHeader(String),
    #[error("no active secret makes this signature")]
    WrongSignature,
    #[error("the signature's time is {0} s away from now, more than the tolerance")]
    OutsideTolerance(i64),
    #[error("no secret can be read: {0}")]
    NoSecret(String),
}

/// Why an authenticated request could not be turned into events.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct NormalizeError {
    /// Where in the request.
    pub field: String,
    /// What is wrong there.
    pub problem: String,
}

impl NormalizeError {
    /// About one place in the request.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}
