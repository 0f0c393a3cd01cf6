//! One subscription: which events, to which destination, in what form.

use trunkline_core::{DestinationName, SubscriptionName};

use crate::pattern::Pattern;

/// A compiled subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Its name in the configuration.
    pub name: SubscriptionName,
    /// Where it sends.
    pub destination: DestinationName,
    /// Which events it is about.
    pub pattern: Pattern,
    /// Whether it is switched on.
    pub enabled: bool,
}
