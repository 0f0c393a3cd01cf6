//! The engine's side of a receipt.

use std::any::Any;
use std::sync::Arc;

use trunkline_broker::record::ReceiptToken;

use super::partition::Partition;
use super::slot::Share;

/// The right to settle one record under one lease.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) partition: Arc<Partition>,
    pub(crate) session: u64,
    pub(crate) tag: u64,
    /// Its part of what the intake may have in hand.
    pub(crate) share: Share,
}

impl ReceiptToken for Token {
    fn give_back(self: Box<Self>) {
        self.partition.give_back(self.session, self.tag);
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
