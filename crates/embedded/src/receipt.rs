//! The engine's side of a receipt.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use trunkline_broker::record::ReceiptToken;

use crate::catalog::Channel;
use crate::group::Group;
use crate::inbox::Share;

/// The right to settle one record under one lease.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) channel: Arc<Channel>,
    pub(crate) group: Arc<Group>,
    pub(crate) partition: u16,
    pub(crate) sequence: i64,
    pub(crate) epoch: u64,
    pub(crate) drain: Duration,
    /// Its part of what the intake may have unsettled.
    pub(crate) _share: Share,
}

impl ReceiptToken for Token {
    fn give_back(self: Box<Self>) {
        self.group.give_back(self.partition, self.epoch, self.sequence, self.drain);
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
