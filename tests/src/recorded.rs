//! Recorded requests of real platforms, sent as if the platform had sent them.

use serde_json::Value;

use crate::{signing, workspace};

/// One recorded request.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The platform.
    pub platform: &'static str,
    /// The file's name without its ending, for messages.
    pub name: String,
    /// What it is about: `orders/create`, `customer.created`.
    pub topic: String,
    /// Its headers, those of the transport and the signature left out.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Value,
}

/// Every recorded request of a platform; none, and a word about it, where the recordings are not at hand.
pub fn all(platform: &'static str) -> Vec<Recorded> {
    let Some(folder) = workspace::recorded(platform) else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let recorded = files.into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Recorded::read(platform, name, &document)
    });
    recorded.collect()
}

impl Recorded {
    fn read(platform: &'static str, name: String, document: &Value) -> Self {
        let skipped = |name: &str| {
            ["content-length", "accept-encoding", "host", "connection"].contains(&name)
                || name.contains("hmac")
                || name.contains("signature")
        };
        let headers = document["headers"].as_object().unwrap().iter();
        let headers = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().unwrap_or_default().to_owned()))
            .filter(|(name, _)| !skipped(name))
            .collect();
        let topic = document["topic"].as_str().unwrap_or(&name).to_owned();
        Self { platform, name, topic, headers, body: document["body"].clone() }
    }

    /// The body's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.body).unwrap()
    }

    /// The header with the signature, made now.
    pub fn signature(&self, secret: &str, body: &[u8]) -> (String, String) {
        let (name, value) = match self.platform {
            "shopify" => ("x-shopify-hmac-sha256", signing::shopify(secret, body)),
            "stripe" => ("stripe-signature", signing::stripe(secret, signing::now(), body)),
            other => panic!("how does {other} sign?"),
        };
        (name.to_owned(), value)
    }

    /// Headers with a valid signature over `body`.
    pub fn signed_headers(&self, secret: &str, body: &[u8]) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        headers.push(self.signature(secret, body));
        headers
    }
}
