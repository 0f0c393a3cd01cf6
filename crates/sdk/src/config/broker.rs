//! `broker`: where records are kept; an address, or a map with it and what else the engine is told.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use trunkline_broker::Ensure;
use trunkline_core::config::{Diagnostics, Node, NodeValue, Secret, SecretReference, codes};

use super::unset::secret_reference;
use crate::secrets::{SecretError, Secrets};

mod address;
mod judge;

pub use address::{EngineKind, kafka_servers};

/// `broker:`.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerSettings {
    /// `embedded:DIR`, `kafka://HOST:PORT,..`, `amqp://..`, `amqps://..`, or a reference to such an address.
    pub url: String,
    /// Whether channels are made where they are missing. Default yes.
    pub ensure: Ensure,
    /// How many copies of each record Kafka keeps; the broker's own default when `None`.
    pub replication: Option<u16>,
    /// Properties for Kafka's client library, by name.
    pub properties: BTreeMap<String, Property>,
    /// Encrypted connections; for Kafka only with this, for RabbitMQ the address says whether.
    pub tls: Option<TlsFiles>,
    /// Where RabbitMQ's management plugin is asked, by `trunkline doctor` only.
    pub management: Option<String>,
}

/// A property's value: text, or a reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// As written; numbers and truth values in their usual form.
    Text(String),
    /// Read when the broker is opened.
    Secret(Secret),
}

/// Files for encrypted connections, in PEM; relative ones start at the configuration's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsFiles {
    /// The certificates of the authorities that the broker's is signed by; those of the system when left out.
    pub ca: Option<String>,
    /// This client's certificate, where the broker asks for one; needs `key`.
    pub certificate: Option<String>,
    /// The private key of `certificate`.
    pub key: Option<String>,
}

/// The map as it stands in the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBroker {
    /// Where records are kept: embedded:DIR, kafka://HOST:PORT or amqp://HOST/VHOST.
    url: String,
    /// Whether missing channels are made (`create`, the default) or must be there (`verify`).
    #[serde(default)]
    ensure: RawEnsure,
    /// How many copies of each record Kafka keeps. Default: what the broker is set to.
    replication: Option<u16>,
    /// Properties for Kafka's client library (librdkafka), for example `sasl.username`; a value may be a reference.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    properties: BTreeMap<String, Property>,
    /// Encrypted connections, by the system's authorities (`{}`) or by these files.
    tls: Option<TlsFiles>,
    /// Where RabbitMQ's management plugin is asked by `trunkline doctor`, with the user of `url`: http://HOST:15672.
    management: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawEnsure {
    /// Make channels that are missing.
    #[default]
    Create,
    /// Only look; for brokers with strict permissions.
    Verify,
}

impl BrokerSettings {
    /// An address and nothing else.
    pub fn of(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ensure: Ensure::Create,
            replication: None,
            properties: BTreeMap::new(),
            tls: None,
            management: None,
        }
    }

    /// Reads the section; all mistakes go to `diagnostics`. References are followed to judge what they lead to; one that can't
    /// be read is judged when the broker is opened.
    pub(super) fn read(node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<Self> {
        let settings = match &node.value {
            NodeValue::Map(_) => {
                let RawBroker { url, ensure, replication, properties, tls, management } =
                    node.read(diagnostics)?;
                let ensure = match ensure {
                    RawEnsure::Create => Ensure::Create,
                    RawEnsure::Verify => Ensure::Verify,
                };
                Self { url, ensure, replication, properties, tls, management }
            }
            NodeValue::Text { .. } => Self::of(node.read::<String>(diagnostics)?),
            _ => {
                let hint =
                    "write for example kafka://HOST:PORT, or { url: \"kafka://HOST:PORT\", replication: 3 }";
                let message = "`broker` must be an address, or a map with `url`";
                diagnostics.push(node.error(codes::WRONG_VALUE, message, Some(hint.to_owned())));
                return None;
            }
        };
        judge::judge(&settings, node, folder, diagnostics).then_some(settings)
    }

    /// The address, followed to its secret where it is a reference.
    ///
    /// # Errors
    /// [`SecretError`] names the reference.
    pub fn address(&self, folder: &Path) -> Result<String, SecretError> {
        match secret_reference(&self.url) {
            Some(secret) => Ok(Secrets::in_folder(folder).read(&secret)?.expose().to_owned()),
            None => Ok(self.url.clone()),
        }
    }

    /// The files under `tls`, by their key.
    pub fn tls_files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let tls = self.tls.as_ref();
        let files = tls.map(|tls| [("ca", &tls.ca), ("certificate", &tls.certificate), ("key", &tls.key)]);
        files.into_iter().flatten().filter_map(|(key, file)| Some((key, file.as_deref()?)))
    }

    /// The engine that the address means; `None` where it is a reference that can't be read here, or no engine's.
    pub fn engine(&self, folder: &Path) -> Option<EngineKind> {
        EngineKind::of(&self.address(folder).ok()?).ok()
    }
}

impl Property {
    /// The value now.
    ///
    /// # Errors
    /// [`SecretError`] names the reference.
    pub fn read(&self, secrets: &Secrets) -> Result<String, SecretError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Secret(secret) => Ok(secrets.read(secret)?.expose().to_owned()),
        }
    }

    /// Where its value comes from, when it is a secret.
    pub fn reference(&self) -> Option<&SecretReference> {
        match self {
            Self::Text(_) => None,
            Self::Secret(secret) => Some(secret.reference()),
        }
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PropertyVisitor)
    }
}

struct PropertyVisitor;

impl de::Visitor<'_> for PropertyVisitor {
    type Value = Property;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("text, a number, a truth value or a reference such as ${file:PATH}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Property, E> {
        match secret_reference(text) {
            Some(secret) => Ok(Property::Secret(secret)),
            // A reference with a mistake in it is not what anybody means as a value.
            None if text.starts_with("${") => Err(E::custom("a reference is ${env:NAME} or ${file:PATH}")),
            None => Ok(Property::Text(text.to_owned())),
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Property, E> {
        Ok(Property::Text(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Property, E> {
        Ok(Property::Text(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Property, E> {
        Ok(Property::Text(value.to_string()))
    }
}

#[cfg(test)]
mod tests;
