//! Takes `dead.*` and `journey` into the store. A record is settled only after the store has it; storing it twice is
//! harmless.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use chrono::Utc;
use metrics::counter;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use trunkline_sdk::broker::{
    Broker, ChannelName, ConsumeError, GroupName, HandOverError, Intake, Intaken, Position, Received,
    Settler, Start,
};
use trunkline_sdk::config::Shared;
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::JourneyRecord;
use trunkline_sdk::core::{DeadLetter, DeadLetterReason};
use trunkline_sdk::metric;
use trunkline_sdk::store::words::Word;
use trunkline_sdk::store::{JourneyEntry, Store, StoreError};

/// Runs until `shutdown`.
///
/// # Errors
/// [`ConsumeError`] when the channels can't be consumed any more; what was not stored is still on the broker.
pub async fn run(
    broker: Arc<dyn Broker>,
    store: Store,
    mut configuration: watch::Receiver<Arc<Shared>>,
    shutdown: CancellationToken,
) -> Result<(), ConsumeError> {
    let mut channels = channels(&configuration.borrow_and_update());
    let listed: Vec<ChannelName> = channels.iter().cloned().collect();
    let (mut intake, settler) = broker.consume(&listed, &GroupName::console(), Start::Oldest).await?;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            // Once nobody can change the configuration any more there is nothing to wait for here.
            Ok(()) = configuration.changed() => {
                let wanted = self::channels(&configuration.borrow_and_update());
                follow(intake.as_mut(), &mut channels, wanted).await;
            }
            taken = intake.next() => match taken? {
                Intaken::Batch(batch) => {
                    let kept = keep(&store, settler.as_ref(), batch);
                    tokio::select! {
                        kept = kept => kept?,
                        () = shutdown.cancelled() => return Ok(()),
                    }
                }
                Intaken::Assigned(_) | Intaken::Revoking(..) | Intaken::Lost(_) => {}
            },
        }
    }
}

fn channels(shared: &Shared) -> BTreeSet<ChannelName> {
    let dead = shared.destinations.keys().map(ChannelName::dead);
    dead.chain([ChannelName::dead_router(), ChannelName::dead_gateway(), ChannelName::journey()]).collect()
}

/// Takes in the channels of destinations that a changed configuration adds. Those of removed ones stay: their dead
/// letters are still owed to the operators.
async fn follow(
    intake: &mut dyn Intake,
    channels: &mut BTreeSet<ChannelName>,
    wanted: BTreeSet<ChannelName>,
) {
    let added: Vec<ChannelName> = wanted.difference(channels).cloned().collect();
    if added.is_empty() {
        return;
    }
    match intake.add(&added).await {
        Ok(()) => {
            info!(added = added.len(), "dead letters of new destinations are taken in");
            channels.extend(added);
        }
        Err(error) => error!(%error, "dead letters of new destinations are not taken in until a restart"),
    }
}

/// Stores a batch, however long the store is away, then settles it.
async fn keep(store: &Store, settler: &dyn Settler, batch: Vec<Received>) -> Result<(), ConsumeError> {
    let mut letters = Vec::new();
    let mut journeys: Vec<(Position, JourneyRecord)> = Vec::new();
    for record in &batch {
        if record.channel == ChannelName::journey() {
            match JourneyRecord::decode(record.value.clone()) {
                Ok(journey) => journeys.push((record.position, journey)),
                Err(error) => {
                    error!(%error, position = ?record.position, "a journey record can't be read; it is left out of the account");
                }
            }
        } else {
            letters.push((origin(&record.channel), dead_letter(record)));
        }
    }
    let mut pauses = pauses();
    while let Err(error) = store_all(store, &letters, &journeys).await {
        counter!(metric::STORE_FAILURES, "service" => "console").increment(1);
        error!(%error, "the store does not take dead letters; they wait on the broker");
        tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
    }
    let mut receipts: Vec<_> = batch.into_iter().map(|record| record.receipt).collect();
    loop {
        match settler.hand_over(receipts, Vec::new()).await {
            Ok(()) => return Ok(()),
            Err(HandOverError::Unavailable { inputs, .. } | HandOverError::Refused { inputs, .. }) => {
                receipts = inputs;
                tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
            }
            Err(HandOverError::Fenced) => return Err(ConsumeError::Fenced),
        }
    }
}

async fn store_all(
    store: &Store,
    letters: &[(String, DeadLetter)],
    journeys: &[(Position, JourneyRecord)],
) -> Result<(), StoreError> {
    if !letters.is_empty() {
        store.insert_dead_letters(letters).await?;
        for (origin, letter) in letters {
            let labels = [("destination", origin.clone()), ("reason", letter.reason.word().to_owned())];
            counter!(metric::CONSOLE_DEAD_LETTERS, &labels).increment(1);
        }
    }
    if !journeys.is_empty() {
        let entries: Vec<_> = journeys
            .iter()
            .map(|(position, record)| JourneyEntry {
                partition: position.partition,
                offset: position.offset,
                record: record.clone(),
            })
            .collect();
        store.insert_journey(&entries).await?;
    }
    Ok(())
}

/// The part of a channel's name behind `dead.`.
fn origin(channel: &ChannelName) -> String {
    channel.as_str().strip_prefix("dead.").unwrap_or(channel.as_str()).to_owned()
}

/// A record that is no dead letter is kept as one, so that nobody loses it.
fn dead_letter(record: &Received) -> DeadLetter {
    DeadLetter::decode(record.value.clone()).unwrap_or_else(|error| DeadLetter {
        contents: Contents::Malformed(Bytes::clone(&record.value)),
        reason: DeadLetterReason::Undecodable,
        detail: format!("the record on {} is no dead letter: {error}", record.channel),
        class: None,
        policy: None,
        time: Utc::now(),
        dropped_body: None,
    })
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

fn pauses() -> impl Iterator<Item = Duration> {
    let pauses = ExponentialBuilder::default().with_min_delay(Duration::from_millis(50));
    pauses.with_max_delay(LONGEST_PAUSE).with_jitter().without_max_times().build()
}
