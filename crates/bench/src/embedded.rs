//! Durable publishing on the embedded engine, against appending to a plain file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use trunkline_broker::{Broker, ChannelName, GroupName, Outgoing};
use trunkline_embedded::EmbeddedBroker;

use crate::Effort;
use crate::compare::{Aim, Comparison, Run, alternate};
use crate::engine::{self, CountingDisk};
use crate::ledger::{Ledger, Payloads};
use crate::log_append::Log;
use crate::place::Place;
use crate::process::{Meter, runtime};

const PUBLISHERS: u32 = 64;
/// Slices are short and many, because a shared disk changes its pace from second to second. Both sides keep their files
/// open over all of them: making and removing files would burden the disk for the other side's slice.
const SLICE: Duration = Duration::from_millis(100);
const SLICES_OF_A_ROUND: usize = 8;

/// 64 concurrent publishers and one, each of single records of 1 KiB, each waiting for its confirmation.
///
/// # Errors
/// A slice that fails or lost something.
pub fn measure(place: &Place, effort: Effort) -> anyhow::Result<Vec<Comparison>> {
    let slice = SLICE / effort.divide.min(10);
    let slices = if effort.divide == 1 { effort.rounds * SLICES_OF_A_ROUND } else { effort.rounds };
    let compare = |what, goal, publishers, limit: fn(&mut Log, Duration) -> anyhow::Result<Run>| {
        let mut log = Log::new(place, publishers)?;
        let mut engine = Publishing::start(place, publishers)?;
        let compared = alternate(
            slices,
            Box::new(|| limit(&mut log, slice)),
            vec![(what, Aim::Throughput(Some(goal)), Box::new(|| engine.publish(slice)))],
        )?;
        log.check()?;
        engine.check()?;
        anyhow::Ok(compared)
    };
    let alone = "embedded: 64 publishers against append + fdatasync in groups of 64";
    let gathered = "embedded: 64 publishers against 64 writers gathered into append + fdatasync";
    let single = "embedded: 1 publisher against append + fdatasync of each record";
    let mut compared = compare(alone, 0.70, PUBLISHERS, Log::append)?;
    compared.extend(compare(gathered, 0.70, PUBLISHERS, Log::gather)?);
    compared.extend(compare(single, 0.60, 1, Log::append)?);
    Ok(compared)
}

/// An open engine and what its publishers had confirmed. Each has a key of its own, so that order can be judged.
struct Publishing {
    broker: EmbeddedBroker,
    disk: Arc<CountingDisk>,
    runtime: Runtime,
    payloads: Arc<Payloads>,
    confirmed: Vec<u32>,
    _folder: TempDir,
}

impl Publishing {
    fn start(place: &Place, publishers: u32) -> anyhow::Result<Self> {
        let folder = place.fresh()?;
        let (broker, disk) = engine::open(folder.path())?;
        let runtime = runtime()?;
        runtime.block_on(engine::make(&broker, &[(ChannelName::events(), GroupName::router())]))?;
        let confirmed = vec![0; publishers as usize];
        Ok(Self { broker, disk, runtime, payloads: Arc::default(), confirmed, _folder: folder })
    }

    fn publish(&mut self, lasting: Duration) -> anyhow::Result<Run> {
        let syncs = self.disk.syncs();
        let meter = Meter::start()?;
        let end = Instant::now() + lasting;
        let records = self.runtime.block_on(async {
            let publisher =
                |(key, from)| publisher(self.broker.clone(), self.payloads.clone(), key, from, end);
            let tasks: Vec<_> =
                (0..).zip(self.confirmed.iter().copied()).map(publisher).map(tokio::spawn).collect();
            let mut records = 0;
            for (confirmed, task) in self.confirmed.iter_mut().zip(tasks) {
                let now = task.await??;
                records += u64::from(now - *confirmed);
                *confirmed = now;
            }
            anyhow::Ok(records)
        })?;
        meter.stop(records, self.disk.syncs() - syncs)
    }

    fn check(self) -> anyhow::Result<()> {
        let mut expected = Ledger::default();
        (0..).zip(&self.confirmed).for_each(|(key, count)| expected.expect(&self.payloads, key, *count));
        let records = self.confirmed.iter().map(|count| u64::from(*count)).sum();
        let payload = |value: &Bytes| Ok(value.clone());
        self.runtime.block_on(engine::check(
            &self.broker,
            &ChannelName::events(),
            expected,
            records,
            payload,
        ))?;
        self.broker.close();
        Ok(())
    }
}

/// Publishes until `end`, beginning with the record of this number; the number after its last.
async fn publisher(
    broker: EmbeddedBroker,
    payloads: Arc<Payloads>,
    key: u32,
    from: u32,
    end: Instant,
) -> anyhow::Result<u32> {
    let name = Bytes::from(format!("key-{key}"));
    let mut sequence = from;
    while Instant::now() < end {
        let record = Outgoing::new(ChannelName::events(), name.clone(), payloads.make(key, sequence));
        broker.publish(vec![record]).await?;
        sequence += 1;
    }
    Ok(sequence)
}
