//! The part of a run that is measured.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::child::Child;
use crate::compare::Run;
use crate::process::cpu;

/// The part of the records before the measured ones: joining, connecting, the first batches.
const BEFORE: u64 = 10;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// How long nothing may come before a run counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `total` records have come, and says how fast the later nine tenths of them did. Of a run so short that it
/// was never seen under way, all is measured, its beginning included: such a figure only shows that it ran.
pub(super) fn watch(
    child: &mut Child,
    total: u64,
    count: &mut dyn FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<Run> {
    let begun = Instant::now();
    let first = reach(child, total / BEFORE, total, count)?;
    if first == total {
        return Ok(Run { records: total, took: begun.elapsed(), cpu: cpu(child.id())?, syncs: 0 });
    }
    let (started, before) = (Instant::now(), cpu(child.id())?);
    reach(child, total, total, count)?;
    let (took, cpu) = (started.elapsed(), cpu(child.id())?.saturating_sub(before));
    Ok(Run { records: total - first, took, cpu, syncs: 0 })
}

/// Looks until there are so many; how many there are then, at most `total`.
fn reach(
    child: &mut Child,
    least: u64,
    total: u64,
    count: &mut dyn FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<u64> {
    let (mut before, mut changed) = (0, Instant::now());
    loop {
        let now = count()?.min(total);
        if now >= least && now > 0 {
            return Ok(now);
        }
        if now > before {
            (before, changed) = (now, Instant::now());
        }
        child.check()?;
        ensure!(changed.elapsed() < PATIENCE, "only {now} of {total} records have come");
        std::thread::sleep(LOOK);
    }
}
