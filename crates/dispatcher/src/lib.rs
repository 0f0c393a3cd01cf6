//! The service that hosts destinations: deliveries in, attempts out.
//!
//! Everything that happens to a delivery is in [`trunkline_sdk::delivery`], where a team's own adapter in its own process
//! has it too. What is left for this crate is to make the adapters a configuration names, to follow the configuration
//! as it changes, and to start the runtime anew when its intake ended. It never delivers `external` destinations.
#![warn(missing_docs)]

mod service;
mod settings;

pub use service::run;
pub use settings::DispatcherSettings;
