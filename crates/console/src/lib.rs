//! The service for operators: dead letters, journeys, replay.
//!
//! It takes `dead.*` and `journey` into the store, where they can be asked, and serves them over an API that the
//! command line and the pages use too. A replay goes to the destination whose dead letter it is, never back through
//! `events`; what a replay does with one dead letter is decided in [`replay::render`].
//!
//! Read [`keeper`] for what is stored, [`api`] for what can be asked and done, [`replay`] for another life.

pub mod api;
pub mod keeper;
pub mod replay;
pub mod settings;

mod service;
mod traced;

pub use service::run;
pub use settings::ConsoleSettings;
