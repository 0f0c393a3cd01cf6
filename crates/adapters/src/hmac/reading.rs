//! Where an event's attributes stand in a request.

use std::fmt;

use trunkline_sdk::{SetupError, Value, WebhookRequest};

/// Where each attribute stands.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// Without one, and where the request has none, the id is a hash of the body: a request sent again keeps its id.
    pub(super) id: Option<Place>,
    pub(super) kind: Place,
    pub(super) type_prefix: String,
    pub(super) key: Option<Place>,
    pub(super) time: Option<Place>,
}

/// A place in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `header:NAME`.
    Header(String),
    /// A JSON pointer (RFC 6901) into the body: `/order/id`.
    Pointer(Vec<String>),
    /// The same for every request.
    Fixed(String),
}

impl Place {
    /// Reads `header:NAME` or `/json/pointer`; other text is fixed where `fixed` permits it.
    pub(super) fn parse(text: &str, field: &str, fixed: bool) -> Result<Self, SetupError> {
        if let Some(name) = text.strip_prefix("header:") {
            let name = name.trim().to_ascii_lowercase();
            return match http::HeaderName::from_bytes(name.as_bytes()) {
                Ok(_) => Ok(Place::Header(name)),
                Err(_) => Err(SetupError::new(field, format!("`{name}` is no name of a header"))),
            };
        }
        if let Some(pointer) = text.strip_prefix('/') {
            let steps = pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
            return Ok(Place::Pointer(steps.collect()));
        }
        if fixed && !text.is_empty() {
            return Ok(Place::Fixed(text.to_owned()));
        }
        Err(SetupError::new(field, format!("`{text}` is no place in a request"))
            .hint("write header:NAME, or a JSON pointer such as /order/id"))
    }

    /// What stands there.
    pub(super) fn value(&self, request: &WebhookRequest, body: &Value) -> Option<Value> {
        match self {
            Place::Header(name) => request.header(name).filter(|text| !text.is_empty()).map(Value::from),
            Place::Fixed(text) => Some(Value::from(text.as_str())),
            Place::Pointer(steps) => steps
                .iter()
                .try_fold(body, |value, step| match value {
                    Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                    other => other.get(step),
                })
                .cloned(),
        }
    }

    /// What stands there as text: text that is not empty, or a whole number.
    pub(super) fn text(&self, request: &WebhookRequest, body: &Value) -> Option<String> {
        match self.value(request, body)? {
            Value::Text(text) if !text.is_empty() => Some(text.as_ref().to_owned()),
            Value::Integer(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header(name) => write!(f, "header {name}"),
            Place::Pointer(steps) => write!(f, "body /{}", steps.join("/")),
            Place::Fixed(text) => f.write_str(text),
        }
    }
}
