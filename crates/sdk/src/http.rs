//! An HTTP client that destinations can be trusted with: it reaches only where a configuration may send it.
//!
//! URLs come from configurations and, through templates, from events, so they are not to be believed. [`GuardedClient`]
//! refuses every address that is not public, unless its settings say `allow_private`, and it judges the very address
//! the connection will use: names are resolved and filtered in one place, so a name server that answers differently
//! the second time gains nothing. Redirects are not followed, no proxy is taken from the environment, nothing is sent
//! twice, and an answer is read up to a limit.
//!
//! [`Outcome::of`] says what a status code means for a delivery, alike for every adapter that speaks HTTP.

mod address;
mod client;
mod header;
mod outcome;
mod resolver;
mod target;

pub use address::is_public;
pub use client::{Answer, ClientError, ClientSettings, GuardedClient, Request, SendError};
pub use header::{HeaderProblem, MAX_HEADER_VALUE, header_value};
pub use outcome::{DEFAULT_RETRY_AFTER, Outcome, retry_after};
pub use resolver::{RefusedAddress, Resolver, SystemResolver};
pub use target::{TargetError, check_target};

#[cfg(test)]
mod tests;
