//! Room on the disks that are written to.

use trunkline_core::config::{Diagnostics, Severity, SizeSetting};
use trunkline_sdk::config::code;

use super::{Part, nearest};

/// What the embedded engine keeps free for settling, and its log: below this it refuses new events.
const LEAST: u64 = 64 << 20;

/// Judges the disk behind each file and folder that a part writes to.
pub(super) fn judge(part: &Part, room: u64, findings: &mut Diagnostics) {
    for path in &part.found.written {
        let there = nearest(path);
        let Ok(disk) = rustix::fs::statvfs(&there) else { continue };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let shown = path.display();
        let problem = if disk.f_files > 0 && disk.f_favail == 0 {
            format!("the disk of {shown} has no inodes left: no file can be made")
        } else if free < room {
            format!(
                "the disk of {shown} has {} free, less than {}",
                SizeSetting(free >> 20 << 20),
                SizeSetting(room)
            )
        } else {
            continue;
        };
        let severity = if free < LEAST.min(room) { Severity::Error } else { Severity::Warning };
        let remedy = "free some, or move it to a larger disk; when it is full new events are refused. `--room` says how \
                      much is enough";
        findings.push(part.whole.clone().diagnostic(severity, code::DISK, problem, remedy.to_owned()));
    }
}
