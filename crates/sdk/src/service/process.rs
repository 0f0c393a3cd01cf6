//! What the process uses, as the kernel says.

use metrics::{counter, gauge};

use crate::metric;

/// Linux counts processor time in hundredths of a second for programs, whatever it counts inside.
const TICKS_PER_SECOND: u64 = 100;
/// Pages are 4 KiB on every platform that is supported.
const PAGE: u64 = 4096;

/// Records memory, processor time and file descriptors. What can't be read is left out.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(super) fn record_process() {
    if let Some(pages) = resident_pages() {
        gauge!(metric::PROCESS_MEMORY).set((pages * PAGE) as f64);
    }
    if let Some(ticks) = processor_ticks() {
        // Whole seconds: a counter counts in whole numbers.
        counter!(metric::PROCESS_CPU).absolute(ticks / TICKS_PER_SECOND);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        gauge!(metric::PROCESS_FDS).set(entries.count() as f64);
    }
}

fn resident_pages() -> Option<u64> {
    std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}

/// `utime` and `stime`, fields 14 and 15 of proc_pid_stat(5). The program's name before them may hold spaces.
fn processor_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}
