//! How fast Trunkline is, measured against limits.
//!
//! A *limit* is a program that does the least anyone could do with the same engine, durability and record sizes. Each
//! probe runs limit and ours by turns, pairs them, and says beside the ratio how far two runs of the limit are apart.
//! Every run proves that it did its work ([`ledger`]): a figure of a run that lost or reordered something is an error,
//! not a figure. Nothing here reads the product's own metrics.
//!
//! Read [`compare`] for the arithmetic, then a probe: [`embedded`] with its limit [`log_append`], [`route`],
//! [`remote`] with its limits [`pass`], [`matching`], [`gateway`], [`idle`].

pub mod compare;
pub mod embedded;
pub mod engine;
pub mod gateway;
pub mod idle;
pub mod ledger;
pub mod log_append;
pub mod matching;
pub mod pass;
pub mod place;
pub mod process;
pub mod remote;
pub mod route;
pub mod rules;
pub mod work;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How often each side runs.
    pub rounds: usize,
    /// What the amount of work is divided by; 1 for figures that mean something.
    pub divide: u32,
}
