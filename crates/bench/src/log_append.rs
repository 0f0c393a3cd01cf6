//! The limit of a durable publish: append to a plain file, wait for the disk, nothing else.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use crate::compare::Run;
use crate::ledger::{Ledger, PAYLOAD_BYTES, Payloads};
use crate::place::Place;
use crate::process::{Meter, runtime};

/// An open file and how many records of each key were appended and synced.
pub struct Log {
    file: File,
    confirmed: Vec<u32>,
    payloads: Arc<Payloads>,
    runtime: Runtime,
    folder: TempDir,
}

type Waiting = (Bytes, oneshot::Sender<()>);

impl Log {
    /// An empty file for records of `writers` keys.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(place: &Place, writers: u32) -> anyhow::Result<Self> {
        let folder = place.fresh()?;
        let file = File::create(folder.path().join("log"))?;
        let confirmed = vec![0; writers as usize];
        Ok(Self { file, confirmed, payloads: Arc::default(), runtime: runtime()?, folder })
    }

    /// This thread alone appends groups of one record of each key, a group with one write and one fdatasync.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, lasting: Duration) -> anyhow::Result<Run> {
        let meter = Meter::start()?;
        let end = Instant::now() + lasting;
        let mut syncs = 0;
        let mut buffer = Vec::with_capacity(self.confirmed.len() * PAYLOAD_BYTES);
        while Instant::now() < end {
            buffer.clear();
            for (key, confirmed) in (0..).zip(&mut self.confirmed) {
                buffer.extend_from_slice(&self.payloads.make(key, *confirmed));
                *confirmed += 1;
            }
            self.file.write_all(&buffer)?;
            self.file.sync_data()?;
            syncs += 1;
        }
        meter.stop(syncs * self.confirmed.len() as u64, syncs)
    }

    /// One task per key writes one record at a time and waits for it; a thread gathers whatever waits, appends it with one
    /// write and one fdatasync, and answers.
    ///
    /// # Errors
    /// The disk's.
    pub fn gather(&mut self, lasting: Duration) -> anyhow::Result<Run> {
        let mut file = self.file.try_clone()?;
        let (sender, waiting) = mpsc::channel(self.confirmed.len());
        let meter = Meter::start()?;
        let gathering = std::thread::spawn(move || append_what_waits(&mut file, waiting));
        let end = Instant::now() + lasting;
        let records = self.runtime.block_on(async {
            let write = |(key, from)| write(key, from, self.payloads.clone(), sender.clone(), end);
            let tasks: Vec<_> =
                (0..).zip(self.confirmed.iter().copied()).map(write).map(tokio::spawn).collect();
            drop(sender);
            let mut records = 0;
            for (confirmed, task) in self.confirmed.iter_mut().zip(tasks) {
                let now = task.await?;
                records += u64::from(now - *confirmed);
                *confirmed = now;
            }
            anyhow::Ok(records)
        })?;
        let syncs = gathering.join().map_err(|_panic| anyhow::anyhow!("the gathering thread panicked"))??;
        meter.stop(records, syncs)
    }

    /// Proves that the file holds what was appended.
    ///
    /// # Errors
    /// What it lacks, or has too much or changed.
    pub fn check(self) -> anyhow::Result<()> {
        let (mut came, mut expected) = (Ledger::default(), Ledger::default());
        (0..).zip(&self.confirmed).for_each(|(key, count)| expected.expect(&self.payloads, key, *count));
        let path = self.folder.path().join("log");
        let mut left = std::fs::metadata(&path)?.len();
        let mut file = std::io::BufReader::new(File::open(path)?);
        let mut payload = [0; PAYLOAD_BYTES];
        while left > 0 {
            file.read_exact(&mut payload)?;
            came.add(&payload)?;
            left = left.saturating_sub(PAYLOAD_BYTES as u64);
        }
        came.check(expected)
    }
}

/// Works until all writers are gone; how often it synced.
fn append_what_waits(file: &mut File, mut waiting: mpsc::Receiver<Waiting>) -> std::io::Result<u64> {
    let (mut buffer, mut answers, mut syncs) = (Vec::new(), Vec::new(), 0);
    while let Some(first) = waiting.blocking_recv() {
        let mut next = Some(first);
        while let Some((record, answer)) = next {
            buffer.extend_from_slice(&record);
            answers.push(answer);
            next = waiting.try_recv().ok();
        }
        file.write_all(&buffer)?;
        file.sync_data()?;
        syncs += 1;
        buffer.clear();
        // A writer that does not wait any more has ended by an error of its own.
        answers.drain(..).for_each(|answer: oneshot::Sender<()>| answer.send(()).unwrap_or_default());
    }
    Ok(syncs)
}

/// Writes until `end`, beginning with the record of this number; the number after its last.
async fn write(
    key: u32,
    from: u32,
    payloads: Arc<Payloads>,
    sender: mpsc::Sender<Waiting>,
    end: Instant,
) -> u32 {
    let mut sequence = from;
    while Instant::now() < end {
        let (answer, answered) = oneshot::channel();
        if sender.send((payloads.make(key, sequence), answer)).await.is_err() || answered.await.is_err() {
            break;
        }
        sequence += 1;
    }
    sequence
}
