//! What a process takes of the machine, by the system's own count.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::compare::Run;

/// Processor time of a process since it began, all threads, in user and system mode (`/proc/PID/stat`; see proc(5)).
///
/// # Errors
/// No such process.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).context("a process's times can't be read")?;
    // The name in parentheses may hold anything; utime and stime are fields 14 and 15, the first after it is field 3.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat without a name")?;
    let ticks =
        fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Resident memory of a process in KiB (`VmRSS` of `/proc/PID/status`).
///
/// # Errors
/// No such process.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Measures a piece of work done in this process.
#[derive(Debug)]
pub struct Meter {
    cpu: Duration,
    started: Instant,
}

impl Meter {
    /// Begins.
    ///
    /// # Errors
    /// The process's times can't be read.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { cpu: cpu(std::process::id())?, started: Instant::now() })
    }

    /// Ends, with how much was done.
    ///
    /// # Errors
    /// The process's times can't be read.
    pub fn stop(self, records: u64, syncs: u64) -> anyhow::Result<Run> {
        let took = self.started.elapsed();
        Ok(Run { records, took, cpu: cpu(std::process::id())?.saturating_sub(self.cpu), syncs })
    }
}

/// A runtime as `trunkline up` has one on two cores.
///
/// # Errors
/// The system's.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
