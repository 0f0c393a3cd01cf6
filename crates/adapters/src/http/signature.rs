//! What lets a receiver know a delivery again, trust it, and place it in a trace.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use trunkline_sdk::http::header_value;
use trunkline_sdk::service::TraceContext;
use trunkline_sdk::{Delivery, DeliveryError, Secrets};

use super::settings::Sign;
use crate::secret_list::SecretList;
use crate::verify::{Encoding, Hash, KeyForm, Mac};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Signs by Standard Webhooks 1.0.
#[derive(Debug)]
pub(super) struct Signing {
    secrets: SecretList,
}

impl From<Sign> for Signing {
    fn from(settings: Sign) -> Self {
        Self { secrets: settings.standard_webhooks }
    }
}

impl Signing {
    /// Adds time and signature; each secret signs, so that a receiver may still have the old one.
    ///
    /// # Errors
    /// Halted, naming the reference, when a secret can't be read or is none of the scheme.
    pub(super) fn sign(
        &self,
        headers: &mut HeaderMap,
        id: &str,
        now: DateTime<Utc>,
        body: &[u8],
        secrets: &Secrets,
    ) -> Result<(), DeliveryError> {
        let timestamp = now.timestamp().to_string();
        let signed: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        let mut signatures = Vec::new();
        for secret in self.secrets.iter() {
            let text = secrets
                .read(secret)
                .map_err(|error| DeliveryError::halted(error.to_string()).caused_by(error))?;
            let mac = Mac::new(Hash::Sha256, KeyForm::Base64, &text).ok_or_else(|| {
                DeliveryError::halted(format!("`{}` is no secret of Standard Webhooks", secret.reference()))
            })?;
            signatures.push(format!("v1,{}", mac.sign(&signed, Encoding::Base64)));
        }
        insert(headers, TIMESTAMP, &timestamp)?;
        insert(headers, SIGNATURE, &signatures.join(" "))
    }

    /// For previews: which secrets would sign.
    pub(super) fn references(&self) -> impl Iterator<Item = (String, String)> {
        self.secrets.iter().map(|secret| (SIGNATURE.to_string(), format!("v1,{}", secret.reference())))
    }
}

/// The delivery's id, the same over retries and replays and another for every destination and subscription.
pub(super) fn webhook_id(delivery: &Delivery) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let parts = [delivery.event.source(), delivery.event.id(), &delivery.destination, &delivery.subscription];
    for part in parts {
        // With its length, so that no two lists of parts run together to the same bytes.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    format!("msg_{}", hex::encode(&context.finish().as_ref()[..16]))
}

pub(super) fn insert_id(headers: &mut HeaderMap, id: &str) -> Result<(), DeliveryError> {
    insert(headers, ID, id)
}

/// Passes the delivery's trace on: the one at work, else the one that the event was published with.
pub(super) fn trace(delivery: &Delivery, headers: &mut HeaderMap) {
    let Some(trace) = TraceContext::current().or_else(|| TraceContext::of_event(&delivery.event)) else {
        return;
    };
    for (name, value) in trace.record_headers() {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) {
            headers.insert(name, value);
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), DeliveryError> {
    let value: HeaderValue = header_value(value).map_err(|problem| {
        DeliveryError::rejected(format!("header `{name}`: {problem}")).caused_by(problem)
    })?;
    headers.insert(name, value);
    Ok(())
}
