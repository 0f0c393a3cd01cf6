//! What is sent: the transform's body, or the event in one of the forms of the CloudEvents HTTP binding.

use ::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::EventView;
use trunkline_sdk::core::event::Attribute;
use trunkline_sdk::http::header_value;
use trunkline_sdk::{Data, Delivery, DeliveryError, Event, TypeCatalogue};

/// How an event without a transform is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// Attributes in `ce-` headers, the data as the body. Protobuf data becomes JSON, as transforms see it.
    #[default]
    CloudeventsBinary,
    /// One JSON object with attributes and data (`application/cloudevents+json`).
    CloudeventsStructured,
}

/// The body, with the headers that describe it added to `headers`.
///
/// # Errors
/// Rejected when the event's data can't be read or an attribute does not fit into a header.
pub(super) fn content(
    delivery: &Delivery,
    format: Format,
    catalogue: &TypeCatalogue,
    headers: &mut HeaderMap,
) -> Result<Bytes, DeliveryError> {
    match (&delivery.body, format) {
        (Some(body), _) => {
            insert(headers, header::CONTENT_TYPE, &body.content_type)?;
            Ok(body.bytes.clone())
        }
        (None, Format::CloudeventsStructured) => {
            let json = delivery.event.to_json(catalogue).map_err(unreadable)?;
            let structured = HeaderValue::from_static("application/cloudevents+json; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, structured);
            Ok(json.into())
        }
        (None, Format::CloudeventsBinary) => binary(&delivery.event, catalogue, headers),
    }
}

fn binary(event: &Event, catalogue: &TypeCatalogue, headers: &mut HeaderMap) -> Result<Bytes, DeliveryError> {
    let required =
        [("specversion", "1.0"), ("id", event.id()), ("source", event.source()), ("type", event.kind())];
    for (name, value) in required {
        attribute(headers, name, value)?;
    }
    for (name, value) in event.attributes().filter(|(name, _)| *name != "datacontenttype") {
        attribute(headers, name, &text(value))?;
    }
    let (content_type, body) = match event.data() {
        Data::None => return Ok(Bytes::new()),
        Data::Text(text) => (event.content_type().unwrap_or("application/json"), text.bytes().clone()),
        Data::Binary(bytes) => (event.content_type().unwrap_or("application/octet-stream"), bytes.clone()),
        Data::Proto { .. } => {
            let view = EventView::new(event, catalogue);
            let data = view.data().map_err(|error| unreadable(error.clone()))?;
            let json = serde_json::to_vec(&data)
                .map_err(|error| DeliveryError::rejected("the event's data is no JSON").caused_by(error))?;
            ("application/json", json.into())
        }
    };
    insert(headers, header::CONTENT_TYPE, content_type)?;
    Ok(body)
}

fn attribute(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), DeliveryError> {
    let name = HeaderName::from_bytes(format!("ce-{name}").as_bytes()).map_err(|error| {
        DeliveryError::rejected(format!("attribute `{name}` is no header's name")).caused_by(error)
    })?;
    insert(headers, name, &percent_encode(value))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), DeliveryError> {
    let value = header_value(value).map_err(|problem| {
        DeliveryError::rejected(format!("header `{name}`: {problem}")).caused_by(problem)
    })?;
    headers.insert(name, value);
    Ok(())
}

/// CloudEvents HTTP binding 1.0.2, section 3.1.3.2: space, `"`, `%` and everything outside printable ASCII as `%XX`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => encoded.push_str(&format!("%{byte:02X}")),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn text(attribute: &Attribute) -> String {
    match attribute {
        Attribute::Boolean(truth) => truth.to_string(),
        Attribute::Integer(number) => number.to_string(),
        Attribute::Text(text) | Attribute::Uri(text) | Attribute::UriReference(text) => {
            text.as_str().to_owned()
        }
        Attribute::Binary(bytes) => STANDARD.encode(bytes),
        Attribute::Timestamp(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    }
}

fn unreadable(error: trunkline_sdk::core::view::ViewError) -> DeliveryError {
    DeliveryError::rejected(format!("the event's data can't be read: {error}")).caused_by(error)
}
