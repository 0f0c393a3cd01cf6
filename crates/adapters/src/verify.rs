//! One verifier for the signatures of all platforms that sign with HMAC: a [`Scheme`] says which bytes are signed, how,
//! and where the signature stands; [`Verifier`] does the rest, alike for all of them.
//!
//! It works on the raw bytes of a request, before anything of the body is parsed. It compares in constant time, takes
//! several active secrets so that one can be rotated, ignores signatures of versions it does not know, and bounds the
//! signature's age in both directions where the scheme signs a time.

mod mac;
mod scheme;
#[cfg(test)]
mod tests;
mod timestamp;

use std::time::Duration;

use trunkline_sdk::{Refusal, Secrets, WebhookRequest};

use crate::secret_list::SecretList;

pub(crate) use mac::Mac;
pub(crate) use scheme::{
    Encoding, GITHUB, Hash, KeyForm, Part, SHOPIFY, STANDARD_WEBHOOKS, STRIPE, Scheme, SignatureHeader, Text,
    Timestamp, TimestampPlace, Unit,
};

/// How far a signature's time may be from now, before and after.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(300);

/// More signatures in one request are no rotation.
const MAX_SIGNATURES: usize = 16;

/// A scheme with the secrets that are active now.
#[derive(Debug)]
pub(crate) struct Verifier {
    scheme: Scheme,
    secrets: SecretList,
    tolerance: Duration,
    reader: Secrets,
}

impl Verifier {
    /// `secrets` are read through `reader` at each request, so that a changed file counts without a restart.
    pub(crate) fn new(scheme: Scheme, secrets: SecretList, tolerance: Duration, reader: Secrets) -> Self {
        Self { scheme, secrets, tolerance, reader }
    }

    /// Whether one of the secrets signed the request, inside the tolerance.
    pub(crate) fn verify(&self, request: &WebhookRequest) -> Result<(), Refusal> {
        let header = required(request, self.scheme.signature.header.as_str())?;
        let items = Items::read(&self.scheme, header)?;
        let timestamp = self.timestamp(request, &items)?;
        let signed = self.signed(request, timestamp)?;
        let mut readable = false;
        let mut problem = String::from("none is configured");
        for secret in self.secrets.iter() {
            let mac = match self.reader.read(secret) {
                Ok(text) => Mac::new(self.scheme.hash, self.scheme.key, &text),
                Err(error) => {
                    problem = error.to_string();
                    continue;
                }
            };
            let Some(mac) = mac else {
                problem = format!("`{}` is not in the scheme's form", secret.reference());
                continue;
            };
            readable = true;
            if mac.matches(&signed, self.scheme.encoding, &items.signatures) {
                return Ok(());
            }
        }
        Err(if readable { Refusal::WrongSignature } else { Refusal::NoSecret(problem) })
    }

    /// The signature's time as the platform wrote it, when it is near enough to now.
    fn timestamp<'a>(&self, request: &'a WebhookRequest, items: &Items<'a>) -> Result<&'a str, Refusal> {
        let Some(spec) = &self.scheme.timestamp else { return Ok("") };
        let (name, text) = match &spec.place {
            TimestampPlace::Header(name) => (name.as_str(), required(request, name.as_str())?),
            TimestampPlace::Item(_) => (self.scheme.signature.header.as_str(), items.timestamp),
        };
        let time =
            timestamp::parse(text, spec.unit).ok_or_else(|| Refusal::MalformedHeader(name.to_owned()))?;
        let away = time.signed_duration_since(request.received);
        if away.abs().to_std().is_ok_and(|away| away <= self.tolerance) {
            Ok(text)
        } else {
            Err(Refusal::OutsideTolerance(away.num_seconds()))
        }
    }

    /// The signed bytes, piece by piece.
    fn signed<'a>(
        &'a self,
        request: &'a WebhookRequest,
        timestamp: &'a str,
    ) -> Result<Vec<&'a [u8]>, Refusal> {
        let parts = &self.scheme.signed;
        let mut pieces = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let (name, piece) = match part {
                Part::Literal(text) => ("", text.as_str()),
                Part::Body => {
                    pieces.push(request.body.as_ref());
                    continue;
                }
                Part::Timestamp => ("timestamp", timestamp),
                Part::Method => ("method", request.method.as_str()),
                Part::Url => ("url", request.url.as_str()),
                Part::Header(header) => (header.as_str(), required(request, header.as_str())?),
            };
            // A value that contains the separator after it could be cut elsewhere and mean another request.
            if let (Part::Header(_), Some(Part::Literal(separator))) = (part, parts.get(index + 1))
                && piece.contains(separator.as_str())
            {
                return Err(Refusal::MalformedHeader(name.to_owned()));
            }
            pieces.push(piece.as_bytes());
        }
        Ok(pieces)
    }
}

/// What stands in the signature header.
struct Items<'a> {
    signatures: Vec<&'a [u8]>,
    timestamp: &'a str,
}

impl<'a> Items<'a> {
    fn read(scheme: &Scheme, header: &'a str) -> Result<Self, Refusal> {
        let malformed = || Refusal::MalformedHeader(scheme.signature.header.as_str().to_owned());
        let time_prefix = match scheme.timestamp.as_ref().map(|spec| &spec.place) {
            Some(TimestampPlace::Item(prefix)) => Some(prefix.as_str()),
            _ => None,
        };
        let mut items = Self { signatures: Vec::new(), timestamp: "" };
        let split = match scheme.signature.separator {
            Some(separator) => header.split(separator),
            // No header contains a zero byte, so the whole stays one item.
            None => header.split('\0'),
        };
        for item in split {
            if let Some(text) = time_prefix.and_then(|prefix| item.strip_prefix(prefix)) {
                if !items.timestamp.is_empty() {
                    return Err(malformed());
                }
                items.timestamp = text;
            } else if let Some(signature) = item.strip_prefix(scheme.signature.prefix.as_str()) {
                items.signatures.push(signature.as_bytes());
            }
        }
        if items.signatures.len() > MAX_SIGNATURES || (time_prefix.is_some() && items.timestamp.is_empty()) {
            return Err(malformed());
        }
        Ok(items)
    }
}

fn required<'a>(request: &'a WebhookRequest, name: &str) -> Result<&'a str, Refusal> {
    request.header(name).ok_or_else(|| Refusal::MissingHeader(name.to_owned()))
}
