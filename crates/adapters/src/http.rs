//! Calls a URL: with the event as a CloudEvent, or with what the subscription's transform made of it.
//!
//! Every call carries `webhook-id`, which is the same over retries and replays, so that a receiver can tell that it has
//! seen the delivery; with `sign` it carries a Standard Webhooks signature too. Secrets are read when they are needed,
//! so a changed file counts at once, and stand in nothing that is kept: not in the recorded request, not in a preview,
//! and not in what the receiver answered.

mod content;
mod examine;
mod headers;
mod scope;
mod settings;
mod signature;
mod template;
#[cfg(test)]
mod tests;
mod url_template;

use std::sync::Arc;

use ::http::{HeaderMap, Method};
use chrono::Utc;
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::Examination;
use trunkline_sdk::http::{Answer, ClientSettings, GuardedClient, Outcome, Request, SendError};
use trunkline_sdk::{
    Context, Delivered, Delivery, DeliveryError, Destination, Preview, Secrets, SetupError, TypeCatalogue,
};
use url::Url;

pub use settings::HttpSettings;

use content::{Format, content};
use headers::Headers;
use scope::Scope;
use signature::Signing;
use url_template::UrlTemplate;

/// How much of an answer is kept, in bytes.
const EXCERPT: usize = 2 * 1024;

/// Calls a URL.
#[derive(Debug)]
pub struct Http {
    client: GuardedClient,
    allow_private: bool,
    method: Method,
    url: UrlTemplate,
    headers: Headers,
    format: Format,
    signing: Option<Signing>,
    secrets: Secrets,
    catalogue: Arc<TypeCatalogue>,
}

/// A request without its secrets.
struct Draft {
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    webhook_id: String,
}

impl Destination for Http {
    const NAME: &'static str = "http";
    type Settings = HttpSettings;

    async fn connect(settings: HttpSettings, context: &Context) -> Result<Self, SetupError> {
        let method = settings.method()?;
        let url = UrlTemplate::compile(&settings.url, settings.allow_private)?;
        let headers = Headers::compile(&settings)?;
        let mut client =
            ClientSettings { allow_private: settings.allow_private, ..ClientSettings::default() };
        if let Some(agent) = settings.user_agent()? {
            client.user_agent = agent;
        }
        Ok(Self {
            client: GuardedClient::new(client).map_err(|error| SetupError::new("", error.to_string()))?,
            allow_private: settings.allow_private,
            method,
            url,
            headers,
            format: settings.format,
            signing: settings.sign.map(Signing::from),
            secrets: context.secrets.clone(),
            catalogue: context.catalogue.clone(),
        })
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        let mut draft = self.draft(delivery)?;
        let requested = format!("{} {}", self.method, draft.url);
        let mut used = Used::default();
        let credentials = self.headers.authorize(&mut draft.headers, &self.secrets, &mut used);
        credentials.map_err(|error| error.requested(&requested))?;
        if let Some(signing) = &self.signing {
            let signed =
                signing.sign(&mut draft.headers, &draft.webhook_id, Utc::now(), &draft.body, &self.secrets);
            signed.map_err(|error| error.requested(&requested))?;
        }
        let request =
            Request { method: self.method.clone(), url: draft.url, headers: draft.headers, body: draft.body };
        match self.client.send(request).await {
            Ok(answer) => judge(&answer, requested, &used),
            Err(error) => Err(self.not_answered(error).requested(requested)),
        }
    }

    fn preview(&self, delivery: &Delivery) -> Result<Preview, DeliveryError> {
        let draft = self.draft(delivery)?;
        let text = |value: &::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut headers: Vec<(String, String)> =
            draft.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        headers.extend(self.headers.references());
        headers.extend(self.signing.iter().flat_map(Signing::references));
        Ok(Preview { target: format!("{} {}", self.method, draft.url), headers, body: draft.body })
    }

    async fn examine(&self, found: &mut Examination<String>) {
        examine::examine(self, found).await;
    }
}

impl Http {
    fn draft(&self, delivery: &Delivery) -> Result<Draft, DeliveryError> {
        let scope = Scope::new(delivery, &self.catalogue);
        let url = self.url.render(&scope)?;
        let mut headers = HeaderMap::new();
        let body = content(delivery, self.format, &self.catalogue, &mut headers)?;
        signature::trace(delivery, &mut headers);
        self.headers.render(&scope, &mut headers)?;
        let webhook_id = signature::webhook_id(delivery);
        signature::insert_id(&mut headers, &webhook_id)?;
        Ok(Draft { url, headers, body, webhook_id })
    }

    /// A refused address is for an operator to mend when the settings name it: the backlog waits. When the event names
    /// it, this delivery will never succeed, and the others are not to wait for it.
    fn not_answered(&self, error: SendError) -> DeliveryError {
        let failure = match &error {
            refused if refused.is_refusal() && self.url.host_is_templated() => {
                DeliveryError::rejected(format!("{refused}; `allow_private: true` would permit it"))
            }
            refused if refused.is_refusal() => {
                DeliveryError::halted(format!("{refused}; `allow_private: true` would permit it"))
            }
            other => DeliveryError::transient(other.to_string()),
        };
        failure.caused_by(error)
    }
}

/// Secret texts that went into a request, so that an answer that repeats them can be cleaned.
#[derive(Default)]
struct Used(Vec<String>);

impl Used {
    fn redact(&self, mut text: String) -> String {
        for secret in &self.0 {
            text = text.replace(secret.as_str(), "***");
        }
        text
    }
}

fn judge(answer: &Answer, requested: String, used: &Used) -> Result<Delivered, DeliveryError> {
    // Cleaned before it is cut, so that no half of a secret stays at the end.
    let mut response = used.redact(String::from_utf8_lossy(&answer.body).into_owned());
    response.truncate(response.floor_char_boundary(EXCERPT));
    let status = answer.status.as_u16();
    let detail = format!("answered {}", answer.status);
    let failure = match Outcome::of(answer.status, &answer.headers, Utc::now()) {
        Outcome::Delivered => return Ok(Delivered { status: Some(status), response, request: requested }),
        Outcome::Gone => DeliveryError::gone(detail),
        Outcome::Failed(class) => DeliveryError::new(class, detail),
    };
    Err(failure.answered(status, response).requested(requested))
}
