//! The console on a real engine and a real store, over real HTTP.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod asking;
mod crashing;
mod damage;
mod keeping;
mod listing;
mod made;
mod refusing;
mod replaying;
mod webhooks;
mod world;

use std::time::Duration;

/// Within this time what is to come has come.
const SOON: Duration = Duration::from_secs(20);
