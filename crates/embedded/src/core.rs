//! What all parts of an open engine share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{oneshot, watch};

use crate::catalog::{Catalog, Lane};
use crate::clock::Clock;
use crate::error::EngineError;
use crate::options::Options;
use crate::queue::Queue;
use crate::reader::{Part, Read, SlotPlan};
use crate::request::Request;

/// KiB of requests that may wait for the writer.
const QUEUE_KIB: u32 = 64 * 1024;
/// Reads that may wait for a reader.
const READS: u32 = 1024;

/// Shared by handles, intakes and threads.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) directory: PathBuf,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) catalog: Catalog,
    pub(crate) requests: Queue<Request>,
    pub(crate) reads: Queue<Read>,
    /// Turns true when the engine is closed; also wakes everybody who waits when damage is found.
    pub(crate) closed: watch::Sender<bool>,
    /// The failure after which nothing is accepted any more.
    stopped: OnceLock<EngineError>,
    members: AtomicU64,
}

impl Core {
    pub(crate) fn new(directory: PathBuf, options: Options, catalog: Catalog) -> Self {
        Self {
            directory,
            options,
            clock: Clock::start(),
            catalog,
            requests: Queue::new(QUEUE_KIB),
            reads: Queue::new(READS),
            closed: watch::Sender::new(false),
            stopped: OnceLock::new(),
            members: AtomicU64::new(1),
        }
    }

    /// A number for an intake, never given twice.
    pub(crate) fn next_member(&self) -> u64 {
        self.members.fetch_add(1, Ordering::Relaxed)
    }

    /// The failure of the disk after which nothing is accepted.
    pub(crate) fn stopped(&self) -> Option<EngineError> {
        self.stopped.get().map(|cause| EngineError::Stopped(std::sync::Arc::new(cause.clone())))
    }

    /// Accepts nothing from now on: what the failure left on the disk is not known.
    pub(crate) fn stop(&self, cause: EngineError) {
        tracing::error!(directory = %self.directory.display(), error = %cause, "the disk failed, nothing is accepted any more; restart once it is well");
        // The first failure is the one to report.
        if self.stopped.set(cause).is_err() {
            tracing::debug!("the engine had stopped before");
        }
    }

    /// A lane is damaged: it is not read any more, and whoever consumes it is told.
    pub(crate) fn note_damage(&self, lane: &Lane, detail: &str) {
        lane.set_damage(detail);
        self.closed.send_modify(|_| {});
    }

    /// Nothing is taken any more; what the threads still have is finished.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
        self.requests.close();
        self.reads.close();
    }

    /// The threads are gone: nobody may wait for them.
    pub(crate) fn abandon(&self) {
        self.close();
        self.requests.clear();
        self.reads.clear();
    }

    /// Asks a reader; the answer comes through the receiver.
    pub(crate) async fn read(
        &self,
        slots: Vec<SlotPlan>,
        max_bytes: usize,
    ) -> Result<oneshot::Receiver<Result<Vec<Part>, EngineError>>, EngineError> {
        let (reply, answer) = oneshot::channel();
        match self.reads.push(Read { slots, max_bytes, reply }, 1).await {
            Ok(()) => Ok(answer),
            Err(_) => Err(EngineError::Closed),
        }
    }
}
