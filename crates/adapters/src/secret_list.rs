//! A setting that takes one secret or several.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use trunkline_sdk::core::config::Secret;

/// One secret or several of them, all active: while one is rotated, the old and the new. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretList(Vec<Secret>);

impl SecretList {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }
}

impl From<Secret> for SecretList {
    fn from(secret: Secret) -> Self {
        Self(vec![secret])
    }
}

impl<'de> Deserialize<'de> for SecretList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMore)
    }
}

struct OneOrMore;

impl<'de> Visitor<'de> for OneOrMore {
    type Value = SecretList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret's reference (${env:NAME} or ${file:PATH}), or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretList, E> {
        Secret::deserialize(StrDeserializer::new(text)).map(SecretList::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<SecretList, A::Error> {
        let secrets: Vec<Secret> = Vec::deserialize(SeqAccessDeserializer::new(items))?;
        if secrets.is_empty() {
            return Err(A::Error::custom("at least one secret must be configured"));
        }
        Ok(SecretList(secrets))
    }
}

impl JsonSchema for SecretList {
    fn schema_name() -> Cow<'static, str> {
        "SecretList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<Secret>();
        json_schema!({ "anyOf": [secret, { "type": "array", "items": secret, "minItems": 1 }] })
    }
}
