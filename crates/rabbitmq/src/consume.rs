//! Consuming: an intake, its channels, the leases on their partitions.

pub(crate) mod inbox;
pub(crate) mod intake;
mod lease;
pub(crate) mod links;
pub(crate) mod partition;
pub(crate) mod receipt;
pub(crate) mod slot;

pub(crate) use lease::take_leases;
