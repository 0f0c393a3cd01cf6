//! Settings as people write them: durations, sizes and rates.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Why text is not the setting; repeats it and shows how one looks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// No duration.
    #[error("\"{0}\" is not a duration; write for example 30s, 5m, 7d")]
    Duration(String),
    /// No size.
    #[error("\"{0}\" is not a size; write for example 512KiB, 1MiB, or a number of bytes")]
    Size(String),
    /// No rate.
    #[error("\"{0}\" is not a rate; write for example 10/s, 600/m")]
    Rate(String),
}

/// A duration, written `30s`, `5m`, `1h 30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DurationSetting(pub Duration);

/// A number of bytes, written as such or `512KiB`, `1MiB`, `2GiB` (`kB`, `MB`, `GB` for powers of ten).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SizeSetting(pub u64);

/// At most `count` in `per`, written `10/s`, `600/m`, `100/15s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// In what time; longer than none.
    pub per: Duration,
}

const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

impl FromStr for DurationSetting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        humantime::parse_duration(text).map(Self).map_err(|_cause| SettingError::Duration(text.to_owned()))
    }
}

impl FromStr for SizeSetting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
        let (digits, factor) = unit.unwrap_or((text, 1));
        let number: Option<u64> = digits.trim_end().parse().ok();
        let size = number.and_then(|number| number.checked_mul(factor));
        size.map(Self).ok_or_else(|| SettingError::Size(text.to_owned()))
    }
}

impl FromStr for Rate {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let parts = text.split_once('/').map(|(count, per)| (count.trim(), per.trim()));
        let rate = parts.and_then(|(count, per)| {
            let one = if per.starts_with(|first: char| first.is_ascii_alphabetic()) { "1" } else { "" };
            let per = humantime::parse_duration(&format!("{one}{per}")).ok()?;
            Some(Self { count: count.parse().ok()?, per })
        });
        let possible = |rate: &Self| rate.count > 0 && !rate.per.is_zero();
        rate.filter(possible).ok_or_else(|| SettingError::Rate(text.to_owned()))
    }
}

impl Deref for DurationSetting {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl Deref for SizeSetting {
    type Target = u64;

    fn deref(&self) -> &u64 {
        &self.0
    }
}

impl From<Duration> for DurationSetting {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<u64> for SizeSetting {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for DurationSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl fmt::Display for SizeSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS[..3].iter().rev().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match binary {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = humantime::format_duration(self.per).to_string();
        let unit = per.strip_prefix('1').filter(|unit| unit.bytes().all(|byte| byte.is_ascii_alphabetic()));
        write!(f, "{}/{}", self.count, unit.unwrap_or(&per))
    }
}

/// What the settings of this file have in common.
trait Written: FromStr<Err = SettingError> + fmt::Display {
    const EXPECTING: &'static str;
    const PATTERN: &'static str;

    /// The setting as a bare number, where it may be one.
    fn from_number(_number: u64) -> Option<Self> {
        None
    }
}

impl Written for DurationSetting {
    const EXPECTING: &'static str = "a duration such as 30s, 5m or 7d";
    const PATTERN: &'static str = r"^\s*(\d+(\.\d+)?\s*[a-zA-Zµ]+\s*)+$|^0$";
}

impl Written for SizeSetting {
    const EXPECTING: &'static str = "a size such as 512KiB, 1MiB, or a number of bytes";
    const PATTERN: &'static str = r"^\d+\s*([KMG]i?B|kB|B)?$";

    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl Written for Rate {
    const EXPECTING: &'static str = "a rate such as 10/s or 600/m";
    const PATTERN: &'static str = r"^\s*[1-9]\d*\s*/.+$";
}

struct WrittenVisitor<T>(PhantomData<T>);

impl<T: Written> Visitor<'_> for WrittenVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTING)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::from_number(number).ok_or_else(|| E::invalid_type(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let unsigned = u64::try_from(number).ok().and_then(T::from_number);
        unsigned.ok_or_else(|| E::invalid_type(Unexpected::Signed(number), &self))
    }
}

fn schema<T: Written>() -> Schema {
    let types: &[&str] = if T::from_number(0).is_some() { &["string", "integer"] } else { &["string"] };
    json_schema!({ "type": types, "pattern": T::PATTERN, "minimum": 0, "description": T::EXPECTING })
}

impl Serialize for DurationSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DurationSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor(PhantomData))
    }
}

impl JsonSchema for DurationSetting {
    fn schema_name() -> Cow<'static, str> {
        "DurationSetting".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::<Self>()
    }
}

impl Serialize for SizeSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SizeSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor(PhantomData))
    }
}

impl JsonSchema for SizeSetting {
    fn schema_name() -> Cow<'static, str> {
        "SizeSetting".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::<Self>()
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor(PhantomData))
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::<Self>()
    }
}
