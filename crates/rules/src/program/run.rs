//! Running a program on an event.

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use trunkline_core::Value;
use trunkline_core::view::{EventView, ViewError};
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::{ExpressionError, Program, SecretTarget, Target, TimeZone};
use vrl::path::{OwnedTargetPath, PathPrefix};
use vrl::value::Value as Vrl;

use super::RunError;
use super::stopwatch::Stopwatch;

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

    /// The event's length in bytes.
    pub(crate) fn size(&self) -> usize {
        self.view.event().encoded().len()
    }

    /// The event as an object, with its data only when that is needed.
    pub(super) fn value(&self, with_data: bool) -> Result<&Vrl, ViewError> {
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

/// Runs a program until the stopwatch says stop; `None` when it was stopped. See [`super`] for what it may cost.
pub(super) fn run(
    program: &Program,
    event: &Vrl,
    stopwatch: &mut Stopwatch,
    utc: &TimeZone,
) -> Result<Option<Vrl>, RunError> {
    let mut target = ReadOnly(event);
    // Nothing outside is changed by a run, so nothing can be left half-changed.
    let result = catch_unwind(AssertUnwindSafe(|| {
        Runtime::default().resolve_with_control(&mut target, program, utc, stopwatch)
    }));
    match result {
        Err(_panic) => Err(RunError::Panicked),
        Ok(Ok(value)) => Ok(Some(value)),
        Ok(Err(Terminate::Interrupted)) => Ok(None),
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
