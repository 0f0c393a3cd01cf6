//! The embedded engine as the probes use it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use trunkline_broker::{Broker, ChannelName, ChannelSpec, Ensure, GroupName, Keep, Start};
use trunkline_embedded::{Disk, EmbeddedBroker, Options, OsDisk};

use crate::ledger::Ledger;

/// How long nothing may come before a run counts as failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts how often the disk is waited for.
#[derive(Debug, Default)]
pub struct CountingDisk {
    syncs: AtomicU64,
}

impl CountingDisk {
    /// So far.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

impl Disk for CountingDisk {
    fn sync(&self, wal: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        OsDisk.sync(wal)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        OsDisk.free_bytes(directory)
    }
}

/// Opens the engine in a folder, as configured by default but for the counting.
///
/// # Errors
/// The engine's.
pub fn open(folder: &Path) -> anyhow::Result<(EmbeddedBroker, Arc<CountingDisk>)> {
    let disk = Arc::new(CountingDisk::default());
    let options = Options { disk: disk.clone(), ..Options::default() };
    Ok((EmbeddedBroker::open(folder, options)?, disk))
}

/// Makes channels of four partitions with one group each, kept until settled.
///
/// # Errors
/// The engine's.
pub async fn make(broker: &dyn Broker, channels: &[(ChannelName, GroupName)]) -> anyhow::Result<()> {
    let spec = |(name, group): &(ChannelName, GroupName)| ChannelSpec {
        name: name.clone(),
        partitions: 4,
        groups: vec![group.clone()],
        keep: Keep::UntilSettled,
        max_record: 4 << 20,
    };
    let specs: Vec<ChannelSpec> = channels.iter().map(spec).collect();
    Ok(broker.ensure(&specs, Ensure::Create).await?)
}

/// Proves that a channel holds exactly the payloads expected. `payload` takes them out of the records' values.
///
/// # Errors
/// What is missing, too much, changed or out of order.
pub async fn check(
    broker: &dyn Broker,
    channel: &ChannelName,
    expected: Ledger,
    count: u64,
    payload: impl Fn(&Bytes) -> anyhow::Result<Bytes>,
) -> anyhow::Result<()> {
    let mut came = Ledger::default();
    let mut seen = 0;
    let mut observer = broker.observe(channel, Start::Oldest).await?;
    while seen < count {
        let batch = tokio::time::timeout(PATIENCE, observer.next()).await;
        let batch = batch.with_context(|| format!("only {seen} of {count} records are on `{channel}`"))??;
        for record in batch {
            came.add(&payload(&record.value)?)?;
            seen += 1;
        }
    }
    let more = tokio::time::timeout(Duration::from_millis(20), observer.next()).await;
    ensure!(more.is_err(), "more than {count} records are on `{channel}`");
    came.check(expected)
}
