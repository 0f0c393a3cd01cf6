//! Reading a platform's JSON object field by field, so that what nobody read stays.
//!
//! Values are kept as the text the platform wrote until somebody asks for them, so no number is rounded on the way.
//! Ids, amounts and times must be in a form that is understood, else the request does not normalize. Any other field
//! in an unexpected form is left where it is: under the platform's own name, in [`Leftovers`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use prost_types::Timestamp;
use serde_json::value::RawValue;
use trunkline_sdk::core::json;
use trunkline_sdk::proto::types::v1::PlatformFields;
use trunkline_sdk::webhook::NormalizeError;

/// What nobody read of an object and of those inside it: JSON text by dotted name.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(RefCell<BTreeMap<String, String>>);

impl Leftovers {
    /// For `platform_fields`; `None` when everything was read.
    pub(crate) fn into_fields(self, platform: &str) -> Option<PlatformFields> {
        let fields_json = self.0.into_inner();
        (!fields_json.is_empty()).then(|| PlatformFields { platform: platform.to_owned(), fields_json })
    }
}

/// One JSON object. A field is read once; what says something and was not read when this is dropped goes to the
/// leftovers.
#[derive(Debug)]
pub(crate) struct Fields<'a, 'l> {
    path: String,
    members: BTreeMap<String, &'a RawValue>,
    leftovers: &'l Leftovers,
}

/// Checks a request's body by the rules for JSON on the bus, and keeps its text.
pub(crate) fn document(body: &[u8]) -> Result<&RawValue, NormalizeError> {
    let text = std::str::from_utf8(body).map_err(|error| NormalizeError::new("body", error.to_string()))?;
    json::check(text).map_err(|error| NormalizeError::new("body", error.to_string()))?;
    serde_json::from_str(text).map_err(|error| NormalizeError::new("body", error.to_string()))
}

impl<'a, 'l> Fields<'a, 'l> {
    /// Opens a whole document.
    pub(crate) fn open(raw: &'a RawValue, leftovers: &'l Leftovers) -> Result<Self, NormalizeError> {
        Self::nested(raw, String::new(), leftovers)
            .ok_or_else(|| NormalizeError::new("body", "not a JSON object"))
    }

    fn nested(raw: &'a RawValue, path: String, leftovers: &'l Leftovers) -> Option<Self> {
        let members = serde_json::from_str(raw.get()).ok()?;
        Some(Self { path, members, leftovers })
    }

    /// Where a field stands in the body, for errors.
    fn place(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// An error about one field.
    pub(crate) fn wrong(&self, name: &str, problem: impl Into<String>) -> NormalizeError {
        NormalizeError::new(format!("body.{}", self.place(name)), problem)
    }

    /// A field's JSON text without reading it; `None` when it is absent or null.
    pub(crate) fn peek(&self, name: &str) -> Option<&'a RawValue> {
        self.members.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// A field's JSON text.
    pub(crate) fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        let raw = self.peek(name);
        self.members.remove(name);
        raw
    }

    /// Reads a field when it has the form of `T`, and leaves it otherwise.
    pub(crate) fn read<T: serde::Deserialize<'a>>(&mut self, name: &str) -> Option<T> {
        let value = serde_json::from_str(self.peek(name)?.get()).ok()?;
        self.members.remove(name);
        Some(value)
    }

    /// Text; empty text counts as absent.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.read::<String>(name).filter(|text| !text.is_empty())
    }

    /// Text that stays to be read again.
    pub(crate) fn peek_text(&self, name: &str) -> Option<String> {
        serde_json::from_str::<String>(self.peek(name)?.get()).ok().filter(|text| !text.is_empty())
    }

    /// Whether the platform says that there is none, instead of saying nothing.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|raw| raw.get() == "null")
    }

    /// One of the platform's words; an unknown one is left.
    pub(crate) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let word: String = serde_json::from_str(self.peek(name)?.get()).ok()?;
        let meaning = words.iter().find(|(known, _)| *known == word)?.1;
        self.members.remove(name);
        Some(meaning)
    }

    /// An id: text, or a whole number as text.
    pub(crate) fn id(&mut self, name: &str) -> Result<Option<String>, NormalizeError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = raw.get();
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Some(text.to_owned()));
        }
        match serde_json::from_str::<String>(text) {
            Ok(id) => Ok(Some(id).filter(|id| !id.is_empty())),
            Err(_other) => Err(self.wrong(name, "neither text nor a whole number")),
        }
    }

    /// A decimal number as the platform wrote it: text or a number.
    pub(crate) fn decimal(&mut self, name: &str) -> Result<Option<String>, NormalizeError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        match raw.get().as_bytes().first() {
            Some(b'"') => self.unquoted(name, raw).map(Some),
            Some(b'-' | b'0'..=b'9') => Ok(Some(raw.get().to_owned())),
            _ => Err(self.wrong(name, "neither text nor a number")),
        }
    }

    /// An RFC 3339 time.
    pub(crate) fn time(&mut self, name: &str) -> Result<Option<DateTime<Utc>>, NormalizeError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = self.unquoted(name, raw)?;
        let time =
            DateTime::parse_from_rfc3339(&text).map_err(|error| self.wrong(name, error.to_string()))?;
        self.in_range(name, time.to_utc()).map(Some)
    }

    /// A time in seconds since 1970.
    pub(crate) fn unix_time(&mut self, name: &str) -> Result<Option<DateTime<Utc>>, NormalizeError> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let seconds = raw.get().parse().ok().and_then(DateTime::from_timestamp_secs);
        let time = seconds.ok_or_else(|| self.wrong(name, "not a time in seconds"))?;
        self.in_range(name, time).map(Some)
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str) -> Option<Fields<'a, 'l>> {
        let object = Self::nested(self.peek(name)?, self.place(name), self.leftovers)?;
        self.members.remove(name);
        Some(object)
    }

    /// The objects of a list. A list of anything else is left.
    pub(crate) fn objects(&mut self, name: &str) -> Vec<Fields<'a, 'l>> {
        let place = self.place(name);
        let Some(items) = self.peek(name).and_then(items) else { return Vec::new() };
        let objects: Option<Vec<_>> = (0..)
            .zip(items)
            .map(|(index, raw): (usize, _)| Self::nested(raw, format!("{place}.{index}"), self.leftovers))
            .collect();
        match objects {
            Some(objects) => {
                self.members.remove(name);
                objects
            }
            None => Vec::new(),
        }
    }

    /// The items of a list, for reading each with leftovers of its own.
    pub(crate) fn items(&mut self, name: &str) -> Vec<&'a RawValue> {
        let Some(items) = self.peek(name).and_then(items) else { return Vec::new() };
        self.members.remove(name);
        items
    }

    /// A list of `{ name, value }` as a map. A list with anything else in it, or with a name twice, is left.
    pub(crate) fn named_values(&mut self, name: &str) -> BTreeMap<String, String> {
        #[derive(serde::Deserialize)]
        struct Pair {
            name: String,
            value: String,
        }
        let Some(raw) = self.peek(name) else { return BTreeMap::new() };
        let Ok(pairs) = serde_json::from_str::<Vec<Pair>>(raw.get()) else { return BTreeMap::new() };
        let count = pairs.len();
        let map: BTreeMap<_, _> = pairs.into_iter().map(|pair| (pair.name, pair.value)).collect();
        if map.len() != count {
            return BTreeMap::new();
        }
        self.members.remove(name);
        map
    }

    /// Forgets a field that says what another already said.
    pub(crate) fn drop_repeated(&mut self, name: &str, said: Option<&str>) {
        if said.is_some() && self.peek_text(name).as_deref() == said {
            self.members.remove(name);
        }
    }

    /// Puts back what an object did not understand after all.
    pub(crate) fn leave(&mut self, name: &str, raw: &'a RawValue) {
        self.members.insert(name.to_owned(), raw);
    }

    fn unquoted(&self, name: &str, raw: &RawValue) -> Result<String, NormalizeError> {
        serde_json::from_str(raw.get()).map_err(|_other| self.wrong(name, "not text"))
    }

    fn in_range(&self, name: &str, time: DateTime<Utc>) -> Result<DateTime<Utc>, NormalizeError> {
        if (1..=9999).contains(&time.year()) {
            Ok(time)
        } else {
            Err(self.wrong(name, "outside the years 1 to 9999"))
        }
    }
}

impl Drop for Fields<'_, '_> {
    fn drop(&mut self) {
        // Null and what is empty say no more than a field that is not there.
        let says_something = |raw: &RawValue| !matches!(raw.get(), "null" | "\"\"" | "[]" | "{}");
        let unread = std::mem::take(&mut self.members).into_iter().filter(|(_, raw)| says_something(raw));
        let mut leftovers = self.leftovers.0.borrow_mut();
        leftovers.extend(unread.map(|(name, raw)| (self.place(&name), raw.get().to_owned())));
    }
}

fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// A time in a canonical message.
pub(crate) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    // Less than two thousand million always fits.
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: time.timestamp() + i64::from(nanos / 1_000_000_000), nanos: nanos % 1_000_000_000 }
}
