//! What a recording says and what an event holds, so that the two can be compared without knowing every message.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// Everything an event's data holds, platform fields included.
#[derive(Debug, Default)]
pub(super) struct Facts {
    texts: BTreeSet<String>,
    instants: BTreeSet<DateTime<Utc>>,
    money: BTreeSet<(String, i64)>,
}

/// Something in a recording that must not be lost, with its path for messages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Id(String, String),
    Amount(String, String),
    Currency(String, String),
    Time(String, DateTime<Utc>, String),
}

impl Facts {
    pub(super) fn of(data: &Value) -> Self {
        let mut facts = Self::default();
        facts.gather("", data);
        facts
    }

    fn gather(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                self.texts.insert(number.to_string());
            }
            Value::String(text) => {
                if let Ok(time) = DateTime::parse_from_rfc3339(text) {
                    self.instants.insert(time.to_utc());
                }
                self.texts.insert(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|item| self.gather(name, item)),
            Value::Object(members) => {
                if let (Some(currency), Some(units)) = (members.get("currency"), members.get("minor_units")) {
                    let units = units.as_i64().expect("an amount is a whole number of minor units");
                    self.money.insert((currency.as_str().unwrap().to_owned(), units));
                }
                for (key, value) in members {
                    match value {
                        // What has no canonical field is kept as JSON text under the platform's name for it.
                        Value::String(text) if name == "fields_json" => {
                            self.gather(key, &serde_json::from_str(text).unwrap());
                        }
                        value => self.gather(key, value),
                    }
                }
            }
        }
    }

    /// Whether a fact is there, in its canonical form or as the platform wrote it.
    pub(super) fn hold(&self, fact: &Fact) -> bool {
        match fact {
            // A global id may be kept as the number it ends with.
            Fact::Id(_, id) => {
                let number = id.starts_with("gid://").then(|| id.rsplit('/').next()).flatten();
                self.texts.contains(id) || number.is_some_and(|number| self.texts.contains(number))
            }
            Fact::Amount(_, text) => {
                let units: i64 = text.replace('.', "").parse().unwrap();
                let same = |(_, held): &(String, i64)| *held == units;
                self.texts.contains(text) || self.money.iter().any(same)
            }
            Fact::Currency(_, code) => {
                let same = |held: &str| held.eq_ignore_ascii_case(code);
                self.texts.iter().any(|text| same(text))
                    || self.money.iter().any(|(currency, _)| same(currency))
            }
            Fact::Time(_, time, text) => self.instants.contains(time) || self.texts.contains(text),
        }
    }
}

/// Every id, amount, currency and time in a recording.
pub(super) fn said(recording: &Value) -> Vec<Fact> {
    let mut facts = Vec::new();
    walk("", recording, &mut facts);
    facts
}

fn walk(path: &str, value: &Value, facts: &mut Vec<Fact>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(path, item, facts)),
        Value::Object(members) => {
            for (key, value) in members {
                let path = format!("{path}.{key}");
                match leaf(&path, key, value, members) {
                    Some(fact) => facts.push(fact),
                    None => walk(&path, value, facts),
                }
            }
        }
        _ => {}
    }
}

fn leaf(path: &str, key: &str, value: &Value, siblings: &serde_json::Map<String, Value>) -> Option<Fact> {
    let text = match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let path = path.to_owned();
    if key == "id" {
        // Recorded numbers may be rounded; the exact one stands in the global id beside it.
        let global = siblings.get("admin_graphql_api_id").and_then(Value::as_str);
        let exact = global.and_then(|global| global.rsplit('/').next()).map(str::to_owned);
        return Some(Fact::Id(path, exact.unwrap_or(text)));
    }
    if let Some(object) = key.strip_suffix("_id") {
        // The same holds for the number of an object that stands beside it.
        let global = siblings.get(object).and_then(|object| object["admin_graphql_api_id"].as_str());
        let exact = global.and_then(|global| global.rsplit('/').next()).map(str::to_owned);
        return Some(Fact::Id(path, exact.unwrap_or(text)));
    }
    if ["currency", "currency_code", "presentment_currency"].contains(&key) {
        return Some(Fact::Currency(path, text));
    }
    let is_amount = value.is_string()
        && text.split_once('.').is_some_and(|(whole, cents)| {
            cents.len() == 2
                && whole.trim_start_matches('-').bytes().chain(cents.bytes()).all(|b| b.is_ascii_digit())
        });
    if is_amount {
        return Some(Fact::Amount(path, text));
    }
    if value.is_string() {
        return DateTime::parse_from_rfc3339(&text).ok().map(|time| Fact::Time(path, time.to_utc(), text));
    }
    if key == "created" && value.is_i64() {
        let time = DateTime::from_timestamp(value.as_i64()?, 0)?;
        return Some(Fact::Time(path, time, text));
    }
    None
}
