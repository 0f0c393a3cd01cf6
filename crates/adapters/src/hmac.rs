//! Webhooks of any platform that signs with HMAC: a preset, or a scheme described in the settings; events carry the
//! body as it came.

mod reading;
mod settings;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use trunkline_sdk::core::event::is_json_type;
use trunkline_sdk::core::json;
use trunkline_sdk::webhook::NormalizeError;
use trunkline_sdk::{Context, Event, Normalized, Refusal, SetupError, Value, WebhookRequest, WebhookSource};

pub use settings::HmacSettings;

use crate::verify::Verifier;
use reading::Reading;

/// Webhooks of any platform that signs with HMAC.
#[derive(Debug)]
pub struct Hmac {
    verifier: Verifier,
    reading: Reading,
}

impl WebhookSource for Hmac {
    const NAME: &'static str = "hmac";
    type Settings = HmacSettings;

    async fn connect(settings: HmacSettings, context: &Context) -> Result<Self, SetupError> {
        let scheme = settings.scheme()?;
        let reading = settings.reading()?;
        let verifier = Verifier::new(scheme, settings.secret, settings.tolerance.0, context.secrets.clone());
        Ok(Self { verifier, reading })
    }

    fn verify(&self, request: &WebhookRequest) -> Result<(), Refusal> {
        self.verifier.verify(request)
    }

    fn normalize(&self, request: &WebhookRequest) -> Result<Normalized, NormalizeError> {
        let content_type = request.header("content-type").filter(|text| !text.is_empty());
        let text = match content_type {
            Some(content_type) if !is_json_type(content_type) => None,
            _ if request.body.is_empty() => None,
            _ => Some(
                std::str::from_utf8(&request.body)
                    .map_err(|error| NormalizeError::new("body", error.to_string()))?,
            ),
        };
        let body = match text {
            Some(text) => {
                json::parse(text).map_err(|error| NormalizeError::new("body", error.to_string()))?
            }
            None => Value::Null,
        };
        let id = self.reading.id.as_ref().and_then(|place| place.text(request, &body)).unwrap_or_else(|| {
            let hash = digest::digest(&digest::SHA256, &request.body);
            format!("sha256:{}", hex::encode(hash.as_ref()))
        });
        let kind = self.reading.kind.text(request, &body).ok_or_else(|| {
            NormalizeError::new(self.reading.kind.to_string(), "missing: it is the event's type")
        })?;
        let mut builder = Event::builder(id, &request.source, format!("{}{kind}", self.reading.type_prefix));
        if let Some(time) =
            self.reading.time.as_ref().and_then(|place| place.value(request, &body)).and_then(time)
        {
            builder = builder.time(time);
        }
        if let Some(key) = self.reading.key.as_ref().and_then(|place| place.text(request, &body)) {
            builder = builder.key(key);
        }
        let builder = match (text, content_type) {
            (Some(text), _) => builder.json(text),
            (None, Some(content_type)) if !request.body.is_empty() => {
                builder.binary(content_type, request.body.clone())
            }
            (None, _) => builder,
        };
        let event = builder.build().map_err(|error| NormalizeError::new("event", error.to_string()))?;
        Ok(Normalized { events: vec![event], ..Normalized::default() })
    }
}

/// A time as platforms write it: RFC 3339 text, seconds since 1970, or milliseconds (from the year 5138 on, seconds
/// would have as many digits).
fn time(value: Value) -> Option<DateTime<Utc>> {
    let number = match &value {
        Value::Timestamp(time) => return Some(*time),
        Value::Integer(number) => Some(*number),
        Value::Text(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(time) => return Some(time.to_utc()),
            Err(_other) => text.parse().ok(),
        },
        _ => None,
    }?;
    if number < 100_000_000_000 {
        DateTime::from_timestamp_secs(number)
    } else {
        DateTime::from_timestamp_millis(number)
    }
}
