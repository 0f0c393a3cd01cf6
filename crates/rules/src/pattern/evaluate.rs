//! Asking a pattern about an event.
//!
//! An answer is yes, no, or open: open when it depends on data that can't be looked into. A conjunction with one "no"
//! is "no", a disjunction with one "yes" is "yes", whatever is open beside it. So the answer does not depend on the
//! order in which the parts are asked.

use std::borrow::Cow;
use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use trunkline_core::Value;
use trunkline_core::config::Place;
use trunkline_core::view::{EventView, ViewError};

use super::operator::{Operator, one_of};
use super::{Alternatives, Field, Fields, Mismatch, Want};

/// Why an event does not match.
#[derive(Debug, Clone, PartialEq)]
pub enum Unmatched {
    /// The first predicate that failed.
    Mismatch(Mismatch),
    /// The answer depends on data that can't be looked into.
    View(ViewError),
}

/// A "no" or an open answer, described only when somebody asks.
#[derive(Debug)]
pub(super) enum Miss<'a> {
    Field { path: &'a str, place: &'a Place, operators: &'a [Operator], found: Found<'a> },
    Alternatives { place: &'a Place, count: usize },
    Open(ViewError),
}

#[derive(Debug)]
pub(super) enum Found<'a> {
    Nothing,
    Text(&'a str),
    Value(Cow<'a, Value>),
}

impl Miss<'_> {
    /// Whether the answer is a "no"; the error when it is open.
    pub(super) fn settled(self) -> Result<(), ViewError> {
        match self {
            Miss::Open(error) => Err(error),
            Miss::Field { .. } | Miss::Alternatives { .. } => Ok(()),
        }
    }

    pub(super) fn describe(self, view: &EventView<'_>) -> Unmatched {
        match self {
            Miss::Open(error) => Unmatched::View(error),
            Miss::Alternatives { place, count } => Unmatched::Mismatch(Mismatch {
                path: "$or".to_owned(),
                place: place.clone(),
                expected: format!("one of {count} alternatives"),
                found: format!("none in event `{}`", view.event().id()),
            }),
            Miss::Field { path, place, operators, found } => {
                let mut expected = String::new();
                // Writing to a String does not fail.
                one_of(operators, &mut expected).unwrap_or_default();
                Unmatched::Mismatch(Mismatch {
                    path: path.to_owned(),
                    place: place.clone(),
                    expected,
                    found: found.describe(),
                })
            }
        }
    }
}

impl Fields {
    pub(super) fn evaluate_root<'a>(&'a self, view: &'a EventView<'_>) -> Result<(), Miss<'a>> {
        let mut open = None;
        for field in &self.fields {
            keep_open(field.evaluate_top(view), &mut open)?;
        }
        for alternatives in &self.alternatives {
            keep_open(alternatives.evaluate(|fields| fields.evaluate_root(view)), &mut open)?;
        }
        open.map_or(Ok(()), Err)
    }

    /// Below the root there is nothing open: the data was decoded.
    fn evaluate<'a>(&'a self, value: Option<&'a Value>) -> Result<(), Miss<'a>> {
        if let Some(Value::Array(elements)) = value
            && !elements.is_empty()
        {
            return any(elements.iter().map(|element| self.evaluate(Some(element))));
        }
        for field in &self.fields {
            field.evaluate(value.and_then(|value| value.get(&field.name)))?;
        }
        for alternatives in &self.alternatives {
            alternatives.evaluate(|fields| fields.evaluate(value))?;
        }
        Ok(())
    }
}

impl Alternatives {
    fn evaluate<'a>(&'a self, ask: impl Fn(&'a Fields) -> Result<(), Miss<'a>>) -> Result<(), Miss<'a>> {
        let mut open = None;
        for fields in &self.patterns {
            match ask(fields) {
                Ok(()) => return Ok(()),
                Err(miss @ Miss::Open(_)) => open = Some(miss),
                Err(_) => {}
            }
        }
        Err(open.unwrap_or(Miss::Alternatives { place: &self.place, count: self.patterns.len() }))
    }
}

impl Field {
    /// A field at the event's root. The attributes every event has are compared without building a value.
    fn evaluate_top<'a>(&'a self, view: &'a EventView<'_>) -> Result<(), Miss<'a>> {
        let event = view.event();
        match &*self.name {
            "data" => match view.data() {
                Ok(data) => self.evaluate(data),
                Err(error) => Err(Miss::Open(error.clone())),
            },
            "id" => self.evaluate_text(event.id()),
            "source" => self.evaluate_text(event.source()),
            "type" => self.evaluate_text(event.kind()),
            "ext" => match &self.want {
                Want::Below(fields) => fields.evaluate_extensions(view),
                Want::One { .. } => self.evaluate(None),
            },
            name => self.evaluate_attribute(name, view),
        }
    }

    fn evaluate_attribute<'a>(&'a self, name: &str, view: &'a EventView<'_>) -> Result<(), Miss<'a>> {
        match view.event().text_attribute(name) {
            Some(text) => self.evaluate_text(text),
            None => self.evaluate_with(view.attribute(name).map(Cow::Owned)),
        }
    }

    fn evaluate_text<'a>(&'a self, text: &'a str) -> Result<(), Miss<'a>> {
        match &self.want {
            // An attribute has nothing below it.
            Want::Below(fields) => fields.evaluate(None),
            Want::One { operators, .. } if operators.iter().any(|operator| operator.accepts_text(text)) => {
                Ok(())
            }
            Want::One { place, operators } => {
                Err(Miss::Field { path: &self.path, place, operators, found: Found::Text(text) })
            }
        }
    }

    fn evaluate<'a>(&'a self, value: Option<&'a Value>) -> Result<(), Miss<'a>> {
        match &self.want {
            Want::Below(fields) => fields.evaluate(value),
            Want::One { .. } => self.evaluate_with(value.map(Cow::Borrowed)),
        }
    }

    fn evaluate_with<'a>(&'a self, value: Option<Cow<'a, Value>>) -> Result<(), Miss<'a>> {
        match &self.want {
            Want::Below(fields) => fields.evaluate(None),
            Want::One { operators, .. }
                if operators.iter().any(|operator| accepts(operator, value.as_deref())) =>
            {
                Ok(())
            }
            Want::One { place, operators } => {
                let found = value.map_or(Found::Nothing, Found::Value);
                Err(Miss::Field { path: &self.path, place, operators, found })
            }
        }
    }
}

impl Fields {
    fn evaluate_extensions<'a>(&'a self, view: &'a EventView<'_>) -> Result<(), Miss<'a>> {
        for field in &self.fields {
            // `subject` and `time` are attributes of their own, not extensions.
            if matches!(&*field.name, "subject" | "time") {
                field.evaluate(None)?;
            } else {
                field.evaluate_attribute(&field.name, view)?;
            }
        }
        for alternatives in &self.alternatives {
            alternatives.evaluate(|fields| fields.evaluate_extensions(view))?;
        }
        Ok(())
    }
}

/// Whether a value, or one element of an array however deep, satisfies an operator.
fn accepts(operator: &Operator, value: Option<&Value>) -> bool {
    match (operator, value) {
        (Operator::Exists(wanted), value) => *wanted == value.is_some(),
        (_, None) => false,
        (_, Some(Value::Array(elements))) => elements.iter().any(|element| accepts(operator, Some(element))),
        (_, Some(value)) => operator.accepts(value),
    }
}

/// Passes a "no" on; keeps an open answer for later, as a "no" may still come.
fn keep_open<'a>(answer: Result<(), Miss<'a>>, open: &mut Option<Miss<'a>>) -> Result<(), Miss<'a>> {
    match answer {
        Err(miss @ Miss::Open(_)) => *open = Some(miss),
        Err(miss) => return Err(miss),
        Ok(()) => {}
    }
    Ok(())
}

/// The first yes, else the first "no".
fn any<'a>(answers: impl Iterator<Item = Result<(), Miss<'a>>>) -> Result<(), Miss<'a>> {
    let mut first = None;
    for answer in answers {
        match answer {
            Ok(()) => return Ok(()),
            Err(miss) => {
                first.get_or_insert(miss);
            }
        }
    }
    first.map_or(Ok(()), Err)
}

impl Found<'_> {
    fn describe(&self) -> String {
        match self {
            Found::Nothing => "nothing".to_owned(),
            Found::Text(text) => quoted(text),
            Found::Value(value) => describe(value),
        }
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::Float(float) => float.to_string(),
        Value::Text(text) => quoted(text),
        Value::Timestamp(time) => quoted(&timestamp_text(time)),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(elements) if elements.is_empty() => "an empty array".to_owned(),
        Value::Array(elements) => {
            const SHOWN: usize = 4;
            let mut text = String::from("[");
            for (index, element) in elements.iter().take(SHOWN).enumerate() {
                let shown =
                    if let Value::Array(_) = element { "an array".to_owned() } else { describe(element) };
                // Writing to a String does not fail.
                write!(text, "{}{shown}", if index == 0 { "" } else { ", " }).unwrap_or_default();
            }
            text.push_str(if elements.len() > SHOWN { ", ..]" } else { "]" });
            text
        }
    }
}

/// Text in quotes, control characters escaped, cut where it is long.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}..", &text[..end]),
    }
}

/// The text that text operators see: text itself, or a timestamp's RFC 3339 form.
pub(crate) fn leaf_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Timestamp(time) => Some(Cow::Owned(timestamp_text(time))),
        _ => None,
    }
}

/// A timestamp in RFC 3339 form, UTC, with as many digits of the second as it has.
fn timestamp_text(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
