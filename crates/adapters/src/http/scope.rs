//! What a template's paths lead to.

use std::borrow::Cow;
use std::cell::OnceCell;

use chrono::SecondsFormat;
use trunkline_sdk::core::event::is_json_type;
use trunkline_sdk::core::{EventView, json};
use trunkline_sdk::{Delivery, DeliveryError, TypeCatalogue, Value};

use super::template::Path;

/// One delivery as templates see it: the event's view and, below `.body`, the transform's body.
pub(super) struct Scope<'a> {
    delivery: &'a Delivery,
    view: EventView<'a>,
    body: OnceCell<Value>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(delivery: &'a Delivery, catalogue: &'a TypeCatalogue) -> Self {
        Self { delivery, view: EventView::new(&delivery.event, catalogue), body: OnceCell::new() }
    }

    /// What stands at a path, as text.
    ///
    /// # Errors
    /// Rejected, naming the path, when nothing stands there or something that is no plain value: the same event will
    /// never have it.
    pub(super) fn text(&self, path: &Path) -> Result<String, DeliveryError> {
        let missing = |problem: &str| DeliveryError::rejected(format!("template value `{path}` {problem}"));
        let value = match path.root.as_str() {
            "data" => match self.view.data() {
                Ok(data) => data.and_then(|data| path.walk(data)).map(Cow::Borrowed),
                Err(error) => {
                    return Err(missing(&format!("can't be read: {error}")).caused_by(error.clone()));
                }
            },
            "body" => path.walk(self.body()).map(Cow::Borrowed),
            "ext" => path.walk(&Value::Object(self.view.extensions())).cloned().map(Cow::Owned),
            attribute => self.view.attribute(attribute).map(Cow::Owned),
        };
        match value.as_deref() {
            None | Some(Value::Null) => Err(missing("is missing")),
            Some(Value::Text(text)) if text.is_empty() => Err(missing("is empty")),
            Some(Value::Text(text)) => Ok(text.as_ref().to_owned()),
            Some(Value::Integer(number)) => Ok(number.to_string()),
            Some(Value::Float(number)) => Ok(number.to_string()),
            Some(Value::Boolean(truth)) => Ok(truth.to_string()),
            Some(Value::Timestamp(time)) => Ok(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Some(other @ (Value::Bytes(_) | Value::Array(_) | Value::Object(_))) => {
                Err(missing(&format!("is {}, not a plain value", other.kind())))
            }
        }
    }

    fn body(&self) -> &Value {
        self.body.get_or_init(|| {
            let Some(body) = self.delivery.body.as_ref().filter(|body| is_json_type(&body.content_type))
            else {
                return Value::Null;
            };
            let parsed = std::str::from_utf8(&body.bytes).ok().map(json::parse);
            parsed.and_then(Result::ok).unwrap_or(Value::Null)
        })
    }
}
