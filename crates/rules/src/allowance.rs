//! How much time programs may use up without a result.
//!
//! A program that is stopped costs as much as thousands of events, so a subscription whose programs are stopped again
//! and again would slow every other one. [`Allowances`] bounds what is wasted that way: each program has a stock of
//! time that stopped runs are paid from and that fills slowly, with the events that are routed and with the time that
//! passes. As it empties, a run gets less time, at last too little for large events; those that a program handles
//! quickly are not affected. A program whose stock is empty is not run.

use std::collections::HashMap;
use std::time::Duration;

use trunkline_core::SubscriptionName;

use crate::program::{Limits, Meter, RunError, Watch};
use crate::rule_set::Stage;

/// The stock when it is full, in deadlines of a run.
const FULL: u32 = 5;
/// The last of the stock, in deadlines, is for runs of the least length; of what is before it, a run gets at most a half.
const RESERVE: u32 = 1;
/// The least length of a run, in parts of a deadline: 80 us of 20 ms, more than most transforms take.
const LEAST: u32 = 250;
/// A shorter run than this for each byte of the event would end in its first steps.
const PER_BYTE: Duration = Duration::from_nanos(10);
/// What each event that is routed adds, in parts of a deadline: 0.4 us of 20 ms, a twentieth of what routing costs.
const PER_EVENT: u32 = 50_000;
/// What passing time adds: a thousandth of it.
const PER_TIME: u32 = 1_000;

/// What the programs of a rule set's subscriptions may still use up without a result. Belongs to whoever routes a stream
/// of events, and to one rule set: start with a new one when the rule set is replaced.
#[derive(Debug, Default)]
pub struct Allowances {
    /// What was added to every stock alike.
    added: Duration,
    /// Of the programs whose stock is not full, up to where `added` must come for that.
    full_at: HashMap<SubscriptionName, Marks>,
    watch: Watch,
}

#[derive(Debug, Default, Clone, Copy)]
struct Marks {
    condition: Duration,
    transform: Duration,
}

impl Marks {
    fn of(&self, stage: Stage) -> Duration {
        if stage == Stage::Transform { self.transform } else { self.condition }
    }
}

impl Allowances {
    /// Stocks that are full.
    pub fn new() -> Self {
        Self::default()
    }

    /// To be called before events are routed on another thread than the last ones, or after a pause; `elapsed` is the
    /// time since the last call.
    pub fn resume(&mut self, elapsed: Duration) {
        self.watch.reset();
        self.added += elapsed / PER_TIME;
        let added = self.added;
        self.full_at.retain(|_, marks| marks.condition > added || marks.transform > added);
    }

    /// Whether every stock is full.
    pub fn is_full(&self) -> bool {
        self.full_at.is_empty()
    }

    /// The subscriptions whose programs get less time than others, because they were stopped too often, by name.
    pub fn restrained<'a>(&'a self, limits: &'a Limits) -> impl Iterator<Item = &'a SubscriptionName> {
        let short = |marks: &Marks| {
            [marks.condition, marks.transform].into_iter().any(|full_at| {
                self.slice_at(full_at, limits.deadline).is_none_or(|slice| slice < limits.deadline)
            })
        };
        self.full_at.iter().filter(move |(_, marks)| short(marks)).map(|(name, _)| name)
    }

    /// Counts an event.
    pub(crate) fn event(&mut self, limits: &Limits) {
        self.added += limits.deadline / PER_EVENT;
    }

    /// Runs one program of a subscription on an event of `size` bytes in at most `left`, of which the run's time is taken.
    pub(crate) fn run<T>(
        &mut self,
        subscription: &SubscriptionName,
        stage: Stage,
        size: usize,
        limits: &Limits,
        left: &mut Duration,
        run: impl FnOnce(&mut Meter<'_>) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let slice = self.slice(subscription, stage, limits.deadline);
        let worth = |slice: &Duration| {
            *slice == limits.deadline || *slice >= PER_BYTE * u32::try_from(size).unwrap_or(u32::MAX)
        };
        let slice = slice.filter(worth).ok_or(RunError::NotRun)?;
        let mut meter = Meter::new(limits, &mut self.watch, slice.min(*left));
        let made = run(&mut meter);
        let used = meter.used;
        *left = left.saturating_sub(used);
        if made.as_ref().is_err_and(|error| is_waste(error, used, limits)) {
            self.charge(subscription, stage, used);
        }
        made
    }

    /// How long a run may take; `None` when the stock is empty.
    fn slice(&self, subscription: &SubscriptionName, stage: Stage, deadline: Duration) -> Option<Duration> {
        if self.full_at.is_empty() {
            return Some(deadline);
        }
        let marks = self.full_at.get(subscription);
        marks.map_or(Some(deadline), |marks| self.slice_at(marks.of(stage), deadline))
    }

    fn slice_at(&self, full_at: Duration, deadline: Duration) -> Option<Duration> {
        let stock = (deadline * FULL).checked_sub(full_at.saturating_sub(self.added))?;
        let least = deadline / LEAST;
        let half = stock.saturating_sub(deadline * RESERVE) / 2;
        (stock >= least).then_some(half.clamp(least, deadline))
    }

    fn charge(&mut self, subscription: &SubscriptionName, stage: Stage, used: Duration) {
        let marks = self.full_at.entry(subscription.clone()).or_default();
        let full_at = if stage == Stage::Transform { &mut marks.transform } else { &mut marks.condition };
        *full_at = (*full_at).max(self.added) + used;
    }
}

/// Whether a run without a value was a waste: it was stopped, or worked long before it failed. A program that says no to
/// an event at once is no trouble to anybody.
fn is_waste(error: &RunError, used: Duration, limits: &Limits) -> bool {
    match error {
        RunError::TooSlow(_) | RunError::TooLarge(_) | RunError::TooLong(_) | RunError::Panicked => true,
        RunError::Failed(_) | RunError::NotText { .. } => used > limits.deadline / 25,
        RunError::View(_) | RunError::NotRun => false,
    }
}
