//! `POST /hooks/{source}`: a platform's webhook, authenticated over its raw bytes, then normalized.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::Utc;
use metrics::counter;
use tracing::{error, warn};
use trunkline_sdk::broker::{ChannelName, Outgoing};
use trunkline_sdk::core::dead_letter::{Contents, RawRequest};
use trunkline_sdk::core::{DeadLetter, DeadLetterReason};
use trunkline_sdk::trace::Span;
use trunkline_sdk::{WebhookRequest, metric};

use crate::api::{answer, refused};
use crate::measure::{self, Entry};
use crate::problem::Problem;
use crate::service::Gateway;
use crate::traced;

/// Headers that never reach a dead letter: they carry secrets, or a signature that outlives its use.
const WITHHELD: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Takes a webhook. 200 only after the broker confirmed its events, or stored it as a dead letter.
pub(crate) async fn webhook(
    State(gateway): State<Arc<Gateway>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let mut span = traced::request("/hooks/{source}", &request);
    let response = accept(&gateway, name, request, &span).await.unwrap_or_else(IntoResponse::into_response);
    traced::answered(&mut span, response.status());
    response
}

async fn accept(gateway: &Gateway, name: String, request: Request, span: &Span) -> Result<Response, Problem> {
    let source = gateway.source(&name).ok_or_else(|| Problem::unknown_source(&name))?;
    let (parts, body) = request.into_parts();
    let body = gateway.read_body(&parts.headers, body).await?;
    let request = webhook_request(gateway, name, parts, body);
    if let Err(refusal) = source.verify(&request) {
        counter!(metric::GATEWAY_UNSIGNED, "source" => request.source.clone()).increment(1);
        warn!(source = request.source, reason = %refusal, "a webhook was not authenticated");
        return Err(Problem::unsigned());
    }
    let normalized = match source.normalize(&request) {
        Ok(normalized) => normalized,
        Err(error) => return keep(gateway, request, error.to_string(), span).await,
    };
    if normalized.events.is_empty() {
        return Ok((StatusCode::OK, normalized.answer).into_response());
    }
    let counter = measure::accepted(Entry::Webhook, &request.source);
    let accepted = traced::submit(&gateway.intake, Some(span), normalized.events, counter).await;
    let accepted = accepted.map_err(refused)?;
    Ok(answer(StatusCode::OK, &accepted, || Body::from(normalized.answer)))
}

fn webhook_request(gateway: &Gateway, source: String, parts: Parts, body: Bytes) -> WebhookRequest {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", gateway.base_url(&parts.headers));
    WebhookRequest { source, method: parts.method, url, headers: parts.headers, body, received: Utc::now() }
}

/// An authenticated webhook that does not normalize is kept whole, and the platform is told it arrived: sent again it
/// would fail again, and after some failures platforms switch a webhook off.
async fn keep(
    gateway: &Gateway,
    request: WebhookRequest,
    detail: String,
    span: &Span,
) -> Result<Response, Problem> {
    error!(
        source = request.source,
        detail, "an authenticated webhook did not normalize; it is a dead letter of the gateway"
    );
    let path = request.url.splitn(4, '/').nth(3).map_or_else(|| "/".to_owned(), |path| format!("/{path}"));
    let raw = RawRequest {
        source: request.source.clone(),
        method: request.method.to_string(),
        path,
        headers: kept_headers(&request.headers),
        body: request.body,
        received: request.received,
    };
    let dead = DeadLetter {
        contents: Contents::Webhook(raw),
        reason: DeadLetterReason::NotNormalized,
        detail,
        class: None,
        policy: None,
        time: Utc::now(),
        dropped_body: None,
    };
    let mut record = Outgoing::new(ChannelName::dead_gateway(), Bytes::from(request.source), dead.encode());
    record.headers = span.context().record_headers();
    match gateway.broker.publish(vec![record]).await {
        Ok(()) => {
            counter!(metric::GATEWAY_NOT_NORMALIZED).increment(1);
            Ok(StatusCode::OK.into_response())
        }
        Err(error) => {
            error!(%error, "the dead letter was not stored");
            Err(Problem::unavailable("The broker did not confirm. Send the request again."))
        }
    }
}

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let secret = |name: &str| WITHHELD.contains(&name) || name.contains("signature") || name.contains("hmac");
    headers
        .iter()
        .filter(|(name, _)| !secret(name.as_str()))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}
