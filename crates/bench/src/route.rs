//! The router on the embedded engine, inside this process, against a loop that copies records over the same engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{
    Broker, ChannelName, GroupName, HandOverError, Intake, Intaken, Outgoing, Receipt, Settler, Start,
};
use trunkline_core::DestinationName;
use trunkline_router::convert::Converter;
use trunkline_router::flow::Flow;
use trunkline_rules::RuleSet;
use trunkline_sdk::config::JourneyMode;
use trunkline_sdk::service::Metrics;

use crate::compare::{Aim, Comparison, Run, alternate};
use crate::ledger::PAYLOAD_BYTES;
use crate::place::Place;
use crate::process::{Meter, runtime};
use crate::rules::{compile, one_type, section};
use crate::work::{Work, payload};
use crate::{Effort, engine};

const KEYS: u32 = 500;
const EVENTS_OF_A_KEY: u32 = 80;

/// One subscription that matches everything and transforms nothing; the journey as by default, and with failures only.
///
/// # Errors
/// A run that fails or lost something.
pub fn measure(place: &Place, effort: Effort) -> anyhow::Result<Vec<Comparison>> {
    // As in the running product: what is counted costs time.
    Metrics::install()?;
    let work = Work::new((KEYS / effort.divide).max(1), EVENTS_OF_A_KEY, PAYLOAD_BYTES)?;
    let rules = Arc::new(compile(&section(1, one_type))?);
    let work = &work;
    let route = |journey| {
        let rules = rules.clone();
        move || run(place, work, Some((rules.clone(), journey)))
    };
    let aim = Aim::Throughput(Some(0.60));
    alternate(
        effort.rounds,
        Box::new(|| run(place, work, None)),
        vec![
            ("route: 1 subscription against copying, journey: all", aim, Box::new(route(JourneyMode::All))),
            (
                "route: 1 subscription against copying, journey: failures",
                aim,
                Box::new(route(JourneyMode::Failures)),
            ),
        ],
    )
}

/// Copies, or routes by a rule set, all that `events` holds.
fn run(place: &Place, work: &Work, routed: Option<(Arc<RuleSet>, JourneyMode)>) -> anyhow::Result<Run> {
    let folder = place.fresh()?;
    let (broker, disk) = engine::open(folder.path())?;
    let deliver = ChannelName::deliver(&DestinationName::parse("crm")?);
    let routing = routed.is_some();
    let run = runtime()?.block_on(async {
        let channels = [
            (ChannelName::events(), GroupName::router()),
            (deliver.clone(), GroupName::dispatcher()),
            (ChannelName::journey(), GroupName::console()),
        ];
        engine::make(&broker, &channels).await?;
        work.fill(&broker).await?;
        let before = disk.syncs();
        let meter = Meter::start()?;
        let consumed = broker.consume(&[ChannelName::events()], &GroupName::router(), Start::Oldest).await;
        let (intake, settler) = consumed?;
        let shutdown = CancellationToken::new();
        let left = AtomicU64::new(work.count());
        let settler = Arc::new(Until { settler, left, shutdown: shutdown.clone() });
        match routed {
            Some((rules, journey)) => route(intake, settler, rules, journey, shutdown).await?,
            None => copy(intake, settler, &deliver, shutdown).await?,
        }
        let run = meter.stop(work.count(), disk.syncs() - before)?;
        let payload = |value: &Bytes| payload(value, routing);
        engine::check(&broker, &deliver, work.expected(), run.records, payload).await?;
        anyhow::Ok(run)
    })?;
    broker.close();
    Ok(run)
}

async fn route(
    intake: Box<dyn Intake>,
    settler: Arc<Until>,
    rules: Arc<RuleSet>,
    journey: JourneyMode,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let converter = Converter { instance: "bench".to_owned(), journey, max_record: 4 << 20 };
    let converter = Arc::new(converter);
    let rules = Arc::new(ArcSwap::new(rules));
    let flow = Flow { intake, settler, converter, rules, grace: Duration::from_secs(5) };
    // On a thread of the runtime's own, as a service is.
    let settled = tokio::spawn(flow.run(shutdown)).await??;
    anyhow::ensure!(settled, "the router left events unsettled");
    Ok(())
}

/// Takes and hands over as the router does, one batch while the one before is stored, and does nothing in between.
async fn copy(
    mut intake: Box<dyn Intake>,
    settler: Arc<Until>,
    to: &ChannelName,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (sender, mut batches) = mpsc::channel::<(Vec<Receipt>, Vec<Outgoing>)>(1);
    let to = to.clone();
    let taking = tokio::spawn(async move {
        loop {
            let taken = tokio::select! {
                biased;
                () = shutdown.cancelled() => return anyhow::Ok(()),
                taken = intake.next() => taken?,
            };
            let Intaken::Batch(batch) = taken else { continue };
            let copied = batch.into_iter().map(|record| {
                let output = Outgoing {
                    channel: to.clone(),
                    key: record.key,
                    headers: record.headers,
                    value: record.value,
                    delay: None,
                };
                (record.receipt, output)
            });
            if sender.send(copied.unzip()).await.is_err() {
                return Ok(());
            }
        }
    });
    let handing = tokio::spawn(async move {
        while let Some((inputs, outputs)) = batches.recv().await {
            settler.hand_over(inputs, outputs).await?;
        }
        anyhow::Ok(())
    });
    handing.await??;
    taking.await?
}

/// Stops everything when all inputs are settled.
struct Until {
    settler: Arc<dyn Settler>,
    left: AtomicU64,
    shutdown: CancellationToken,
}

#[async_trait]
impl Settler for Until {
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError> {
        let settling = inputs.len() as u64;
        self.settler.hand_over(inputs, outputs).await?;
        if self.left.fetch_sub(settling, Ordering::Relaxed) <= settling {
            self.shutdown.cancel();
        }
        Ok(())
    }
}
