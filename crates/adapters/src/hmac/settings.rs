//! How the settings of an `hmac` source describe a scheme.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_sdk::SetupError;
use trunkline_sdk::core::config::DurationSetting;

use super::reading::{Place, Reading};
use crate::secret_list::SecretList;
use crate::verify::{
    Encoding, GITHUB, Hash, KeyForm, Part, STANDARD_WEBHOOKS, Scheme, SignatureHeader, TOLERANCE, Text,
    Timestamp, TimestampPlace, Unit,
};

/// Settings of an `hmac` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HmacSettings {
    /// The secret. Several while one is rotated.
    pub(super) secret: SecretList,
    /// A known scheme. Either this or `signature`.
    #[serde(default)]
    scheme: Option<Preset>,
    /// The scheme in its parts. Either this or `scheme`.
    #[serde(default)]
    signature: Option<SignatureSettings>,
    /// How far a signed time may be from now, before and after. Default 5 min; counts only where a time is signed.
    #[serde(default = "default_tolerance")]
    pub(super) tolerance: DurationSetting,
    /// Where the delivery's id stands: `header:NAME` or a JSON pointer. Without one it is a hash of the body.
    #[serde(default)]
    id: Option<String>,
    /// Where the event's type stands: `header:NAME`, a JSON pointer, or fixed text.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// Put before the type, such as `github.`.
    #[serde(default)]
    type_prefix: Option<String>,
    /// Where the ordering key stands: `header:NAME` or a JSON pointer.
    #[serde(default)]
    partition_key: Option<String>,
    /// Where the event's time stands: `header:NAME` or a JSON pointer, to RFC 3339 text or a number.
    #[serde(default)]
    time: Option<String>,
}

/// Schemes known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    /// Standard Webhooks 1.0.
    StandardWebhooks,
    /// GitHub.
    Github,
}

/// A scheme in its parts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignatureSettings {
    /// The header the signature stands in.
    header: String,
    /// What separates several signatures in that header. Without it the header is one signature.
    #[serde(default)]
    separator: Option<char>,
    /// What stands before a signature, such as `sha256=` or `v1,`.
    #[serde(default)]
    prefix: String,
    /// The hash under the HMAC. Default `sha256`.
    #[serde(default)]
    algorithm: Hash,
    /// How the signature is written. Default `hex`.
    #[serde(default)]
    encoding: Encoding,
    /// What of the secret's text is the key. Default `raw`.
    #[serde(default)]
    key: KeyForm,
    /// What is signed: text with `{body}`, `{timestamp}`, `{method}`, `{url}` and `{header:NAME}`. Default `{body}`.
    #[serde(default = "default_signed")]
    signed: String,
    /// The time that is signed, where one is.
    #[serde(default)]
    timestamp: Option<TimestampSettings>,
}

/// Where a signed time stands: in a header of its own, or in the item of the signature's header with a prefix.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TimestampSettings {
    /// The header it stands in.
    #[serde(default)]
    header: Option<String>,
    /// The prefix of its item in the signature's header, such as `t=`.
    #[serde(default)]
    item: Option<String>,
    /// Its form. Default `seconds`.
    #[serde(default)]
    unit: Unit,
}

fn default_tolerance() -> DurationSetting {
    DurationSetting(TOLERANCE)
}

fn default_signed() -> String {
    "{body}".to_owned()
}

impl HmacSettings {
    /// The scheme that the settings describe.
    pub(super) fn scheme(&self) -> Result<Scheme, SetupError> {
        match (self.scheme, &self.signature) {
            (Some(Preset::StandardWebhooks), None) => Ok(STANDARD_WEBHOOKS),
            (Some(Preset::Github), None) => Ok(GITHUB),
            (None, Some(signature)) => signature.scheme(),
            (Some(_), Some(_)) => {
                Err(SetupError::new("signature", "`scheme` and `signature` exclude each other")
                    .hint("leave one of them out"))
            }
            (None, None) => Err(SetupError::new("", "neither `scheme` nor `signature` is set")
                .hint("set `scheme: standard-webhooks`, `scheme: github`, or describe it under `signature`")),
        }
    }

    /// Where the event's attributes stand; a preset knows it where the settings don't say.
    pub(super) fn reading(&self) -> Result<Reading, SetupError> {
        let (id, kind, prefix, time) = match self.scheme {
            Some(Preset::Github) => {
                (Some("header:x-github-delivery"), Some("header:x-github-event"), "github.", None)
            }
            Some(Preset::StandardWebhooks) => {
                (Some("header:webhook-id"), Some("/type"), "", Some("/timestamp"))
            }
            None => (None, None, "", None),
        };
        let place = |own: &Option<String>, preset: Option<&str>, field: &str| {
            own.as_deref().or(preset).map(|text| Place::parse(text, field, field == "type")).transpose()
        };
        Ok(Reading {
            id: place(&self.id, id, "id")?,
            kind: place(&self.kind, kind, "type")?.ok_or_else(|| {
                SetupError::new("type", "not set")
                    .hint("write header:NAME, a JSON pointer, or the type itself")
            })?,
            type_prefix: self.type_prefix.clone().unwrap_or_else(|| prefix.to_owned()),
            key: place(&self.partition_key, None, "partition_key")?,
            time: place(&self.time, time, "time")?,
        })
    }
}

impl SignatureSettings {
    fn scheme(&self) -> Result<Scheme, SetupError> {
        let signed = parts(&self.signed)?;
        let timestamp = self.timestamp.as_ref().map(TimestampSettings::timestamp).transpose()?;
        if !signed.contains(&Part::Body) {
            return Err(SetupError::new("signature.signed", "the body is not signed").hint("add {body}"));
        }
        if signed.contains(&Part::Timestamp) != timestamp.is_some() {
            let problem = "`{timestamp}` in `signed` and the setting `timestamp` need each other";
            return Err(SetupError::new("signature.timestamp", problem)
                .hint("a time that is not signed proves nothing, and a signed one must be found"));
        }
        Ok(Scheme {
            signed: Cow::Owned(signed),
            hash: self.algorithm,
            key: self.key,
            encoding: self.encoding,
            signature: SignatureHeader {
                header: header(&self.header, "signature.header")?,
                separator: self.separator,
                prefix: Text::from(self.prefix.clone()),
            },
            timestamp,
        })
    }
}

impl TimestampSettings {
    fn timestamp(&self) -> Result<Timestamp, SetupError> {
        let place = match (&self.header, &self.item) {
            (Some(name), None) => TimestampPlace::Header(header(name, "signature.timestamp.header")?),
            (None, Some(prefix)) if !prefix.is_empty() => TimestampPlace::Item(Text::from(prefix.clone())),
            _ => return Err(SetupError::new("signature.timestamp", "set either `header` or `item`")),
        };
        Ok(Timestamp { place, unit: self.unit })
    }
}

fn header(name: &str, field: &str) -> Result<Text, SetupError> {
    match http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Ok(Text::from(name.as_str().to_owned())),
        Err(_) => Err(SetupError::new(field, format!("`{name}` is no name of a header"))),
    }
}

/// Cuts `{timestamp}.{body}` into its parts.
fn parts(signed: &str) -> Result<Vec<Part>, SetupError> {
    let wrong = |problem: String| {
        SetupError::new("signature.signed", problem)
            .hint("use {body}, {timestamp}, {method}, {url}, {header:NAME} and text between them")
    };
    let mut parts = Vec::new();
    let mut rest = signed;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            parts.push(Part::Literal(Text::from(before.to_owned())));
        }
        let (name, after) = after.split_once('}').ok_or_else(|| wrong("`{` without `}`".to_owned()))?;
        parts.push(match name {
            "body" => Part::Body,
            "timestamp" => Part::Timestamp,
            "method" => Part::Method,
            "url" => Part::Url,
            other => match other.strip_prefix("header:") {
                Some(name) => Part::Header(header(name, "signature.signed")?),
                None => return Err(wrong(format!("`{{{other}}}` is not known"))),
            },
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(Text::from(rest.to_owned())));
    }
    Ok(parts)
}
