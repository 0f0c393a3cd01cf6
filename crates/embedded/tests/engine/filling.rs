//! Full disks and full limits (E5): refused, nothing lost, and accepted again when there is room.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use trunkline_broker::{Broker, HandOverError, Keep, PublishFailure, Start};
use trunkline_embedded::{Disk, EmbeddedBroker, Options, OsDisk};

use crate::scene::{channel, group, number, open, options, record, take_all, try_publish};

/// Says how much is free.
#[derive(Debug)]
struct Measured {
    free: AtomicU64,
}

impl Disk for Measured {
    fn sync(&self, wal: &File) -> io::Result<()> {
        OsDisk.sync(wal)
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}

/// Publishes until it is full; returns how many were confirmed.
async fn fill(broker: &EmbeddedBroker) -> u64 {
    for number in 0..100_000 {
        match try_publish(broker, record(number, 20_000)).await {
            Ok(()) => {}
            Err(PublishFailure::Full(_)) => return number,
            Err(other) => panic!("a full disk is not {other:?}"),
        }
    }
    panic!("it never got full")
}

/// Reads everything, settles it, and waits until publishing works again.
async fn drain_and_go_on(broker: &EmbeddedBroker, confirmed: u64) {
    let (mut intake, settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
    let taken = take_all(intake.as_mut()).await;
    let found: BTreeSet<u64> = taken.iter().map(number).collect();
    assert_eq!(
        found,
        (0..confirmed).collect(),
        "reading goes on, and finds what was confirmed and nothing else"
    );
    let receipts = taken.into_iter().map(|received| received.receipt).collect();
    settler.hand_over(receipts, Vec::new()).await.expect("settling needs next to nothing");
    let begun = Instant::now();
    while let Err(failure) = try_publish(broker, record(1_000_000, 20_000)).await {
        assert!(matches!(failure, PublishFailure::Full(_)), "{failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(1), "there is room again, and still it refuses");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn roomy() -> Options {
    Options { max_unsettled_records: 100_000, max_unsettled_bytes: 1 << 30, ..options() }
}

#[tokio::test]
async fn the_limit_of_bytes_refuses_and_lets_go() {
    let place = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: Some(4 << 20), ..roomy() };
    let broker = open(place.path(), options, Keep::UntilSettled).await;
    let confirmed = fill(&broker).await;
    assert!((100..=210).contains(&confirmed), "{confirmed} records of 20 kB in 4 MiB");
    drain_and_go_on(&broker, confirmed).await;
}

#[tokio::test]
async fn settling_may_store_when_new_records_may_not() {
    let place = tempfile::tempdir().unwrap();
    let disk = Arc::new(Measured { free: AtomicU64::new(1 << 40) });
    let broker = open(place.path(), Options { disk: disk.clone(), ..roomy() }, Keep::UntilSettled).await;
    try_publish(&broker, record(0, 100)).await.unwrap();
    disk.free.store(1 << 20, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(matches!(try_publish(&broker, record(1, 100)).await, Err(PublishFailure::Full(_))));

    let (mut intake, settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
    let taken = take_all(intake.as_mut()).await;
    let receipts = taken.into_iter().map(|received| received.receipt).collect();
    settler.hand_over(receipts, vec![record(2, 100)]).await.expect("a hand-over may use the reserve");
    disk.free.store(1 << 40, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(150)).await;
    try_publish(&broker, record(3, 100)).await.expect("there is room again");
}

const DIRECTORY: &str = "TRUNKLINE_TEST_TMPFS";

/// A real small disk: a tmpfs that only a child of ours sees. Where none can be mounted, the case says so.
#[test]
fn a_really_full_disk_refuses_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let exe = std::env::current_exe().unwrap();
    let script = "mount -t tmpfs -o size=64m tmpfs \"$0\" || exit 77; exec \"$1\" --exact filling::on_a_small_disk --ignored --nocapture";
    let ran = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .arg(place.path())
        .arg(&exe)
        .env(DIRECTORY, place.path())
        .output();
    match ran {
        Ok(output) if output.status.success() => {}
        Ok(output)
            if output.status.code() == Some(77)
                || String::from_utf8_lossy(&output.stderr).contains("unshare") =>
        {
            println!("skipped: a tmpfs can't be mounted here: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => {
            panic!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => println!("skipped: no `unshare` here: {error}"),
    }
}

#[test]
#[ignore = "started by another test, on a disk of its own"]
fn on_a_small_disk() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        // Without a reserve the disk itself must refuse, in the middle of a transaction or of a checkpoint.
        let broker =
            open(&directory.join("data"), Options { reserve_bytes: 0, ..roomy() }, Keep::UntilSettled).await;
        let ballast = directory.join("ballast");
        std::fs::write(&ballast, vec![1; 40 << 20]).unwrap();
        let confirmed = fill(&broker).await;
        assert!(confirmed > 100, "{confirmed} records fitted");
        let (mut intake, settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
        let taken = take_all(intake.as_mut()).await;
        assert_eq!(taken.len() as u64, confirmed, "reading goes on");
        let receipts = taken.into_iter().map(|received| received.receipt).collect();
        let handed_over = settler.hand_over(receipts, vec![record(confirmed, 20_000)]).await;
        assert!(matches!(handed_over, Ok(()) | Err(HandOverError::Unavailable { .. })), "{handed_over:?}");
        let settled = handed_over.is_ok();
        drop(handed_over);
        drop((intake, settler));

        std::fs::remove_file(&ballast).unwrap();
        let begun = Instant::now();
        while let Err(failure) = try_publish(&broker, record(1_000_000, 20_000)).await {
            assert!(matches!(failure, PublishFailure::Full(_)), "{failure:?}");
            assert!(begun.elapsed() < Duration::from_secs(1), "there is room again, and still it refuses");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        broker.close();
        let broker = open(&directory.join("data"), roomy(), Keep::UntilSettled).await;
        let (mut intake, _settler) = broker.consume(&[channel()], &group(), Start::Oldest).await.unwrap();
        let found: BTreeSet<u64> = take_all(intake.as_mut()).await.iter().map(number).collect();
        let left = if settled { confirmed..=confirmed } else { 0..=confirmed - 1 };
        assert_eq!(found, left.chain([1_000_000]).collect(), "settled: {settled}");
    });
}
