//! What the engine's parts share.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::consume::links::ConsumerLinks;
use crate::control::Control;
use crate::members::Members;
use crate::names::Names;
use crate::news::Asking;
use crate::options::Options;
use crate::publish::Publisher;
use crate::sequence::Sequence;

/// One broker as one process sees it.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) names: Names,
    pub(crate) catalog: Catalog,
    pub(crate) control: Control,
    pub(crate) publisher: Publisher,
    pub(crate) members: Members,
    pub(crate) asking: Asking,
    pub(crate) links: ConsumerLinks,
    /// Cancelled when the engine closes.
    pub(crate) closing: CancellationToken,
    /// Runs the engine's tasks, also those that a drop outside of it begins.
    pub(crate) runtime: Handle,
    /// Numbers for records that come without.
    pub(crate) numbers: Mutex<Sequence>,
    /// The foreign publishers' mover runs.
    pub(crate) moving: AtomicBool,
}

impl Core {
    /// A number for a record that came without one of ours.
    pub(crate) fn number(&self, now: SystemTime) -> i64 {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }
}
