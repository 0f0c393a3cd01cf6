//! Takes `dead.*` and `journey` into the store. A record is settled only after the store has it; storing it twice is
//! harmless.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chrono::Utc;
use metrics::{counter, gauge, histogram};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use trunkline_sdk::broker::{
    Broker, ChannelName, ConsumeError, GroupName, HandOverError, Intake, Intaken, Received, Settler, Start,
};
use trunkline_sdk::config::{Shared, code};
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::JourneyRecord;
use trunkline_sdk::core::{DeadLetter, DeadLetterReason};
use trunkline_sdk::metric;
use trunkline_sdk::service::Pauses;
use trunkline_sdk::store::words::Word;
use trunkline_sdk::store::{JourneyEntry, Store, StoreError};

use crate::traced;

/// Runs until `shutdown`. An intake that ended is opened again: what was not settled comes again.
///
/// # Errors
/// [`ConsumeError`] when the channels can't be consumed any more; what was not stored is still on the broker.
pub async fn run(
    broker: Arc<dyn Broker>,
    store: Store,
    mut configuration: watch::Receiver<Arc<Shared>>,
    shutdown: CancellationToken,
) -> Result<(), ConsumeError> {
    let mut pauses = Pauses::of_hand_over();
    loop {
        match take_in(&*broker, &store, &mut configuration, &shutdown).await {
            Err(cause @ ConsumeError::Fatal(_)) if !shutdown.is_cancelled() => {
                error!(%cause, "dead letters and journeys can't be taken in; trying again");
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(pauses.longer()) => {}
                }
            }
            ended => return ended,
        }
    }
}

async fn take_in(
    broker: &dyn Broker,
    store: &Store,
    configuration: &mut watch::Receiver<Arc<Shared>>,
    shutdown: &CancellationToken,
) -> Result<(), ConsumeError> {
    let mut channels = channels(&configuration.borrow_and_update());
    begin(&channels);
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
            taken = intake.next() => match taken {
                Ok(Intaken::Batch(batch)) => {
                    let kept = keep(store, settler.as_ref(), batch);
                    tokio::select! {
                        kept = kept => kept?,
                        () = shutdown.cancelled() => return Ok(()),
                    }
                }
                Ok(Intaken::Assigned(_) | Intaken::Revoking(..) | Intaken::Lost(_)) => {}
                // The intake goes on with the other channels.
                Err(ConsumeError::Damaged { channel, detail }) => {
                    error!(code = code::CHANNEL_DAMAGED, %channel, detail, "a channel is damaged; what it still holds is not taken in until that is repaired");
                    gauge!(metric::CHANNEL_DAMAGED, "channel" => channel.to_string()).set(1.0);
                }
                Err(error) => return Err(error),
            },
        }
    }
}

fn channels(shared: &Shared) -> BTreeSet<ChannelName> {
    let dead = shared.destinations.keys().map(ChannelName::dead);
    dead.chain([ChannelName::dead_router(), ChannelName::dead_gateway(), ChannelName::journey()]).collect()
}

/// Lets what is counted of channels begin at zero, so that the first dead letter is a growth.
fn begin<'a>(channels: impl IntoIterator<Item = &'a ChannelName>) {
    for channel in channels.into_iter().filter(|channel| **channel != ChannelName::journey()) {
        for reason in DeadLetterReason::ALL {
            let labels = [("destination", origin(channel)), ("reason", reason.word().to_owned())];
            counter!(metric::CONSOLE_DEAD_LETTERS, &labels).increment(0);
        }
        counter!(metric::CONSOLE_REPLAYED, "destination" => origin(channel)).increment(0);
    }
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
    begin(&added);
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
    // They end when everything is stored and settled.
    let _spans = traced::kept(&batch);
    let mut letters = Vec::new();
    let mut journeys: Vec<JourneyEntry> = Vec::new();
    for record in &batch {
        if record.channel == ChannelName::journey() {
            match JourneyRecord::decode(record.value.clone()) {
                Ok(journey) => journeys.push(entry(record, journey)),
                Err(error) => {
                    error!(%error, position = ?record.position, "a journey record can't be read; it is left out of the account");
                }
            }
        } else {
            letters.push((origin(&record.channel), dead_letter(record)));
        }
    }
    let mut pauses = Pauses::of_hand_over();
    while let Err(error) = store_all(store, &letters, &journeys).await {
        counter!(metric::STORE_FAILURES, "service" => "console").increment(1);
        error!(%error, "the store does not take dead letters; they wait on the broker");
        tokio::time::sleep(pauses.longer()).await;
    }
    let mut receipts: Vec<_> = batch.into_iter().map(|record| record.receipt).collect();
    loop {
        let started = Instant::now();
        match settler.hand_over(receipts, Vec::new()).await {
            Ok(()) => {
                let took = started.elapsed().as_secs_f64();
                histogram!(metric::HAND_OVER_DURATION, "service" => "console").record(took);
                return Ok(());
            }
            Err(HandOverError::Unavailable { inputs, .. } | HandOverError::Refused { inputs, .. }) => {
                receipts = inputs;
                tokio::time::sleep(pauses.longer()).await;
            }
            Err(HandOverError::Fenced) => return Err(ConsumeError::Fenced),
        }
    }
}

async fn store_all(
    store: &Store,
    letters: &[(String, DeadLetter)],
    journeys: &[JourneyEntry],
) -> Result<(), StoreError> {
    if !letters.is_empty() {
        store.insert_dead_letters(letters).await?;
        for (origin, letter) in letters {
            let labels = [("destination", origin.clone()), ("reason", letter.reason.word().to_owned())];
            counter!(metric::CONSOLE_DEAD_LETTERS, &labels).increment(1);
        }
    }
    if !journeys.is_empty() {
        store.insert_journey(journeys).await?;
    }
    Ok(())
}

/// What a journey record is known by in the store, so that it counts once however often it comes: its content. Not its
/// place on the broker: a hand-over that was tried again may have stored it at two, and not every engine has places that
/// last. Its writer's name and its time are part of the content.
fn entry(record: &Received, journey: JourneyRecord) -> JourneyEntry {
    let digest = Sha256::digest(&record.value);
    let mut known_by = [0; 8];
    known_by.copy_from_slice(&digest[..8]);
    JourneyEntry { partition: 0, offset: i64::from_be_bytes(known_by), record: journey }
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
