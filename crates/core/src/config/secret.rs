//! Secrets: references in the configuration, values only in memory.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// Where a secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretReference {
    /// `${env:NAME}`.
    Env(String),
    /// `${file:PATH}`; a trailing newline of the file does not count.
    File(String),
}

/// A setting that holds a secret. In a configuration it must be a reference (`${env:NAME}` or `${file:PATH}`); a
/// literal is an error whose message does not repeat it. Never prints more than its reference.
#[derive(Clone, PartialEq, Eq, Hash, schemars::JsonSchema)]
#[schemars(transparent)]
pub struct Secret(#[schemars(with = "String", regex(pattern = r"^\$\{(env|file):.+\}$"))] SecretReference);

/// Does not repeat what was written, which may be the secret itself.
pub(super) const NOT_A_REFERENCE: &str =
    "a secret must be a reference: ${env:NAME} or ${file:PATH}, never the value itself";

impl Secret {
    /// A secret behind a reference.
    pub fn new(reference: SecretReference) -> Self {
        Self(reference)
    }

    /// Where its value comes from.
    pub fn reference(&self) -> &SecretReference {
        &self.0
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretReference::Env(name) => write!(f, "${{env:{name}}}"),
            SecretReference::File(path) => write!(f, "${{file:{path}}}"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let reference = match inner.and_then(|inner| inner.split_once(':')) {
            Some(("env", name)) if !name.is_empty() => SecretReference::Env(name.to_owned()),
            Some(("file", path)) if !path.is_empty() => SecretReference::File(path.to_owned()),
            _ => {
                return Err(serde::de::Error::custom(NOT_A_REFERENCE));
            }
        };
        Ok(Self(reference))
    }
}
