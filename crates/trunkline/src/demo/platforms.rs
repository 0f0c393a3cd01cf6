//! The receiving platforms: a CRM that works and verifies who calls it, an ERP that fails until it is mended.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::TcpListener;

use super::stage::Secrets;

/// What the platforms have seen.
pub(super) struct Platforms {
    crm_key: Hmac<Sha256>,
    erp_token: String,
    erp_fails: AtomicBool,
    /// Requests the CRM took after it had verified their signature.
    verified: AtomicU64,
    /// Requests the CRM refused because of their signature.
    unverified: AtomicU64,
    /// Requests the ERP answered 503.
    failed: AtomicU64,
    /// The orders the ERP has.
    orders: Mutex<BTreeSet<String>>,
}

impl Platforms {
    pub(super) fn new(secrets: &Secrets) -> anyhow::Result<Self> {
        let key = STANDARD.decode(secrets.crm.trim_start_matches("whsec_"))?;
        Ok(Self {
            crm_key: Hmac::new_from_slice(&key)?,
            erp_token: format!("Bearer {}", secrets.erp),
            erp_fails: AtomicBool::new(true),
            verified: AtomicU64::new(0),
            unverified: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            orders: Mutex::default(),
        })
    }

    /// Serves until the process ends.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let routes = Router::new()
            .route("/crm/contacts", post(contact))
            .route("/erp/orders/{number}", put(order))
            .with_state(self);
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "the demo's platforms stopped");
        }
    }

    /// From now on the ERP works.
    pub(super) fn mend_erp(&self) {
        self.erp_fails.store(false, Ordering::Relaxed);
    }

    pub(super) fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    pub(super) fn unverified(&self) -> u64 {
        self.unverified.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn orders(&self) -> usize {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Standard Webhooks: one of the signatures is that of `id.timestamp.body`.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(time), Some(signatures)) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
        else {
            return false;
        };
        let mut mac = self.crm_key.clone();
        mac.update(format!("{id}.{time}.").as_bytes());
        mac.update(body);
        let decoded = signatures
            .split(' ')
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok());
        decoded.into_iter().any(|signature| mac.clone().verify_slice(&signature).is_ok())
    }
}

async fn contact(State(platforms): State<Arc<Platforms>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if platforms.verify(&headers, &body) {
        platforms.verified.fetch_add(1, Ordering::Relaxed);
        StatusCode::OK
    } else {
        platforms.unverified.fetch_add(1, Ordering::Relaxed);
        StatusCode::UNAUTHORIZED
    }
}

async fn order(
    State(platforms): State<Arc<Platforms>>,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, &'static str) {
    if headers.get(AUTHORIZATION).is_none_or(|value| value.as_bytes() != platforms.erp_token.as_bytes()) {
        return (StatusCode::UNAUTHORIZED, "who are you?");
    }
    if platforms.erp_fails.load(Ordering::Relaxed) {
        platforms.failed.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::SERVICE_UNAVAILABLE, "the month is being closed, come back later");
    }
    platforms.orders.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
    (StatusCode::OK, "stored")
}
