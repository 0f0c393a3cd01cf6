//! Binary mode: attributes in `ce-` headers, the body is the data.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use trunkline_sdk::core::event::{Attribute, Text, is_json_type};
use trunkline_sdk::{Data, Event};

use crate::problem::Problem;

pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Event, Problem> {
    let mut required = [None, None, None, None];
    let names = ["id", "source", "type", "specversion"];
    let mut optional = Vec::new();
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        let value = value(headers, attribute)?;
        match names.iter().position(|required| *required == attribute) {
            Some(index) => required[index] = Some(value),
            None => optional.push((attribute.to_owned(), value)),
        }
    }
    let [id, source, kind, version] = required;
    if id.is_none() && source.is_none() && kind.is_none() && version.is_none() {
        return Err(Problem::unsupported(
            "No CloudEvents here: there are no ce- headers (binary mode) and the content type is no application/cloudevents form.",
        ));
    }
    let missing = |name: &str| Problem::malformed(format!("Header `ce-{name}` is missing."));
    let version = version.ok_or_else(|| missing("specversion"))?;
    if version != "1.0" {
        let version = version.escape_debug();
        return Err(Problem::malformed(format!("Header `ce-specversion` is `{version}`, not 1.0.")));
    }
    let (id, source) = (id.ok_or_else(|| missing("id"))?, source.ok_or_else(|| missing("source"))?);
    let mut event = Event::builder(id, source, kind.ok_or_else(|| missing("type"))?);
    for (name, value) in optional {
        event = event.attribute(name.clone(), attribute(&name, value)?);
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(content_type) = content_type {
        event = event.attribute("datacontenttype", Attribute::Text(content_type.to_owned().into()));
    }
    let event = event.data(data(content_type, body)?);
    event.build().map_err(|error| Problem::malformed(format!("The event can't be read: {error}.")))
}

/// JSON and text stay text, so that subscriptions can look into them; everything else is binary.
fn data(content_type: Option<&str>, body: Bytes) -> Result<Data, Problem> {
    if body.is_empty() {
        return Ok(Data::None);
    }
    match content_type {
        Some(content_type) if is_json_type(content_type) || content_type.starts_with("text/") => {
            let text = Text::new(body);
            text.map(Data::Text)
                .map_err(|error| Problem::malformed(format!("The body is not UTF-8: {error}.")))
        }
        _ => Ok(Data::Binary(body)),
    }
}

/// A `ce-` header's value, percent-decoded as the binding says.
fn value(headers: &HeaderMap, attribute: &str) -> Result<String, Problem> {
    let malformed = |problem: &str| Problem::malformed(format!("Header `ce-{attribute}` {problem}."));
    let mut values = headers.get_all(format!("ce-{attribute}")).iter();
    let value = values.next().ok_or_else(|| malformed("is missing"))?;
    if values.next().is_some() {
        return Err(malformed("occurs more than once"));
    }
    let value = value.as_bytes();
    let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    let decoded = percent_encoding::percent_decode(value).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| malformed("is not percent-encoded UTF-8"))
}

fn attribute(name: &str, value: String) -> Result<Attribute, Problem> {
    match name {
        "time" => {
            let time = chrono::DateTime::parse_from_rfc3339(&value).map_err(|error| {
                Problem::malformed(format!("Header `ce-time` is no RFC 3339 time: {error}."))
            })?;
            Ok(Attribute::Timestamp(time.to_utc()))
        }
        "dataschema" => Ok(Attribute::Uri(value.into())),
        _ => Ok(Attribute::Text(value.into())),
    }
}
