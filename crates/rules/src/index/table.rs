//! Tables from the values of events to what is filed under them.

use std::collections::HashMap;
use std::sync::Arc;

use trunkline_core::Value;

use super::hooks::{AttributeValue, Hook};
use crate::pattern::{Number, Scalar, leaf_text};

/// By exact value. Looking up borrows from the event.
#[derive(Debug)]
pub(super) struct Keyed<T> {
    texts: HashMap<Arc<str>, T>,
    others: HashMap<Key, T>,
}

/// A value that is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Null,
    Boolean(bool),
    Number { whole: bool, bits: u64 },
}

/// By exact value, or by what text begins with.
#[derive(Debug)]
pub(super) struct Filed<T> {
    exact: Keyed<T>,
    prefixes: HashMap<Arc<[u8]>, T>,
    /// The lengths of the prefixes, ascending, each once.
    lengths: Vec<usize>,
}

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self { texts: HashMap::new(), others: HashMap::new() }
    }
}

impl<T> Default for Filed<T> {
    fn default() -> Self {
        Self { exact: Keyed::default(), prefixes: HashMap::new(), lengths: Vec::new() }
    }
}

impl<T: Default> Keyed<T> {
    /// What is filed under a hook's value; a prefix is none and gets a place that no lookup finds.
    pub(super) fn entry(&mut self, hook: &Hook) -> &mut T {
        match hook {
            Hook::Exact(Scalar::Text(text)) | Hook::Prefix(text) => {
                self.texts.entry(text.clone()).or_default()
            }
            Hook::Exact(Scalar::Null) => self.others.entry(Key::Null).or_default(),
            Hook::Exact(Scalar::Boolean(truth)) => self.others.entry(Key::Boolean(*truth)).or_default(),
            Hook::Exact(Scalar::Number(number)) => self.others.entry(Key::number(*number)).or_default(),
        }
    }
}

impl<T> Keyed<T> {
    pub(super) fn get(&self, value: &Value) -> Option<&T> {
        let key = match value {
            Value::Null => Key::Null,
            Value::Boolean(truth) => Key::Boolean(*truth),
            Value::Integer(_) | Value::Float(_) => Key::number(Scalar::number(value)?),
            _ => return self.texts.get(&*leaf_text(value)?),
        };
        self.others.get(&key)
    }
}

impl<T: Default> Filed<T> {
    pub(super) fn entry(&mut self, hook: &Hook) -> &mut T {
        let Hook::Prefix(prefix) = hook else { return self.exact.entry(hook) };
        if let Err(at) = self.lengths.binary_search(&prefix.len()) {
            self.lengths.insert(at, prefix.len());
        }
        self.prefixes.entry(prefix.as_bytes().into()).or_default()
    }
}

impl<T> Filed<T> {
    pub(super) fn look_up(&self, value: AttributeValue<'_>, mut found: impl FnMut(&T)) {
        let text = match &value {
            AttributeValue::Text(text) => text,
            AttributeValue::Other(value) => {
                self.exact.get(value).into_iter().for_each(&mut found);
                match leaf_text(value) {
                    Some(text) => return self.look_up_prefixes(text.as_bytes(), found),
                    None => return,
                }
            }
        };
        self.exact.texts.get(*text).into_iter().for_each(&mut found);
        self.look_up_prefixes(text.as_bytes(), found);
    }

    fn look_up_prefixes(&self, text: &[u8], found: impl FnMut(&T)) {
        let prefixes = self.lengths.iter().map_while(|length| text.get(..*length));
        prefixes.filter_map(|prefix| self.prefixes.get(prefix)).for_each(found);
    }
}

impl Key {
    fn number(number: Number) -> Self {
        let (whole, bits) = number.bits();
        Key::Number { whole, bits }
    }
}
