//! Settings of an `http` destination.

use std::collections::BTreeMap;

use ::http::{HeaderValue, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_sdk::SetupError;
use trunkline_sdk::core::config::Secret;
use trunkline_sdk::http::header_value;

use super::content::Format;
use crate::secret_list::SecretList;

/// Settings of an `http` destination.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Where to. May contain `{{ .path }}`, read from the event or, below `.body`, from the transform's body.
    pub(super) url: String,
    /// The HTTP method. Default `POST`.
    #[serde(default)]
    method: Option<String>,
    /// Further headers. A value may contain `{{ .path }}`, or be a secret's reference.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// How an event without a transform is sent. Default `cloudevents-binary`. A transform's body is sent as it is.
    #[serde(default)]
    pub(super) format: Format,
    /// A bearer token. One of `bearer`, `basic` and `api_key` at most.
    #[serde(default)]
    pub(super) bearer: Option<Secret>,
    /// User name and password.
    #[serde(default)]
    pub(super) basic: Option<Basic>,
    /// A key in a header of its own.
    #[serde(default)]
    pub(super) api_key: Option<ApiKey>,
    /// How requests are signed.
    #[serde(default)]
    pub(super) sign: Option<Sign>,
    /// Lets it reach loopback, private and link-local addresses. Default `false`.
    #[serde(default)]
    pub(super) allow_private: bool,
    /// The `user-agent` header. Default `trunkline/VERSION`.
    #[serde(default)]
    user_agent: Option<String>,
}

/// HTTP basic authentication.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    /// The user's name.
    pub(super) user: String,
    /// The password.
    pub(super) password: Secret,
}

/// A key in a header of its own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKey {
    /// The header's name.
    pub(super) header: String,
    /// The key.
    pub(super) value: Secret,
}

/// How requests are signed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sign {
    /// By Standard Webhooks 1.0, with this secret (`whsec_..`). With several, each signs: while one is rotated.
    pub(super) standard_webhooks: SecretList,
}

impl HttpSettings {
    pub(super) fn method(&self) -> Result<Method, SetupError> {
        match self.method.as_deref().unwrap_or("POST") {
            "POST" => Ok(Method::POST),
            "PUT" => Ok(Method::PUT),
            "PATCH" => Ok(Method::PATCH),
            "DELETE" => Ok(Method::DELETE),
            "GET" => Ok(Method::GET),
            other => Err(SetupError::new("method", format!("`{other}` is not a method that is sent"))
                .hint("use POST, PUT, PATCH, DELETE or GET")),
        }
    }

    pub(super) fn user_agent(&self) -> Result<Option<HeaderValue>, SetupError> {
        let value = self.user_agent.as_deref().map(header_value).transpose();
        value.map_err(|problem| SetupError::new("user_agent", problem.to_string()))
    }
}
