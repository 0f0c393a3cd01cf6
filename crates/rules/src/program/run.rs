//! Running a program on an event.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use trunkline_core::Value;
use trunkline_core::view::{EventView, ViewError};
use vrl::compiler::runtime::{ExecutionControl, Runtime, Terminate};
use vrl::compiler::{ExpressionError, Program, SecretTarget, Target, TimeZone};
use vrl::path::{OwnedTargetPath, PathPrefix};
use vrl::value::Value as Vrl;

use super::{Limits, RunError};

/// One event, as all programs that run on it share it. Built only when the first one asks.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    view: &'a EventView<'a>,
    envelope: OnceCell<Vrl>,
    whole: OnceCell<Result<Vrl, ViewError>>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(view: &'a EventView<'a>) -> Self {
        Self { view, envelope: OnceCell::new(), whole: OnceCell::new() }
    }

    pub(crate) fn view(&self) -> &'a EventView<'a> {
        self.view
    }

    /// The event as an object, with its data only when that is needed.
    fn value(&self, with_data: bool) -> Result<&Vrl, ViewError> {
        if with_data {
            return self.whole.get_or_init(|| self.build(true)).as_ref().map_err(Clone::clone);
        }
        // Without the data nothing can fail; null would be an event without attributes.
        Ok(self.envelope.get_or_init(|| self.build(false).unwrap_or(Vrl::Null)))
    }

    fn build(&self, with_data: bool) -> Result<Vrl, ViewError> {
        let mut members = vrl::value::ObjectMap::new();
        for name in ["id", "source", "type", "subject", "time"] {
            let value = self.view.attribute(name).unwrap_or(Value::Null);
            members.insert(name.into(), super::value::to_vrl(&value));
        }
        members.insert("ext".into(), super::value::to_vrl(&Value::Object(self.view.extensions())));
        if with_data && let Some(data) = self.view.data().map_err(Clone::clone)? {
            members.insert("data".into(), super::value::to_vrl(data));
        }
        Ok(Vrl::Object(members))
    }
}

/// Runs a program; see [`super`] for what it may cost.
pub(super) fn run(
    program: &Program,
    input: &Input<'_>,
    with_data: bool,
    limits: &Limits,
    utc: &TimeZone,
) -> Result<Vrl, RunError> {
    let mut target = ReadOnly(input.value(with_data)?);
    let mut stopwatch = Stopwatch::start(limits);
    // Nothing outside is changed by a run, so nothing can be left half-changed.
    let result = catch_unwind(AssertUnwindSafe(|| {
        Runtime::default().resolve_with_control(&mut target, program, utc, &mut stopwatch)
    }));
    match result {
        Err(_panic) => Err(RunError::Panicked),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Terminate::Interrupted)) if stopwatch.expired => Err(RunError::TooSlow(limits.deadline)),
        Ok(Err(Terminate::Interrupted)) => Err(RunError::TooLarge(super::compile::value_limit(limits))),
        Ok(Err(Terminate::Abort(error) | Terminate::Error(error))) => Err(RunError::Failed(words(&error))),
    }
}

fn words(error: &ExpressionError) -> String {
    match error {
        ExpressionError::Abort { message: None, .. } => "aborted".to_owned(),
        ExpressionError::Abort { message: Some(message), .. } => format!("aborted: {message}"),
        other => other.to_string(),
    }
}

/// The CPU time this thread has used.
pub(super) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // The kernel gives neither negative seconds nor more than 10^9 nanoseconds.
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// Says stop when the time is over. The CPU clock costs more than most expressions do, so it is read only when time
/// enough has passed by the monotonic clock, which is cheap; most runs end before.
struct Stopwatch {
    clock: fn() -> Duration,
    deadline: Duration,
    started: Instant,
    /// When the CPU clock is to be read next.
    look_at: Instant,
    /// The CPU clock's reading at which to stop, known from the first look on.
    ends: Option<Duration>,
    odd: bool,
    expired: bool,
}

const FIRST_LOOK: Duration = Duration::from_millis(1);

impl Stopwatch {
    fn start(limits: &Limits) -> Self {
        let started = Instant::now();
        Self {
            clock: limits.clock,
            deadline: limits.deadline,
            started,
            look_at: started + FIRST_LOOK.min(limits.deadline),
            ends: None,
            odd: false,
            expired: false,
        }
    }

    fn look(&mut self, now: Instant) {
        let used = (self.clock)();
        let ends = *self.ends.get_or_insert_with(|| {
            // Until now it may have worked all the time, or waited for a turn; it gets the benefit of the doubt.
            let worked = now.duration_since(self.started).min(2 * FIRST_LOOK).min(self.deadline);
            used + self.deadline - worked
        });
        self.expired = used >= ends;
        self.look_at = now + ends.saturating_sub(used);
    }
}

impl ExecutionControl for Stopwatch {
    fn checkpoint(&mut self) -> ControlFlow<()> {
        self.odd = !self.odd;
        if self.odd {
            return ControlFlow::Continue(());
        }
        let now = Instant::now();
        if now >= self.look_at {
            self.look(now);
        }
        if self.expired { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The event, which no program changes: the compiler refuses it, and this does again.
#[derive(Debug)]
struct ReadOnly<'a>(&'a Vrl);

const REFUSED: &str = "the event is read-only";

impl Target for ReadOnly<'_> {
    fn target_get(&self, path: &OwnedTargetPath) -> Result<Option<&Vrl>, String> {
        match path.prefix {
            PathPrefix::Event => Ok(self.0.get(&path.path)),
            PathPrefix::Metadata => Ok(None),
        }
    }

    fn target_get_mut(&mut self, _: &OwnedTargetPath) -> Result<Option<&mut Vrl>, String> {
        Err(REFUSED.to_owned())
    }

    fn target_insert(&mut self, _: &OwnedTargetPath, _: Vrl) -> Result<(), String> {
        Err(REFUSED.to_owned())
    }

    fn target_remove(&mut self, _: &OwnedTargetPath, _: bool) -> Result<Option<Vrl>, String> {
        Err(REFUSED.to_owned())
    }
}

impl SecretTarget for ReadOnly<'_> {
    fn get_secret(&self, _: &str) -> Option<&str> {
        None
    }

    fn insert_secret(&mut self, _: &str, _: &str) {}

    fn remove_secret(&mut self, _: &str) {}
}
