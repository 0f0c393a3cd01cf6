//! Storing dead letters, once each.

use trunkline_core::Delivery;
use trunkline_core::dead_letter::{Contents, DeadLetter};

use super::change::{note, set_state};
use super::{Contained, DeadLetterState};
use crate::cause::cause;
use crate::dialect::{Durability, Statement, Transaction};
use crate::error::StoreError;
use crate::row;
use crate::store::Store;
use crate::words::{ClassKind, Word};

/// The dead letter that stands for a delivery so far.
struct Standing {
    id: String,
    generation: u32,
    life: u32,
    replays: u32,
    state: DeadLetterState,
}

/// How a new dead letter begins.
struct Beginning {
    state: DeadLetterState,
    replays: u32,
    /// The dead letter it takes over from.
    supersedes: Option<String>,
}

impl Store {
    /// Stores dead letters, each with the last part of the channel it came on: a destination's name, `router` or
    /// `gateway`. When this returns `Ok` they survive a power failure and their records may be settled. One that is stored
    /// already is left as it is. One of a later life takes over from the dead letter of the life before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: none of them is stored.
    pub async fn insert_dead_letters(&self, letters: &[(String, DeadLetter)]) -> Result<(), StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        transaction.turn_at_dead_letters().await?;
        for (channel, letter) in letters {
            insert(&mut transaction, channel, letter).await?;
        }
        transaction.commit().await
    }
}

async fn insert(transaction: &mut Transaction, channel: &str, letter: &DeadLetter) -> Result<(), StoreError> {
    let id = letter.id();
    let delivery = match &letter.contents {
        Contents::Delivery(delivery) => Some(&**delivery),
        _ => None,
    };
    let standing = match delivery {
        Some(delivery) => standing(transaction, delivery, &id).await?,
        None => None,
    };
    let generation = delivery.map_or(0, |delivery| delivery.generation);
    let beginning = begin(standing, generation);
    if !insert_row(transaction, channel, &id, letter, delivery, &beginning).await? {
        return Ok(());
    }
    if let Some(older) = beginning.supersedes {
        set_state(transaction, &older, DeadLetterState::DeadAgain).await?;
        note(transaction, &older, letter.time, DeadLetterState::DeadAgain, "trunkline", &id).await?;
    }
    Ok(())
}

/// Records of several lives may come in any order, and a forced replay may have sent a later life before this one died:
/// the newest life is what stands for the delivery.
fn begin(standing: Option<Standing>, generation: u32) -> Beginning {
    let Some(standing) = standing else {
        return Beginning { state: DeadLetterState::Waiting, replays: generation, supersedes: None };
    };
    let replays = standing.replays.max(generation);
    let newer_life = standing.generation > generation || standing.life > generation;
    if newer_life || standing.state == DeadLetterState::Delivered {
        return Beginning { state: DeadLetterState::DeadAgain, replays, supersedes: None };
    }
    Beginning { state: DeadLetterState::Waiting, replays, supersedes: Some(standing.id) }
}

async fn standing(
    transaction: &mut Transaction,
    delivery: &Delivery,
    but: &str,
) -> Result<Option<Standing>, StoreError> {
    let row = Statement::new(
        "SELECT id, generation, life, replays, state FROM dead_letters \
         WHERE event_id = $1 AND source = $2 AND destination = $3 AND subscription = $4 \
         AND state <> 'dead_again' AND id <> $5",
    )
    .bind(delivery.event.id())
    .bind(delivery.event.source())
    .bind(&delivery.destination)
    .bind(&delivery.subscription)
    .bind(but)
    .first(transaction)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Standing {
        id: row.get("id")?,
        generation: row::unsigned(&row, "generation")?,
        life: row::unsigned(&row, "life")?,
        replays: row::unsigned(&row, "replays")?,
        state: row::word(&row, "state")?,
    }))
}

/// Whether the row is new.
async fn insert_row(
    transaction: &mut Transaction,
    channel: &str,
    id: &str,
    letter: &DeadLetter,
    delivery: Option<&Delivery>,
    beginning: &Beginning,
) -> Result<bool, StoreError> {
    let source = match &letter.contents {
        Contents::Delivery(delivery) => delivery.event.source(),
        Contents::Webhook(request) => &request.source,
        Contents::Malformed(_) => "",
    };
    let generation = delivery.map_or(0, |delivery| delivery.generation);
    let status = letter.attempts().last().and_then(|attempt| attempt.status);
    let inserted = Statement::new(
        "INSERT INTO dead_letters (id, channel, contents, state, destination, subscription, source, event_id, \
         event_type, reason, class, status, detail, cause, generation, life, replays, time, record) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $16, $17, $18) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(channel)
    .bind(Contained::of(letter).word())
    .bind(beginning.state.word())
    .bind(delivery.map_or("", |delivery| &*delivery.destination))
    .bind(delivery.map_or("", |delivery| &*delivery.subscription))
    .bind(source)
    .bind(delivery.map_or("", |delivery| delivery.event.id()))
    .bind(delivery.map_or("", |delivery| delivery.event.kind()))
    .bind(letter.reason.word())
    .bind(letter.class.as_ref().map(|class| ClassKind::from(class).word()))
    .bind(status.map(i64::from))
    .bind(&letter.detail)
    .bind(cause(&letter.detail))
    .bind(i64::from(generation))
    .bind(i64::from(beginning.replays))
    .bind(row::micros(letter.time))
    .bind(&*letter.encode())
    .execute(transaction)
    .await?;
    Ok(inserted == 1)
}
