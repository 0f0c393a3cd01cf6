//! A small directory as a killed process leaves it, and what it must read back as.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;
use trunkline_broker::{
    Broker, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Intaken, Keep, LagError,
    Outgoing, Received, Settler, Start, TopologyError,
};
use trunkline_embedded::{EmbeddedBroker, Options};

/// Channel, partition and offset.
type Place = (String, u16, i64);
/// Key, headers and value.
type Parts = (Vec<u8>, String, Vec<u8>);
type Records = BTreeMap<Place, Parts>;

pub(crate) struct Image {
    pub(crate) files: Vec<Content>,
    /// What the group has not settled.
    unsettled: Records,
    /// All that is kept.
    kept: Records,
    delayed: u64,
}

pub(crate) struct Content {
    pub(crate) name: &'static str,
    bytes: Vec<u8>,
    /// Bytes up to here mean something; behind is only room.
    pub(crate) used: usize,
}

pub(crate) enum Outcome {
    Equal,
    Reported,
    Different(String),
}

const FILES: [&str; 3] = ["records.db", "records.db-wal", "records.side"];

/// With the smallest pages: as many kinds of them as any, and few enough bits to try each.
pub(crate) fn options() -> Options {
    let drain = Duration::from_millis(1);
    Options { page_bytes: 512, wal_bytes: 64 << 10, readers: 1, drain, ..Options::default() }
}

/// A directory in memory where there is such a thing: the cases are many.
pub(crate) fn place() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn channels() -> [ChannelName; 2] {
    ["events", "deliver.crm"].map(|name| ChannelName::parse(name).expect("a name"))
}

fn group() -> GroupName {
    GroupName::parse("router").expect("a name")
}

fn record(channel: &ChannelName, number: usize) -> Outgoing {
    let value = vec![b'a' + u8::try_from(number % 26).expect("small"); 40 + number * 37 % 600];
    let key = format!("key-{}", number % 7);
    let headers = vec![("number".to_owned(), number.to_string().into())];
    Outgoing { headers, ..Outgoing::new(channel.clone(), key.into(), value.into()) }
}

impl Image {
    /// Some of it is in the database, some only in the log; some is settled, some delayed, and a channel was removed.
    pub(crate) fn make() -> Self {
        let place = place();
        let directory = place.path().join("data");
        runtime().block_on(async {
            let broker = EmbeddedBroker::open(&directory, options()).expect("a fresh directory opens");
            Self::first_run(&broker).await;
            broker.close();
            let broker = EmbeddedBroker::open(&directory, options()).expect("it opens again");
            let unsettled = Self::second_run(&broker).await;
            let kept = observe_all(&broker, None).await.expect("observing");
            let files = FILES.iter().map(|name| Content::read(&directory, name)).collect();
            broker.close();
            Self { files, unsettled, kept, delayed: 4 }
        })
    }

    async fn first_run(broker: &EmbeddedBroker) {
        let [events, deliver] = channels();
        let gone = ChannelName::parse("gone").expect("a name");
        let spec = |name: &ChannelName, keep| ChannelSpec {
            name: name.clone(),
            partitions: 2,
            groups: vec![group()],
            keep,
            max_record: 4096,
        };
        let for_an_hour = Keep::For { age: Duration::from_secs(3600), bytes: None };
        let specs =
            [spec(&events, for_an_hour), spec(&deliver, Keep::UntilSettled), spec(&gone, Keep::UntilSettled)];
        broker.ensure(&specs, Ensure::Create).await.expect("channels");
        for first in (0..20).step_by(5) {
            let both = |number| [record(&events, number), record(&gone, number)];
            broker.publish((first..first + 5).flat_map(both).collect()).await.expect("publishing");
        }
        let (mut intake, settler) =
            broker.consume(&channels(), &group(), Start::Oldest).await.expect("consuming");
        let mut taken = take(intake.as_mut(), 20).await.expect("records");
        taken.truncate(8);
        let outputs = (0..8).map(|number| record(&deliver, number)).collect();
        hand_over(settler.as_ref(), taken, outputs).await;
        drop(intake);
        // Some are settled and deleted, so that a partition does not begin at 1.
        let deliver = std::slice::from_ref(&deliver);
        let (mut intake, settler) =
            broker.consume(deliver, &group(), Start::Oldest).await.expect("consuming");
        let mut taken = take(intake.as_mut(), 8).await.expect("records");
        taken.truncate(3);
        hand_over(settler.as_ref(), taken, Vec::new()).await;
        broker.remove(&gone, true).await.expect("removing");
        tokio::time::sleep(Duration::from_millis(700)).await;
    }

    async fn second_run(broker: &EmbeddedBroker) -> Records {
        let [events, deliver] = channels();
        for first in (20..30).step_by(5) {
            let batch = (first..first + 5).map(|number| record(&events, number)).collect();
            broker.publish(batch).await.expect("publishing");
        }
        let late = |number| Outgoing { delay: Some(Duration::from_secs(3600)), ..record(&deliver, number) };
        broker.publish((8..12).map(late).collect()).await.expect("publishing");
        let (mut intake, settler) =
            broker.consume(&channels(), &group(), Start::Oldest).await.expect("consuming");
        let taken = take(intake.as_mut(), 27).await.expect("records");
        let (from_events, mut rest): (Vec<_>, Vec<_>) = taken.into_iter().partition(|r| r.channel == events);
        // Out of order, so that there is something beyond the settled prefix.
        let (settled, unsettled): (Vec<_>, Vec<_>) =
            from_events.into_iter().partition(|r| r.position.offset % 3 == 0);
        hand_over(settler.as_ref(), settled, Vec::new()).await;
        rest.extend(unsettled);
        rest.iter().map(identity).collect()
    }

    /// Writes the files of a case.
    pub(crate) fn lay_out(&self, directory: &Path, damage: impl Fn(usize, &mut Vec<u8>)) {
        if directory.exists() {
            std::fs::remove_dir_all(directory).expect("the last case's directory");
        }
        let records = directory.join("records");
        std::fs::create_dir_all(&records).expect("a directory");
        for (index, file) in self.files.iter().enumerate() {
            let mut bytes = file.bytes.clone();
            damage(index, &mut bytes);
            std::fs::write(records.join(file.name), bytes).expect("a file");
        }
    }

    /// Reads everything there is and compares it with what was stored.
    pub(crate) fn read_back(&self, broker: &EmbeddedBroker) -> Outcome {
        runtime().block_on(async {
            let expected = self.unsettled.len() as u64 + self.delayed;
            match lag(broker).await {
                Err(LagError::Unknown(channel)) => return Outcome::Different(format!("{channel} is gone")),
                Err(_) => return Outcome::Reported,
                Ok(lag) if lag != expected => {
                    return Outcome::Different(format!("lag {lag} instead of {expected}"));
                }
                Ok(_) => {}
            }
            let unsettled = match consume_all(broker, self.unsettled.len()).await {
                Ok(records) => records,
                Err(error) => return judge(&error),
            };
            let kept = match observe_all(broker, Some(&self.kept)).await {
                Ok(records) => records,
                Err(error) => return judge(&error),
            };
            if unsettled != self.unsettled {
                return Outcome::Different(format!(
                    "{} records to consume, {} stored",
                    unsettled.len(),
                    self.unsettled.len()
                ));
            }
            if kept != self.kept {
                return Outcome::Different(format!(
                    "{} records kept, {} stored",
                    kept.len(),
                    self.kept.len()
                ));
            }
            Outcome::Equal
        })
    }

    /// Reads what salvaging left: nothing that was not stored like that, and new records fit in.
    pub(crate) fn read_what_is_left(&self, broker: &EmbeddedBroker) -> Result<(), String> {
        runtime().block_on(async {
            let [events, deliver] = channels();
            let missing = |error: TopologyError| format!("{error:?}");
            let specs = [events.clone(), deliver].map(|name| ChannelSpec {
                name,
                partitions: 2,
                groups: vec![group()],
                keep: Keep::UntilSettled,
                max_record: 4096,
            });
            broker.ensure(&specs, Ensure::Create).await.map_err(missing)?;
            let new = record(&events, 77);
            broker.publish(vec![new.clone()]).await.map_err(|error| format!("{error:?}"))?;
            let is_new = |stored: &Parts| stored.2 == new.value;
            let mut left = Records::new();
            // How many records are left nobody knows; the new one must be among them.
            for patience in [20, 10_000].map(Duration::from_millis) {
                if !left.values().any(is_new) {
                    left = observe(broker, None, patience).await.map_err(|error| format!("{error:?}"))?;
                }
            }
            // A channel of which nothing could be read begins again at 1.
            let (fresh, old): (Records, Records) = left.into_iter().partition(|(_, stored)| is_new(stored));
            match old.iter().find(|(place, stored)| self.kept.get(*place) != Some(*stored)) {
                Some((place, _)) => Err(format!("{place:?} is not what was stored there")),
                None if fresh.len() == 1 => Ok(()),
                None => Err(format!("{} new records instead of one", fresh.len())),
            }
        })
    }
}

impl Content {
    fn read(directory: &Path, name: &'static str) -> Self {
        let bytes = std::fs::read(directory.join("records").join(name)).expect("a file");
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // A cut or a flip shortly behind what is used is worth a look as well.
        Self { name, used: (used + 64).min(bytes.len()), bytes }
    }
}

fn judge(error: &ConsumeError) -> Outcome {
    match error {
        ConsumeError::Damaged { .. } => Outcome::Reported,
        error => Outcome::Different(format!("{error:?}")),
    }
}

fn identity(received: &Received) -> (Place, Parts) {
    let place = (received.channel.to_string(), received.position.partition, received.position.offset);
    (place, (received.key.to_vec(), format!("{:?}", received.headers), received.value.to_vec()))
}

async fn lag(broker: &EmbeddedBroker) -> Result<u64, LagError> {
    let mut sum = 0;
    for channel in channels() {
        sum += broker.lag(&channel, &group()).await?.iter().map(|lag| lag.records).sum::<u64>();
    }
    Ok(sum)
}

async fn hand_over(settler: &dyn Settler, inputs: Vec<Received>, outputs: Vec<Outgoing>) {
    let receipts = inputs.into_iter().map(|received| received.receipt).collect();
    settler.hand_over(receipts, outputs).await.expect("handing over");
}

/// So many records, or as many as come.
async fn take(intake: &mut dyn Intake, count: usize) -> Result<Vec<Received>, ConsumeError> {
    let mut taken = Vec::new();
    while taken.len() < count {
        match timeout(Duration::from_secs(10), intake.next()).await {
            Ok(Ok(Intaken::Batch(batch))) => taken.extend(batch),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => break,
        }
    }
    Ok(taken)
}

async fn consume_all(broker: &EmbeddedBroker, count: usize) -> Result<Records, ConsumeError> {
    let (mut intake, _settler) = broker.consume(&channels(), &group(), Start::Oldest).await?;
    Ok(take(intake.as_mut(), count).await?.iter().map(identity).collect())
}

/// All records that are kept: those that are expected, or as many as come.
async fn observe_all(broker: &EmbeddedBroker, expected: Option<&Records>) -> Result<Records, ConsumeError> {
    let patience = Duration::from_millis(if expected.is_some() { 10_000 } else { 1_000 });
    observe(broker, expected, patience).await
}

/// The records that are kept, of each channel until as many came as `expected` has or none came for so long.
async fn observe(
    broker: &EmbeddedBroker,
    expected: Option<&Records>,
    patience: Duration,
) -> Result<Records, ConsumeError> {
    let mut all = Records::new();
    for channel in channels() {
        let of_channel =
            |records: &Records| records.keys().filter(|(name, ..)| name == channel.as_str()).count();
        let count = expected.map_or(usize::MAX, of_channel);
        let mut observer = broker.observe(&channel, Start::Oldest).await?;
        let mut seen = Records::new();
        while seen.len() < count {
            match timeout(patience, observer.next()).await {
                Ok(batch) => seen.extend(batch?.iter().map(identity)),
                Err(_) => break,
            }
        }
        all.extend(seen);
    }
    Ok(all)
}
