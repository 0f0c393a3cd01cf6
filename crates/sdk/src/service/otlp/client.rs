//! Sends what was encoded to the collector, and says when that begins and ceases to fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use metrics::counter;
use thiserror::Error;
use tracing::{info, warn};

use super::environment::Signal;
use crate::metric;

/// Why a collector has not got something.
#[derive(Debug, Error)]
pub(super) enum SendError {
    #[error("the collector answered {0}")]
    Answered(StatusCode),
    #[error("the collector can't be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("no answer in time")]
    Late,
}

/// Speaks to one endpoint of a collector.
#[derive(Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    /// `traces` or `metrics`.
    what: &'static str,
    signal: Signal,
    failing: AtomicBool,
}

impl Client {
    /// The endpoint is the operator's, so it may be at any address; no proxy is taken from the environment.
    pub(super) fn new(what: &'static str, signal: Signal) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = builder.retry(reqwest::retry::never()).pool_max_idle_per_host(1).build()?;
        Ok(Self { client, what, signal, failing: AtomicBool::new(false) })
    }

    /// Sends one encoded request; again, with pauses, while that may help and the time-out has not passed.
    pub(super) async fn send(&self, body: Bytes) -> Result<(), SendError> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(Duration::from_secs(5))
            .with_jitter()
            .without_max_times();
        let trying = (async || self.once(body.clone()).await).retry(pauses).when(SendError::may_pass);
        let sent = tokio::time::timeout(self.signal.timeout, trying).await.unwrap_or(Err(SendError::Late));
        self.note(&sent);
        sent
    }

    async fn once(&self, body: Bytes) -> Result<(), SendError> {
        let request = self.client.post(self.signal.endpoint.clone()).headers(self.signal.headers.clone());
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        // The URL may hold credentials.
        let sent = request.body(body).send().await;
        let answer = sent.map_err(|error| SendError::Unreachable(error.without_url()))?;
        if answer.status().is_success() { Ok(()) } else { Err(SendError::Answered(answer.status())) }
    }

    /// One line when it begins to fail and one when it works again; the rest is counted.
    fn note(&self, sent: &Result<(), SendError>) {
        let before = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        match sent {
            Ok(()) if before => info!(signal = self.what, "the collector takes telemetry again"),
            Ok(()) => {}
            Err(error) => {
                counter!(metric::TELEMETRY_FAILURES, "signal" => self.what).increment(1);
                if !before {
                    let error = error as &dyn std::error::Error;
                    warn!(
                        signal = self.what,
                        error, "the collector does not take telemetry; it is left out meanwhile"
                    );
                }
            }
        }
    }
}

impl SendError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Answered(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Unreachable(_) | Self::Late => true,
        }
    }
}
