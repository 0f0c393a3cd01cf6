//! Connections for consuming: each lease has an AMQP channel, and a connection has room for about two thousand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::connection::Address;
use crate::link::Link;

/// Leases on one connection; the broker's own limit is 2,047 AMQP channels.
const LEASES: usize = 1000;

/// Connections, opened as they are needed.
#[derive(Debug)]
pub(crate) struct ConsumerLinks {
    address: Address,
    longest_pause: Duration,
    closing: CancellationToken,
    links: Mutex<Vec<Arc<Link>>>,
}

impl ConsumerLinks {
    pub(crate) fn new(address: Address, longest_pause: Duration, closing: CancellationToken) -> Self {
        Self { address, longest_pause, closing, links: Mutex::default() }
    }

    /// A connection with room for one more lease, for as long as the returned handle is kept.
    pub(crate) fn one(&self) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        // One handle is the list's own.
        if let Some(link) = links.iter().find(|link| Arc::strong_count(link) <= LEASES) {
            return link.clone();
        }
        let (address, closing) = (self.address.clone(), self.closing.clone());
        let link = Arc::new(Link::keep(address, "consume", None, self.longest_pause, closing));
        links.push(link.clone());
        link
    }

    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
