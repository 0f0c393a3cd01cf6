//! The pure heart of Trunkline: what an event is, how it is looked into, what a delivery and a dead letter are, how a
//! retry policy judges a failure, and how a configuration document is read with every mistake named.
//!
//! This crate does no I/O, reads no clock and no randomness, and knows no broker: time and jitter are arguments. That
//! makes everything here testable by tables and properties, and usable from any adapter without a runtime.
//!
//! Read it in the order of an event's life: [`event`], [`value`] and [`view`], [`delivery`], [`retry`], [`dead_letter`],
//! [`journey`]; then [`config`], which the binary and the adapters use to read their settings.
#![warn(missing_docs)]

pub mod config;
pub mod dead_letter;
pub mod delivery;
pub mod event;
pub mod examination;
pub mod journey;
pub mod json;
pub mod names;
pub mod retry;
mod timestamp;
pub mod types;
pub mod value;
pub mod view;
mod wire;

pub use dead_letter::{DeadLetter, DeadLetterReason};
pub use delivery::{Attempt, Body, Delivery};
pub use event::{Data, DecodeError, Event, EventBuilder};
pub use examination::{Clock, Examination, Fault, Finding};
pub use names::{DestinationName, NameError, SourceName, SubscriptionName};
pub use retry::{FailureClass, RetryPolicy, Verdict};
pub use types::TypeCatalogue;
pub use value::Value;
pub use view::EventView;
