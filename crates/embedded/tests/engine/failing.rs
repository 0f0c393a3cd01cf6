//! Disks that fail (E6) and disks that are slow (E9).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use trunkline_broker::{Broker, Ensure, HandOverError, Keep, PublishFailure, Start};
use trunkline_embedded::{Disk, EmbeddedBroker, Options, OsDisk};

use crate::scene::{channel, group, number, open, options, record, spec, take_all, try_publish};

/// Fails once when told to, then would succeed again: that is what makes retrying a lie.
#[derive(Debug, Default)]
struct Failing {
    now: AtomicBool,
}

impl Disk for Failing {
    fn sync(&self, wal: &File) -> io::Result<()> {
        if self.now.swap(false, Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        OsDisk.sync(wal)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        OsDisk.free_bytes(directory)
    }
}

#[derive(Debug)]
struct Slow {
    takes: Duration,
    syncs: AtomicU64,
}

impl Disk for Slow {
    fn sync(&self, wal: &File) -> io::Result<()> {
        std::thread::sleep(self.takes);
        self.syncs.fetch_add(1, Ordering::SeqCst);
        OsDisk.sync(wal)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        OsDisk.free_bytes(directory)
    }
}

#[tokio::test]
async fn a_failed_sync_is_never_retried_into_a_confirmation() {
    let place = tempfile::tempdir().unwrap();
    let disk = Arc::new(Failing::default());
    let broker = open(place.path(), Options { disk: disk.clone(), ..options() }, Keep::UntilSettled).await;
    broker.publish((0..10).map(|number| record(number, 100)).collect()).await.unwrap();
    let (mut intake, settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
    let taken = take_all(intake.as_mut()).await;
    assert_eq!(taken.len(), 10);

    disk.now.store(true, Ordering::SeqCst);
    for number in 10..13 {
        let refused = try_publish(&broker, record(number, 100)).await;
        assert!(matches!(refused, Err(PublishFailure::Unavailable(_))), "{refused:?}");
    }
    let receipts: Vec<_> = taken.into_iter().map(|received| received.receipt).collect();
    match settler.hand_over(receipts, Vec::new()).await {
        Err(HandOverError::Unavailable { inputs, cause, .. }) => {
            assert_eq!(inputs.len(), 10, "the inputs come back");
            let causes = std::iter::successors(cause.source(), |error| error.source());
            assert!(causes.last().is_some_and(|last| last.to_string().contains("os error 5")), "{cause:?}");
        }
        other => panic!("a settlement that can't be durable was answered with {other:?}"),
    }
    assert!(broker.ensure(&[spec(Keep::UntilSettled)], Ensure::Create).await.is_err());
    broker.close();

    // What was confirmed is there; what was refused may be, once.
    let broker = open(place.path(), options(), Keep::UntilSettled).await;
    let (mut intake, _settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
    let mut found: Vec<u64> = take_all(intake.as_mut()).await.iter().map(number).collect();
    found.sort_unstable();
    assert_eq!(found[..10], (0..10).collect::<Vec<_>>());
    assert!(found.len() <= 11, "only the first refused one was ever written: {found:?}");
    try_publish(&broker, record(20, 100)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_disk_groups_grow_and_nobody_waits_long() {
    let place = tempfile::tempdir().unwrap();
    let takes = Duration::from_millis(50);
    let disk = Arc::new(Slow { takes, syncs: AtomicU64::new(0) });
    let broker = open(place.path(), Options { disk: disk.clone(), ..options() }, Keep::UntilSettled).await;
    let syncs = disk.syncs.load(Ordering::SeqCst);
    let mut publishers = JoinSet::new();
    for publisher in 0..64 {
        publishers.spawn(publish_some(broker.clone(), publisher));
    }
    let mut waits: Vec<Duration> = publishers.join_all().await.into_iter().flatten().collect();
    waits.sort_unstable();
    let p99 = waits[waits.len() * 99 / 100];
    assert!(p99 <= takes * 3, "p99 is {p99:?}");
    let syncs = disk.syncs.load(Ordering::SeqCst) - syncs;
    assert!(syncs <= 20, "{} records took {syncs} flushes", waits.len());
}

async fn publish_some(broker: EmbeddedBroker, publisher: u64) -> Vec<Duration> {
    let mut waits = Vec::new();
    for round in 0..6 {
        let begun = Instant::now();
        try_publish(&broker, record(publisher * 100 + round, 1000)).await.unwrap();
        waits.push(begun.elapsed());
    }
    waits
}
