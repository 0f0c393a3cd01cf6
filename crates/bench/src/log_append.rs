//! The limit of a durable publish: append to a plain file, wait for the disk, nothing else.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::compare::Run;
use crate::ledger::{Ledger, PAYLOAD_BYTES, Payloads};
use crate::place::Place;
use crate::process::{Meter, runtime};

/// One thread appends groups of `group` records, each group with one write and one fdatasync.
///
/// # Errors
/// The disk's, or that the file does not hold what was written.
pub fn alone(place: &Place, group: u32, lasting: Duration) -> anyhow::Result<Run> {
    let folder = place.fresh()?;
    let path = folder.path().join("log");
    let mut file = File::create(&path)?;
    let payloads = Payloads::default();
    let mut rounds = 0;
    let meter = Meter::start()?;
    let end = Instant::now() + lasting;
    let mut buffer = Vec::with_capacity(group as usize * PAYLOAD_BYTES);
    while Instant::now() < end {
        buffer.clear();
        (0..group).for_each(|key| buffer.extend_from_slice(&payloads.make(key, rounds)));
        file.write_all(&buffer)?;
        file.sync_data()?;
        rounds += 1;
    }
    let run = meter.stop(u64::from(group) * u64::from(rounds), u64::from(rounds))?;
    check(&path, &payloads, (0..group).map(|key| (key, rounds)))?;
    Ok(run)
}

/// `writers` tasks write one record at a time and wait for it; a thread gathers whatever waits, appends it with one write
/// and one fdatasync, and answers.
///
/// # Errors
/// The disk's, or that the file does not hold what was confirmed.
pub fn gathered(place: &Place, writers: u32, lasting: Duration) -> anyhow::Result<Run> {
    let folder = place.fresh()?;
    let path = folder.path().join("log");
    let mut file = File::create(&path)?;
    let payloads = Arc::new(Payloads::default());
    let (sender, mut waiting) = mpsc::channel::<(Bytes, oneshot::Sender<()>)>(writers as usize);
    let meter = Meter::start()?;
    let gathering = std::thread::spawn(move || -> std::io::Result<u64> {
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
    });
    let confirmed = runtime()?.block_on(async {
        let end = Instant::now() + lasting;
        let write = |key| write(key, payloads.clone(), sender.clone(), end);
        let tasks: Vec<_> = (0..writers).map(|key| tokio::spawn(write(key))).collect();
        drop(sender);
        let mut confirmed = Vec::new();
        for (key, task) in (0..).zip(tasks) {
            confirmed.push((key, task.await?));
        }
        anyhow::Ok(confirmed)
    })?;
    let syncs = gathering.join().map_err(|_panic| anyhow::anyhow!("the gathering thread panicked"))??;
    let records = confirmed.iter().map(|(_, count)| u64::from(*count)).sum();
    let run = meter.stop(records, syncs)?;
    check(&path, &payloads, confirmed.into_iter())?;
    Ok(run)
}

async fn write(
    key: u32,
    payloads: Arc<Payloads>,
    sender: mpsc::Sender<(Bytes, oneshot::Sender<()>)>,
    end: Instant,
) -> u32 {
    let mut sequence = 0;
    while Instant::now() < end {
        let (answer, answered) = oneshot::channel();
        if sender.send((payloads.make(key, sequence), answer)).await.is_err() || answered.await.is_err() {
            break;
        }
        sequence += 1;
    }
    sequence
}

fn check(path: &Path, payloads: &Payloads, counts: impl Iterator<Item = (u32, u32)>) -> anyhow::Result<()> {
    let (mut came, mut expected) = (Ledger::default(), Ledger::default());
    counts.for_each(|(key, count)| expected.expect(payloads, key, count));
    let mut file = std::io::BufReader::new(File::open(path)?);
    let mut left = std::fs::metadata(path)?.len();
    let mut payload = [0; PAYLOAD_BYTES];
    while left > 0 {
        file.read_exact(&mut payload)?;
        came.add(&payload)?;
        left = left.saturating_sub(PAYLOAD_BYTES as u64);
    }
    came.check(expected)
}
