//! Binary mode: attributes in headers, the body is the data.

use bytes::Bytes;

use super::BindingError;
use crate::event::{Attribute, Data, Event, Text, is_json_type};
use crate::timestamp;

const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// Collects the attributes of an event in binary mode.
#[derive(Debug, Clone)]
pub struct BinaryMode {
    prefix: &'static str,
    required: [Option<String>; REQUIRED.len()],
    optional: Vec<(String, String)>,
}

impl BinaryMode {
    /// For a protocol whose headers of attributes begin with `prefix`: `ce-` in HTTP, `ce_` in Kafka.
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, required: [const { None }; REQUIRED.len()], optional: Vec::new() }
    }

    /// Whether there are no attributes yet.
    pub fn is_empty(&self) -> bool {
        self.required.iter().all(Option::is_none) && self.optional.is_empty()
    }

    /// Adds an attribute: its name without the prefix, its value decoded as the protocol demands.
    ///
    /// # Errors
    /// [`BindingError::Header`] when it stands there already.
    pub fn add(&mut self, attribute: &str, value: String) -> Result<(), BindingError> {
        let repeated = match REQUIRED.iter().position(|required| *required == attribute) {
            Some(index) => self.required[index].replace(value).is_some(),
            None => {
                let repeated = self.optional.iter().any(|(name, _)| name == attribute);
                self.optional.push((attribute.to_owned(), value));
                repeated
            }
        };
        if repeated { Err(self.problem(attribute, "occurs more than once")) } else { Ok(()) }
    }

    /// The event with these attributes. JSON and text stay text, so that subscriptions can look into them; other data is
    /// binary, and an empty body is no data. `content_type` becomes `datacontenttype`.
    ///
    /// # Errors
    /// [`BindingError`] names the header.
    pub fn event(self, content_type: Option<&str>, body: Bytes) -> Result<Event, BindingError> {
        if self.required.iter().all(Option::is_none) {
            return Err(BindingError::NoEvent { prefix: self.prefix });
        }
        let prefix = self.prefix;
        let [version, id, source, kind] = self.required;
        let missing = |name: &str| BindingError::Missing(format!("{prefix}{name}"));
        if version.ok_or_else(|| missing("specversion"))? != "1.0" {
            return Err(problem(prefix, "specversion", "is not 1.0"));
        }
        let (id, source) = (id.ok_or_else(|| missing("id"))?, source.ok_or_else(|| missing("source"))?);
        let mut event = Event::builder(id, source, kind.ok_or_else(|| missing("type"))?);
        for (name, value) in self.optional {
            let value = match name.as_str() {
                "time" => timestamp::from_rfc3339(&value)
                    .map(Attribute::Timestamp)
                    .ok_or_else(|| problem(prefix, &name, "is no RFC 3339 time"))?,
                "dataschema" => Attribute::Uri(value.into()),
                _ => Attribute::Text(value.into()),
            };
            event = event.attribute(name, value);
        }
        if let Some(content_type) = content_type {
            event = event.attribute("datacontenttype", Attribute::Text(content_type.into()));
        }
        Ok(event.data(data(content_type, body)?).build()?)
    }

    fn problem(&self, attribute: &str, problem: &'static str) -> BindingError {
        self::problem(self.prefix, attribute, problem)
    }
}

fn data(content_type: Option<&str>, body: Bytes) -> Result<Data, BindingError> {
    if body.is_empty() {
        return Ok(Data::None);
    }
    match content_type {
        Some(content_type) if is_json_type(content_type) || is_text_type(content_type) => {
            Text::new(body).map(Data::Text).map_err(BindingError::NotText)
        }
        _ => Ok(Data::Binary(body)),
    }
}

fn is_text_type(content_type: &str) -> bool {
    content_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
}

fn problem(prefix: &str, attribute: &str, problem: &'static str) -> BindingError {
    BindingError::Header { header: format!("{prefix}{attribute}"), problem }
}
