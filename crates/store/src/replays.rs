//! Replays: giving dead letters another life, in a way that a crash neither forgets nor repeats.
//!
//! A replay begins as a selection, which says what would be replayed and what would not, and why. Making the replay freezes
//! it: each dead letter becomes an item, gets its new generation, and is `replaying` from then on, so that no other replay
//! takes it. The console then takes pending items, publishes their deliveries, and marks them. What a crash leaves
//! published but not marked is published again with the same generation: a duplicate of the same event, never a loss.

mod create;
mod items;
mod progress;
mod select;

use chrono::{DateTime, Utc};
use thiserror::Error;
use trunkline_core::DeadLetter;

use crate::dead_letters::DeadLetterFilter;
use crate::words::Word;

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayState {
    /// It has pending items.
    Running,
    /// An operator cancelled it; its pending items went back to what they were.
    Cancelled,
    /// Every item was sent or skipped.
    Done,
}

impl Word for ReplayState {
    const NAME: &'static str = "state of a replay";
    const ALL: &'static [Self] = &[Self::Running, Self::Cancelled, Self::Done];

    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }
}

/// A replay to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReplay {
    /// Its id, unique for ever.
    pub id: String,
    /// The destination whose dead letters it replays (`gateway` for webhooks).
    pub destination: String,
    /// What its dead letters were selected by.
    pub filter: DeadLetterFilter,
    /// The name of the key used, or `local`.
    pub by: String,
    /// Whether dead letters are replayed that were delivered, discarded, are replaying or were replayed too often.
    pub forced: bool,
    /// Whether the stored body is sent instead of today's transform's.
    pub as_it_was: bool,
    /// Deliveries a second at most; `None` for no limit of its own.
    pub rate: Option<f64>,
}

/// A replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// As it was made.
    pub made: NewReplay,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Where it stands.
    pub state: ReplayState,
    /// When it was done or cancelled.
    pub ended: Option<DateTime<Utc>>,
    /// The console that works on it, and until when that is certain.
    pub lease: Option<(String, DateTime<Utc>)>,
}

/// What a replay would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Ids of the dead letters that would be replayed, oldest first.
    pub eligible: Vec<String>,
    /// Ids of those that would not, with the reason, oldest first.
    pub refused: Vec<(String, Refusal)>,
}

/// Why a dead letter is not replayed. The message is for operators.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is no event. Never replayed.
    #[error("it holds no event")]
    Malformed,
    /// A newer dead letter stands for its delivery. Never replayed.
    #[error("a newer dead letter stands for its delivery")]
    DeadAgain,
    /// It belongs to another destination than the replay. Never replayed.
    #[error("it belongs to another destination")]
    OtherDestination,
    /// Replayed only when forced.
    #[error("it is being replayed already")]
    Replaying,
    /// Replayed only when forced.
    #[error("it was replayed and delivered already")]
    Delivered,
    /// Replayed only when forced.
    #[error("it was discarded")]
    Discarded,
    /// Replayed only when forced.
    #[error("it was replayed {0} times already")]
    TooManyReplays(u32),
}

/// One pending item of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayItem {
    /// Its place in the selection, from 0.
    pub position: u64,
    /// The dead letter's id.
    pub id: String,
    /// The generation its delivery gets.
    pub generation: u32,
    /// The dead letter.
    pub dead_letter: DeadLetter,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemOutcome {
    /// Its delivery was published and the broker confirmed.
    Sent,
    /// It can't be replayed, for this reason; its dead letter is what it was before.
    Skipped(String),
}

/// How far a replay is. `pending + sent + skipped` are all its items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Items not published yet.
    pub pending: u64,
    /// Items published.
    pub sent: u64,
    /// Items that could not be replayed, or were pending when it was cancelled.
    pub skipped: u64,
    /// Those among `sent` whose dead letter is delivered by now.
    pub delivered: u64,
    /// Those among `sent` whose dead letter is dead again by now.
    pub dead_again: u64,
}
