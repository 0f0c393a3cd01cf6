//! The service that takes events in over HTTP.
//!
//! Two doors: `POST /v1/events` for systems that speak CloudEvents, `POST /hooks/{source}` for platforms that call
//! webhooks. Both end in the same place: [`intake::Intake`] publishes to `events` in batches and answers each request only
//! after the broker confirmed. Nothing is answered 2xx that is not stored; what can't be stored is answered 503.
//!
//! Read [`intake`] for the promise, [`cloudevents`] for the HTTP binding, [`hooks`] for webhooks, [`problem`] for
//! every way of saying no, [`server`] for the limits on connections.

pub mod cloudevents;
pub mod hooks;
pub mod intake;
pub mod problem;
pub mod server;
pub mod settings;

mod api;
mod linger;
mod measure;
mod polling;
mod service;
mod times;
mod traced;

pub use service::run;
pub use settings::GatewaySettings;
