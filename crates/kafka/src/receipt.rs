//! The engine's side of a receipt.

use std::any::Any;
use std::sync::Arc;

use trunkline_broker::record::ReceiptToken;

use crate::lease::Part;

/// The right to settle one record under one lease.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) part: Arc<Part>,
    pub(crate) offset: i64,
    pub(crate) bytes: usize,
}

impl ReceiptToken for Token {
    fn give_back(self: Box<Self>) {
        self.part.give_back(self.offset, self.bytes);
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
