//! The time of a run: CPU time of its thread, so that a busy machine fails no program.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use vrl::compiler::runtime::ExecutionControl;

use super::{Limits, RunError};

/// How old the last reading of the CPU clock may be when a run starts.
const FRESH: Duration = Duration::from_millis(1);

/// The CPU time this thread has used.
pub(super) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // The kernel gives neither negative seconds nor more than 10^9 nanoseconds.
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// The last reading of the CPU clock, from which the next run's start is estimated: reading costs as much as a small
/// program does. Counts for one thread.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<(Duration, Instant)>,
}

impl Watch {
    /// Forgets the last reading; for the next thread.
    pub(crate) fn reset(&mut self) {
        self.last = None;
    }

    /// The last reading, if it is younger than `fresh`, else a new one; and how old it is.
    fn read(&mut self, clock: fn() -> Duration, now: Instant, fresh: Duration) -> (Duration, Duration) {
        if let Some((cpu, at)) = self.last
            && now.duration_since(at) < fresh
        {
            return (cpu, now.duration_since(at));
        }
        let cpu = clock();
        self.last = Some((cpu, now));
        (cpu, Duration::ZERO)
    }
}

/// The time one run gets, and what it used of it.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    pub(crate) limits: &'a Limits,
    watch: &'a mut Watch,
    slice: Duration,
    /// What the run used; of a run that made a value in less than a millisecond, nothing.
    pub(crate) used: Duration,
}

impl<'a> Meter<'a> {
    /// A meter for a run of at most `slice`.
    pub(crate) fn new(limits: &'a Limits, watch: &'a mut Watch, slice: Duration) -> Self {
        Self { limits, watch, slice, used: Duration::ZERO }
    }

    /// Times a run. `None` of it means that it was stopped.
    pub(super) fn run<T>(
        &mut self,
        run: impl FnOnce(&mut Stopwatch) -> Result<Option<T>, RunError>,
    ) -> Result<T, RunError> {
        let started = Instant::now();
        // A thread works no longer than time passes: since the reading, at most for its age.
        let (cpu, age) = self.watch.read(self.limits.clock, started, FRESH.min(self.slice / 4));
        let mut stopwatch = Stopwatch {
            clock: self.limits.clock,
            ends: cpu + age + self.slice,
            look_at: started + self.slice,
            odd: false,
            expired: false,
        };
        let made = match run(&mut stopwatch) {
            Ok(Some(made)) => Ok(made),
            Ok(None) if stopwatch.expired => Err(RunError::TooSlow(self.slice)),
            Ok(None) => Err(RunError::TooLarge(super::compile::value_limit(self.limits))),
            Err(error) => Err(error),
        };
        let now = Instant::now();
        let took = now.duration_since(started);
        if made.is_err() || took >= FRESH {
            let (after, _) = self.watch.read(self.limits.clock, now, Duration::ZERO);
            self.used = after.saturating_sub(cpu).min(took);
        }
        made
    }
}

/// Says stop when the time is over. No thread works longer than time passes, so the CPU clock is asked only when a run
/// could have used its time up by the monotonic clock, which is cheap; most runs end before.
pub(super) struct Stopwatch {
    clock: fn() -> Duration,
    /// The CPU clock's reading at which to stop.
    ends: Duration,
    /// When the CPU clock is to be read.
    look_at: Instant,
    odd: bool,
    expired: bool,
}

impl ExecutionControl for Stopwatch {
    fn checkpoint(&mut self) -> ControlFlow<()> {
        self.odd = !self.odd;
        if self.odd {
            return ControlFlow::Continue(());
        }
        let now = Instant::now();
        if now >= self.look_at {
            let left = self.ends.saturating_sub((self.clock)());
            self.expired = left.is_zero();
            self.look_at = now + left;
        }
        if self.expired { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
