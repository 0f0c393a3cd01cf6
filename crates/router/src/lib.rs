//! The service that turns events into deliveries.
//!
//! It takes batches from `events`, asks the rule set which subscriptions each event concerns and in what form, and
//! hands the batch over: its deliveries, its dead letters and its journey are stored before, or together with, its
//! being settled. It decides nothing else: no attempt is made here, no destination is known but by its name.
//!
//! Read [`convert`] for what becomes of one batch, [`flow`] for how batches move and `lanes` for how they are handed over, [`reload`] for how a changed
//! configuration replaces the rule set as a whole.

pub mod convert;
pub mod flow;
pub mod reload;

mod forms;
mod inbound;
mod lanes;
mod measure;
mod refused;
mod restraint;
mod traced;

mod service;

pub use service::{RouterSettings, run};
