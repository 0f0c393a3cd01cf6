//! The router as a process, on a broker that is one too, against a program that only copies.
//!
//! One event is more work for us than for the limit: the limit copies a record, the router decodes the event, asks the
//! rule set, writes a delivery (the event in an envelope that says why and where it goes) and records its journey in one
//! more record a batch. Each run has channels of its own, filled before it begins. It is measured from the moment a tenth
//! of the records has come out to the moment all have, by the broker's own count; then they are read and checked.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::ensure;
use clap::ValueEnum;
use tokio::runtime::Runtime;
use trunkline_sdk::config::JourneyMode;

use crate::Effort;
use crate::compare::{Aim, Comparison, Run, Side, alternate};
use crate::ledger::Ledger;
use crate::pass::Limit;
use crate::place::Place;
use crate::process::runtime;
use crate::work::{Work, payload};

mod child;
mod field;
mod ground;
mod kafka;
mod rabbit;
mod window;

use child::{Child, End};
use field::Field;
use ground::Ground;

/// For whoever reads the figures.
pub const WHAT_IS_COMPARED: &str = "one event: the limit copies a record; ours decodes it, asks the rules, writes a \
                                    delivery and records its journey (a record a batch)";

const KEYS: u32 = 500;
/// Bytes of all events of a run, about, and how many events at most.
const KAFKA: (usize, usize) = (400 << 20, 500_000);
const RABBIT: (usize, usize) = (100 << 20, 40_000);

/// Brokers that are processes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Apache Kafka
    Kafka,
    /// RabbitMQ, quorum queues
    Rabbitmq,
}

/// What is measured.
#[derive(Debug, Clone)]
pub struct Trial {
    /// On which broker.
    pub engine: Engine,
    /// Bytes of an event's data.
    pub bytes: usize,
    /// How many there are; one of them matches.
    pub subscriptions: usize,
    /// In transactions; on Kafka only.
    pub exactly_once: bool,
    /// Kafka's, for both sides.
    pub compression: String,
}

/// What the sides share.
struct Bench<'a> {
    trial: &'a Trial,
    program: &'a Path,
    place: &'a Place,
    runtime: Runtime,
    work: Work,
    ground: Ground,
    /// Numbers the runs, so that each has channels of its own.
    runs: AtomicU32,
}

/// One subscription, or many of which one matches, no transform; the journey as by default, and with failures only.
///
/// `program` is this binary; trunkline's is beside it.
///
/// # Errors
/// A broker that does not start; a run that fails, or lost or reordered something.
pub fn measure(
    trial: &Trial,
    program: &Path,
    place: &Place,
    effort: Effort,
) -> anyhow::Result<Vec<Comparison>> {
    ensure!(
        !trial.exactly_once || trial.engine == Engine::Kafka,
        "only Kafka's hand-overs can be transactions"
    );
    let runtime = runtime()?;
    let ground = Ground::find(trial.engine)?;
    let (total, most) = if trial.engine == Engine::Kafka { KAFKA } else { RABBIT };
    let count = (total / trial.bytes).min(most) / effort.divide as usize;
    let keys = (KEYS / effort.divide).max(1);
    let work = Work::new(keys, (count as u32 / keys).max(10), trial.bytes)?;
    let bench = Bench { trial, program, place, runtime, work, ground, runs: AtomicU32::new(0) };
    if effort.divide == 1 {
        // The broker's first minute of life is not its usual one.
        bench.copy()?;
    }
    let title = |journey| {
        let exactly_once = if trial.exactly_once { ", exactly once" } else { "" };
        format!(
            "route: {:?}, {} B, {} subscriptions{exactly_once}, journey: {journey}",
            trial.engine, trial.bytes, trial.subscriptions
        )
    };
    let (all, failures) = (title("all"), title("failures"));
    let ours = |journey| -> Side<'_> {
        let bench = &bench;
        Box::new(move || bench.route(journey))
    };
    let aim = Aim::Throughput(trial.goal());
    alternate(
        effort.rounds,
        Box::new(|| bench.copy()),
        vec![(&all, aim, ours(JourneyMode::All)), (&failures, aim, ours(JourneyMode::Failures))],
    )
}

impl Trial {
    /// The share of the limit that is to be reached.
    fn goal(&self) -> Option<f64> {
        match (self.subscriptions, self.bytes) {
            (1, 1024) if !self.exactly_once => Some(0.70),
            _ => None,
        }
    }

    fn limit(&self) -> Limit {
        match self.engine {
            Engine::Kafka if self.exactly_once => Limit::KafkaTxn,
            Engine::Kafka => Limit::Kafka,
            Engine::Rabbitmq => Limit::Rabbit,
        }
    }
}

impl Bench<'_> {
    /// The limit's run.
    fn copy(&self) -> anyhow::Result<Run> {
        let field = self.field(JourneyMode::All)?;
        let limit = self.trial.limit().name();
        let arguments = ["pass", limit, self.ground.address(), "--prefix", &field.prefix];
        let compression = ["--compression", &self.trial.compression];
        let child = Child::start(self.program, arguments.into_iter().chain(compression), End::Input)?;
        self.finish(&field, child, false)
    }

    /// Ours.
    fn route(&self, journey: JourneyMode) -> anyhow::Result<Run> {
        let field = self.field(journey)?;
        let configuration = field.configuration.to_string_lossy();
        let arguments = ["run", "router", "-c", &*configuration];
        let child =
            Child::start(&self.program.with_file_name("trunkline"), arguments.into_iter(), End::Signal)?;
        self.finish(&field, child, true)
    }

    fn field(&self, journey: JourneyMode) -> anyhow::Result<Field> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("bench-{}-{number}.", std::process::id());
        let text = field::text(self.trial, &self.ground, &prefix, journey)?;
        self.runtime.block_on(Field::lay(prefix, self.place, &text, &self.work))
    }

    /// Measures what a child does, and checks it.
    fn finish(&self, field: &Field, mut child: Child, routed: bool) -> anyhow::Result<Run> {
        let count = self.work.count();
        let mut scale = self.ground.scale(&field.prefix, self.trial.exactly_once, &self.runtime)?;
        let run = window::watch(&mut child, count, &mut || scale.count())?;
        child.stop()?;
        let mut came = Ledger::default();
        scale.read(count, &mut |value| came.add(&payload(&value, routed)?))?;
        came.check(self.work.expected())?;
        self.runtime.block_on(field.clear())?;
        Ok(run)
    }
}
