//! Moving what is in the write-ahead log into the database.
//!
//! Most of it is done by a thread of its own while the writer goes on. That can't reach the end of a log that grows
//! meanwhile, so when the log has its usual size the writer moves the little that is left, and the log begins anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use rusqlite::Connection;

use crate::core::Core;
use crate::error::EngineError;

/// The writer's side: when to ask for a checkpoint, and when to finish one.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    ask: SyncSender<()>,
    busy: Arc<AtomicBool>,
    /// The log's usual size in pages.
    usual: i64,
    /// Pages at the last checkpoint that was asked for.
    asked_at: i64,
    /// Pages at the last one that should have finished. A reader may have stood in its way.
    finished_at: i64,
}

impl Checkpoints {
    pub(crate) fn new(ask: SyncSender<()>, busy: Arc<AtomicBool>, usual: i64) -> Self {
        Self { ask, busy, usual: usual.max(16), asked_at: 0, finished_at: 0 }
    }

    /// Asks for a checkpoint in the background when half the log is used; true when the writer must finish it.
    pub(crate) fn is_due(&mut self, pages: i64) -> bool {
        if pages < self.asked_at {
            (self.asked_at, self.finished_at) = (0, 0);
        }
        if pages - self.asked_at >= self.usual / 2 && !self.busy.swap(true, Ordering::AcqRel) {
            self.asked_at = pages;
            if self.ask.try_send(()).is_err() {
                self.busy.store(false, Ordering::Release);
            }
        }
        let due = pages - self.finished_at >= self.usual && !self.busy.load(Ordering::Acquire);
        if due {
            self.finished_at = pages - self.usual / 2;
        }
        due
    }
}

/// The thread: works until the writer is gone.
pub(crate) fn run(core: &Core, connection: &Connection, asked: &Receiver<()>, busy: &AtomicBool) {
    while asked.recv().is_ok() {
        if let Err(error) = checkpoint(connection)
            && !error.is_full()
        {
            core.stop(error);
        }
        busy.store(false, Ordering::Release);
    }
}

/// Moves as much as readers permit, without waiting for them.
pub(crate) fn checkpoint(connection: &Connection) -> Result<(), EngineError> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}
