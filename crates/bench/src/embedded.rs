//! Durable publishing on the embedded engine, against appending to a plain file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline_broker::{Broker, ChannelName, GroupName, Outgoing};

use crate::compare::{Aim, Comparison, Run, alternate};
use crate::engine;
use crate::ledger::{Ledger, Payloads};
use crate::place::Place;
use crate::process::{Meter, runtime};
use crate::{Effort, log_append};

const PUBLISHERS: u32 = 64;
/// Short, because a shared disk changes its pace within seconds, and often, for the same reason.
const LASTING: Duration = Duration::from_millis(400);
const OFTEN: usize = 2;

/// 64 concurrent publishers and one, each of single records of 1 KiB, each waiting for its confirmation.
///
/// # Errors
/// A run that fails or lost something.
pub fn measure(place: &Place, effort: Effort) -> anyhow::Result<Vec<Comparison>> {
    let lasting = LASTING / effort.divide;
    let ours = |publishers| move || publish(place, publishers, lasting);
    let many = alternate(
        effort.rounds * OFTEN,
        Box::new(|| log_append::alone(place, PUBLISHERS, lasting)),
        vec![(
            "embedded: 64 publishers against append + fdatasync in groups of 64",
            Aim::Throughput(Some(0.70)),
            Box::new(ours(PUBLISHERS)),
        )],
    )?;
    let gathered = alternate(
        effort.rounds * OFTEN,
        Box::new(|| log_append::gathered(place, PUBLISHERS, lasting)),
        vec![(
            "embedded: 64 publishers against 64 writers gathered into append + fdatasync",
            Aim::Throughput(Some(0.70)),
            Box::new(ours(PUBLISHERS)),
        )],
    )?;
    let single = alternate(
        effort.rounds * OFTEN,
        Box::new(|| log_append::alone(place, 1, lasting)),
        vec![(
            "embedded: 1 publisher against append + fdatasync of each record",
            Aim::Throughput(Some(0.60)),
            Box::new(ours(1)),
        )],
    )?;
    Ok(many.into_iter().chain(gathered).chain(single).collect())
}

/// Each publisher has a key of its own, so that order per key can be judged.
fn publish(place: &Place, publishers: u32, lasting: Duration) -> anyhow::Result<Run> {
    let folder = place.fresh()?;
    let (broker, disk) = engine::open(folder.path())?;
    let payloads = Arc::new(Payloads::default());
    let run = runtime()?.block_on(async {
        engine::make(&broker, &[(ChannelName::events(), GroupName::router())]).await?;
        let before = disk.syncs();
        let meter = Meter::start()?;
        let end = Instant::now() + lasting;
        let publish = |key| publisher(broker.clone(), payloads.clone(), key, end);
        let tasks: Vec<_> = (0..publishers).map(|key| tokio::spawn(publish(key))).collect();
        let (mut records, mut expected) = (0, Ledger::default());
        let mut confirmed = Vec::with_capacity(tasks.len());
        for task in tasks {
            confirmed.push(task.await??);
        }
        let syncs = disk.syncs() - before;
        confirmed.iter().for_each(|count| records += u64::from(*count));
        let run = meter.stop(records, syncs)?;
        (0..).zip(confirmed).for_each(|(key, count)| expected.expect(&payloads, key, count));
        engine::check(&broker, &ChannelName::events(), expected, records, |value| Ok(value.clone())).await?;
        anyhow::Ok(run)
    })?;
    broker.close();
    Ok(run)
}

async fn publisher(
    broker: impl Broker,
    payloads: Arc<Payloads>,
    key: u32,
    end: Instant,
) -> anyhow::Result<u32> {
    let name = Bytes::from(format!("key-{key}"));
    let mut sequence = 0;
    while Instant::now() < end {
        let record = Outgoing::new(ChannelName::events(), name.clone(), payloads.make(key, sequence));
        broker.publish(vec![record]).await?;
        sequence += 1;
    }
    Ok(sequence)
}
