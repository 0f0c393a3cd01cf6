//! The one crate an adapter author imports.
//!
//! An adapter is a [`Destination`], a [`Source`] or a [`WebhookSource`]: what is particular to a platform, and nothing
//! else. It never sleeps, retries, settles or writes a dead letter; the [`delivery`] runtime does that for every
//! adapter in the same way. [`service`] makes a process of it: configuration, telemetry, health and shutdown. Engines
//! are cargo features of this crate, so an adapter compiles only the one it runs on.
//!
//! Read [`destination`] for the contract of a consumer adapter and [`webhook`] or [`source`] for a producer adapter;
//! docs/adapters.md walks through both.
#![warn(missing_docs)]

pub mod accepted;
pub mod certificate;
pub mod config;
pub mod delivery;
pub mod destination;
pub mod http;
pub mod metric;
pub mod registry;
pub mod secrets;
pub mod service;
pub mod source;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod topology;
pub mod trace;
pub mod webhook;

pub use destination::{Context, Delivered, DeliveryError, Destination, Preview, SetupError};
pub use registry::{
    AdapterKind, Adapters, AnyDestination, AnySource, AnyWebhookSource, MadeSource, MakeError,
};
pub use secrets::{SecretError, SecretText, Secrets};
pub use source::{EmitError, Emitter, Source};
pub use webhook::{NormalizeError, Normalized, Refusal, WebhookRequest, WebhookSource};

pub use trunkline_broker as broker;
pub use trunkline_core as core;
pub use trunkline_core::{Body, Data, Delivery, Event, FailureClass, TypeCatalogue, Value};
pub use trunkline_proto as proto;
pub use trunkline_store as store;
pub use {async_trait, bytes, chrono, schemars, serde, serde_json, tokio, tracing};
