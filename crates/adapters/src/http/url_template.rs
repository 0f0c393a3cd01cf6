//! A URL with templates in it, whose values can't leave the place they are written to.

use trunkline_sdk::http::{TargetError, check_target};
use trunkline_sdk::{DeliveryError, SetupError};
use url::Url;

use super::scope::Scope;
use super::template::{Piece, Template};

/// A URL, compiled: the host and what follows it apart, because their values are written differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UrlTemplate {
    /// Scheme and host with port.
    origin: Template,
    /// Path, query and fragment.
    rest: Template,
}

impl UrlTemplate {
    /// Compiles a URL and judges what can be judged before the first delivery.
    pub(super) fn compile(text: &str, allow_private: bool) -> Result<Self, SetupError> {
        let wrong = |problem: String| SetupError::new("url", problem);
        let scheme =
            ["http://", "https://"].iter().find(|scheme| text.starts_with(**scheme)).ok_or_else(|| {
                wrong("must begin with https:// or http://".to_owned())
                    .hint("write the scheme out; it can't be a template")
            })?;
        if text.contains("${") {
            return Err(wrong("a secret in a URL would be logged by everyone on the way".to_owned())
                .hint("use `bearer`, `basic`, `api_key` or a header"));
        }
        let end = authority_end(text, scheme.len());
        if end == scheme.len() {
            // A URL's parser would look for the host further on, where an event's value may stand.
            return Err(wrong("has no host".to_owned()));
        }
        let url = Self {
            origin: Template::compile(&text[..end]).map_err(wrong)?,
            rest: Template::compile(&text[end..]).map_err(wrong)?,
        };
        let example = url.origin.render(|_path| Ok::<_, SetupError>("x".to_owned()))?
            + &url.rest.render(|_path| Ok::<_, SetupError>("x".to_owned()))?;
        let parsed = Url::parse(&example).map_err(|error| wrong(format!("not a URL: {error}")))?;
        match check_target(&parsed, allow_private || url.host_is_templated()) {
            Err(private @ TargetError::Private(_)) => {
                Err(wrong(private.to_string()).hint("set `allow_private: true` if it is meant"))
            }
            Err(error) => Err(wrong(error.to_string())),
            Ok(()) => Ok(url),
        }
    }

    /// Whether an event decides which host is called.
    pub(super) fn host_is_templated(&self) -> bool {
        self.origin.pieces.iter().any(|piece| matches!(piece, Piece::Path(_)))
    }

    /// The URL, or what of it is the same for every delivery: the host alone, with `false`. `None` where an event decides
    /// which host is called.
    pub(super) fn fixed(&self) -> Option<(Url, bool)> {
        let text = |template: &Template| {
            let pieces = template.pieces.iter().map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::Path(_) => None,
            });
            pieces.collect::<Option<String>>()
        };
        let origin = text(&self.origin)?;
        let (rest, whole) = match text(&self.rest) {
            Some(rest) => (rest, true),
            None => ("/".to_owned(), false),
        };
        Some((Url::parse(&(origin + &rest)).ok()?, whole))
    }

    /// The URL of one delivery.
    ///
    /// # Errors
    /// Rejected when a value is missing or would lead elsewhere.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<Url, DeliveryError> {
        let origin = self.origin.render(|path| {
            let value = scope.text(path)?;
            let fits = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
            if fits {
                Ok(value)
            } else {
                Err(DeliveryError::rejected(format!("template value `{path}` is no host's name")))
            }
        })?;
        let rest = self.rest.render(|path| scope.text(path).map(|value| percent_encode(&value)))?;
        // Encoding leaves dots alone, and a URL's parser takes `..` for a step up.
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(DeliveryError::rejected(
                "the URL's path would leave its place: a value is `.` or `..`",
            ));
        }
        Url::parse(&(origin + &rest))
            .map_err(|error| DeliveryError::rejected(format!("not a URL: {error}")).caused_by(error))
    }
}

/// Where the host ends: at the first `/`, `?`, `#` or `\` outside a placeholder.
fn authority_end(text: &str, start: usize) -> usize {
    let mut inside = false;
    for (index, character) in text.char_indices().skip_while(|(index, _)| *index < start) {
        match character {
            '{' => inside = true,
            '}' => inside = false,
            '/' | '?' | '#' | '\\' if !inside => return index,
            _ => {}
        }
    }
    text.len()
}

/// Everything but the unreserved characters of RFC 3986 as `%XX`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
