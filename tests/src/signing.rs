//! Signs requests as platforms do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA256 of pieces one after the other.
pub fn hmac(secret: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().to_vec()
}

/// The value of `X-Shopify-Hmac-SHA256`.
pub fn shopify(secret: &str, body: &[u8]) -> String {
    STANDARD.encode(hmac(secret.as_bytes(), &[body]))
}

/// The value of `Stripe-Signature`, made at `time` (Unix seconds).
pub fn stripe(secret: &str, time: i64, body: &[u8]) -> String {
    let signature = hex::encode(hmac(secret.as_bytes(), &[time.to_string().as_bytes(), b".", body]));
    format!("t={time},v1={signature}")
}

/// Seconds since 1970, now.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp()
}
