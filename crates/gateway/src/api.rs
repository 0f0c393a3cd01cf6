//! `POST /v1/events`: who may, what was sent, what became of it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use trunkline_sdk::config::Scope;
use trunkline_sdk::trace::Span;

use crate::intake::{Acceptance, Refused};
use crate::measure::{self, Entry};
use crate::problem::Problem;
use crate::service::Gateway;
use crate::{cloudevents, traced};

/// Takes events. 202 with `{"accepted": n, "duplicates": n}` only after the broker confirmed.
pub(crate) async fn events(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let mut span = traced::request("/v1/events", &request);
    let response = accept(&gateway, request, &span).await.unwrap_or_else(IntoResponse::into_response);
    traced::answered(&mut span, response.status());
    response
}

async fn accept(gateway: &Gateway, request: Request, span: &Span) -> Result<Response, Problem> {
    let caller = gateway.authorize(&request, Scope::Publish)?;
    gateway.throttle(&caller)?;
    let (parts, body) = request.into_parts();
    let body = gateway.read_body(&parts.headers, body).await?;
    let events = cloudevents::read(&parts.headers, body)?;
    let counter = measure::accepted(Entry::Publish, &caller.name);
    let accepted = traced::submit(&gateway.intake, Some(span), events, counter).await.map_err(refused)?;
    Ok(answer(StatusCode::ACCEPTED, &accepted, Body::empty))
}

/// The body of 202.
#[derive(Serialize)]
struct Counts {
    accepted: usize,
    duplicates: usize,
}

/// The answer to a request whose events are stored: a count, or what the platform wants to read.
pub(crate) fn answer(status: StatusCode, accepted: &[Acceptance], body: impl FnOnce() -> Body) -> Response {
    let duplicates = accepted.iter().filter(|acceptance| **acceptance == Acceptance::Duplicate).count();
    let mut response = if status == StatusCode::ACCEPTED {
        let counts = Counts { accepted: accepted.len() - duplicates, duplicates };
        (status, axum::Json(counts)).into_response()
    } else {
        (status, body()).into_response()
    };
    if duplicates > 0 {
        let value = axum::http::HeaderValue::from(duplicates);
        response.headers_mut().insert("trunkline-duplicates", value);
    }
    response
}

/// Says why nothing was accepted.
pub(crate) fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::TooLarge { limit, .. } => Problem::too_large("An event", limit),
        Refused::Full => Problem::full(),
        Refused::Unavailable => Problem::unavailable(
            "The broker did not confirm. The request may be sent again as it is: what was stored is recognised by source and id.",
        ),
        Refused::Overloaded => Problem::unavailable(
            "More requests wait for the broker than the gateway takes (gateway.max_waiting). Send again later.",
        ),
    }
}
