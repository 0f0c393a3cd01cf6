//! The HMAC itself, for checking signatures and for making them.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use trunkline_sdk::SecretText;

use super::scheme::{Encoding, Hash, KeyForm};

/// An HMAC with its key.
pub(crate) struct Mac(hmac::Key);

impl Mac {
    /// `None` when the secret's text is not in the form, or no key is left of it.
    pub(crate) fn new(hash: Hash, form: KeyForm, secret: &SecretText) -> Option<Self> {
        let text = secret.expose();
        let key = match form {
            KeyForm::Raw => text.as_bytes().to_vec(),
            KeyForm::Base64 => STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?,
            KeyForm::Hex => hex::decode(text).ok()?,
        };
        let algorithm = match hash {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        (!key.is_empty()).then(|| Self(hmac::Key::new(algorithm, &key)))
    }

    /// The signature of the pieces together, as text.
    pub(crate) fn sign(&self, pieces: &[&[u8]], encoding: Encoding) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for piece in pieces {
            context.update(piece);
        }
        let tag = context.sign();
        match encoding {
            Encoding::Hex => hex::encode(tag.as_ref()),
            Encoding::Base64 => STANDARD.encode(tag.as_ref()),
        }
    }

    /// Whether one of the signatures is that of the pieces. The text is compared, not what it decodes to, so that one
    /// signature has one spelling; in constant time, so that a guess learns nothing from how long it took.
    pub(super) fn matches(&self, pieces: &[&[u8]], encoding: Encoding, signatures: &[&[u8]]) -> bool {
        let own = self.sign(pieces, encoding);
        let equal =
            |signature: &&[u8]| constant_time::verify_slices_are_equal(own.as_bytes(), signature).is_ok();
        // Every signature is compared, also after one matched.
        signatures.iter().filter(|signature| equal(signature)).count() > 0
    }
}
