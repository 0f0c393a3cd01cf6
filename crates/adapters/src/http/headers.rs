//! The headers that the settings ask for: plain ones, templates, and those that hold secrets.

use ::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use trunkline_sdk::core::config::Secret;
use trunkline_sdk::http::header_value;
use trunkline_sdk::{DeliveryError, Secrets, SetupError};

use super::Used;
use super::scope::Scope;
use super::settings::HttpSettings;
use super::template::Template;

/// Headers that are not for a configuration to set: the client's own, and those that say what is delivered.
const RESERVED: [&str; 14] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-authorization",
    "proxy-connection",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// The headers that the settings ask for.
#[derive(Debug)]
pub(super) struct Headers {
    plain: Vec<(HeaderName, Template)>,
    secret: Vec<(HeaderName, Credential)>,
}

/// A header's value that holds a secret.
#[derive(Debug)]
enum Credential {
    Bearer(Secret),
    Basic { user: String, password: Secret },
    Whole(Secret),
}

impl Headers {
    pub(super) fn compile(settings: &HttpSettings) -> Result<Self, SetupError> {
        let mut headers = Self { plain: Vec::new(), secret: Vec::new() };
        for (name, text) in &settings.headers {
            let field = format!("headers.{name}");
            let name = header_name(name, &field)?;
            if !text.contains("${") {
                headers.plain.push((name.clone(), plain(&name, text, &field)?));
            } else {
                let secret = Secret::deserialize(StrDeserializer::<ValueError>::new(text)).map_err(|error| {
                    SetupError::new(&field, error.to_string())
                        .hint("the whole value must be one reference; for `Authorization: Bearer ..` use `bearer`")
                })?;
                headers.secret.push((name, Credential::Whole(secret)));
            }
        }
        headers.credentials(settings)?;
        Ok(headers)
    }

    fn credentials(&mut self, settings: &HttpSettings) -> Result<(), SetupError> {
        let mut credentials = Vec::new();
        if let Some(secret) = &settings.bearer {
            credentials.push((header::AUTHORIZATION, Credential::Bearer(secret.clone())));
        }
        if let Some(basic) = &settings.basic {
            if basic.user.contains(':') {
                return Err(SetupError::new("basic.user", "a user's name can't contain a colon"));
            }
            let credential = Credential::Basic { user: basic.user.clone(), password: basic.password.clone() };
            credentials.push((header::AUTHORIZATION, credential));
        }
        if let Some(key) = &settings.api_key {
            let name = header_name(&key.header, "api_key.header")?;
            credentials.push((name, Credential::Whole(key.value.clone())));
        }
        if credentials.len() > 1 {
            return Err(SetupError::new("", "`bearer`, `basic` and `api_key` exclude each other"));
        }
        self.secret.extend(credentials);
        Ok(())
    }

    /// Adds the headers without secrets.
    pub(super) fn render(&self, scope: &Scope<'_>, headers: &mut HeaderMap) -> Result<(), DeliveryError> {
        for (name, template) in &self.plain {
            let text = template.render(|path| scope.text(path))?;
            let value = header_value(&text).map_err(|problem| {
                DeliveryError::rejected(format!("header `{name}`: {problem}")).caused_by(problem)
            })?;
            headers.insert(name, value);
        }
        Ok(())
    }

    /// Adds the headers with secrets, and says which were used.
    ///
    /// # Errors
    /// Halted, naming the reference: every delivery would fail alike until the secret is there.
    pub(super) fn authorize(
        &self,
        headers: &mut HeaderMap,
        secrets: &Secrets,
        used: &mut Used,
    ) -> Result<(), DeliveryError> {
        for (name, credential) in &self.secret {
            let secret = credential.secret();
            let text = secrets
                .read(secret)
                .map_err(|error| DeliveryError::halted(error.to_string()).caused_by(error))?;
            let text = text.expose();
            let value = match credential {
                Credential::Whole(_) => text.to_owned(),
                Credential::Bearer(_) => format!("Bearer {text}"),
                Credential::Basic { user, .. } => {
                    let encoded = STANDARD.encode(format!("{user}:{text}"));
                    used.0.push(encoded.clone());
                    format!("Basic {encoded}")
                }
            };
            let value = header_value(&value).map(sensitive).map_err(|_problem| {
                // The problem would show a character of the secret.
                DeliveryError::halted(format!(
                    "the value of `{}` can't stand in a header",
                    secret.reference()
                ))
            })?;
            used.0.push(text.to_owned());
            headers.insert(name, value);
        }
        Ok(())
    }

    /// The setting that holds the credentials; the first of several.
    pub(super) fn credentials_field(&self) -> Option<&'static str> {
        self.secret.first().map(|(_name, credential)| match credential {
            Credential::Bearer(_) => "bearer",
            Credential::Basic { .. } => "basic.password",
            Credential::Whole(_) => "",
        })
    }

    /// The headers with secrets, their references in the secrets' place.
    pub(super) fn references(&self) -> impl Iterator<Item = (String, String)> {
        self.secret.iter().map(|(name, credential)| {
            let reference = credential.secret().reference();
            let value = match credential {
                Credential::Whole(_) => reference.to_string(),
                Credential::Bearer(_) => format!("Bearer {reference}"),
                Credential::Basic { user, .. } => format!("Basic {user}:{reference}"),
            };
            (name.to_string(), value)
        })
    }
}

impl Credential {
    fn secret(&self) -> &Secret {
        match self {
            Credential::Bearer(secret)
            | Credential::Whole(secret)
            | Credential::Basic { password: secret, .. } => secret,
        }
    }
}

fn header_name(name: &str, field: &str) -> Result<HeaderName, SetupError> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_invalid| SetupError::new(field, format!("`{name}` is no name of a header")))?;
    if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("ce-") {
        return Err(
            SetupError::new(field, format!("`{parsed}` is set by Trunkline itself")).hint("leave it out")
        );
    }
    Ok(parsed)
}

fn plain(name: &HeaderName, text: &str, field: &str) -> Result<Template, SetupError> {
    if [header::AUTHORIZATION, header::COOKIE].contains(name) {
        return Err(SetupError::new(field, "a secret must be a reference, never the value itself")
            .hint("use `bearer`, `basic`, `api_key`, or ${env:NAME} or ${file:PATH} as the whole value"));
    }
    let wrong = |problem: String| SetupError::new(field, problem);
    let template = Template::compile(text).map_err(wrong)?;
    let example = template.render(|_path| Ok::<_, SetupError>("x".to_owned()))?;
    header_value(&example).map_err(|problem| wrong(problem.to_string()))?;
    Ok(template)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
