//! Dead letters as operators see them: stored once, listed, grouped by cause, given up or replayed.
//!
//! A delivery that is replayed and dies again leaves one dead letter per life. At most one of them, the newest, is
//! anything but [`DeadLetterState::DeadAgain`]; it says where the delivery stands. The account rests on that.

mod change;
mod filter;
mod insert;
mod list;
mod prune;
mod read;

use chrono::{DateTime, Utc};
use trunkline_core::DeadLetterReason;
use trunkline_core::dead_letter::{Contents, DeadLetter};

pub(crate) use change::{CHANGE, mark_delivered};
pub use filter::DeadLetterFilter;
pub(crate) use filter::push_filter;
pub(crate) use read::decode;

use crate::words::{ClassKind, Word};

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterState {
    /// Nothing was decided yet.
    Waiting,
    /// A replay gives, or gave, its delivery another life, whose outcome is not known yet.
    Replaying,
    /// A later life was delivered.
    Delivered,
    /// A later life died too; a newer dead letter stands for the delivery.
    DeadAgain,
    /// An operator gave it up.
    Discarded,
}

impl Word for DeadLetterState {
    const NAME: &'static str = "state of a dead letter";
    const ALL: &'static [Self] =
        &[Self::Waiting, Self::Replaying, Self::Delivered, Self::DeadAgain, Self::Discarded];

    fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Replaying => "replaying",
            Self::Delivered => "delivered",
            Self::DeadAgain => "dead_again",
            Self::Discarded => "discarded",
        }
    }
}

/// What kind of thing died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contained {
    /// A delivery.
    Delivery,
    /// Bytes that are no event; can't be replayed.
    Malformed,
    /// A webhook that did not normalize.
    Webhook,
}

impl Contained {
    /// What kind of thing `dead_letter` holds.
    pub fn of(dead_letter: &DeadLetter) -> Self {
        match dead_letter.contents {
            Contents::Delivery(_) => Self::Delivery,
            Contents::Malformed(_) => Self::Malformed,
            Contents::Webhook(_) => Self::Webhook,
        }
    }
}

impl Word for Contained {
    const NAME: &'static str = "kind of contents";
    const ALL: &'static [Self] = &[Self::Delivery, Self::Malformed, Self::Webhook];

    fn word(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Malformed => "malformed",
            Self::Webhook => "webhook",
        }
    }
}

/// One line of a list of dead letters. Text that does not apply is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterSummary {
    /// [`DeadLetter::id`].
    pub id: String,
    /// The destination's name, `router` or `gateway`: the last part of the channel it came on.
    pub channel: String,
    /// What kind of thing died.
    pub contained: Contained,
    /// Where it stands.
    pub state: DeadLetterState,
    /// The delivery's destination.
    pub destination: String,
    /// The delivery's subscription.
    pub subscription: String,
    /// The event's source, or the webhook's.
    pub source: String,
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub kind: String,
    /// Why it died.
    pub reason: DeadLetterReason,
    /// Class of the last failure.
    pub class: Option<ClassKind>,
    /// The platform's status code in the last attempt.
    pub status: Option<u32>,
    /// What happened, in words.
    pub detail: String,
    /// [`crate::cause`] of the detail.
    pub cause: String,
    /// Which life of the delivery this was.
    pub generation: u32,
    /// How often the delivery was replayed, in all its lives.
    pub replays: u32,
    /// When it died.
    pub time: DateTime<Utc>,
}

/// A page of dead letters, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// The page.
    pub items: Vec<DeadLetterSummary>,
    /// `after` of the next page, where there is one.
    pub next: Option<String>,
}

/// Dead letters of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterGroup {
    /// The destination's name, `router` or `gateway`.
    pub channel: String,
    /// The deliveries' subscription.
    pub subscription: String,
    /// Why they died.
    pub reason: DeadLetterReason,
    /// Class of the last failure.
    pub class: Option<ClassKind>,
    /// The platform's status code.
    pub status: Option<u32>,
    /// What their details have in common; see [`crate::cause`].
    pub cause: String,
    /// How many.
    pub count: u64,
    /// When the first of them died.
    pub first: DateTime<Utc>,
    /// When the last of them died.
    pub last: DateTime<Utc>,
    /// The id of one of them.
    pub sample: String,
}

/// One dead letter, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDeadLetter {
    /// What the list says about it, [`DeadLetterSummary::state`] among it.
    pub summary: DeadLetterSummary,
    /// The newest life given to its delivery: its generation when it was never replayed.
    pub life: u32,
    /// The dead letter as it came on its channel.
    pub dead_letter: DeadLetter,
    /// What happened to it since it was stored, oldest first.
    pub history: Vec<DeadLetterChange>,
}

/// Something that happened to a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterChange {
    /// When.
    pub time: DateTime<Utc>,
    /// The state it got.
    pub state: DeadLetterState,
    /// The operator, or `trunkline`.
    pub by: String,
    /// The replay's id, the reason of a discard, the id of the newer dead letter.
    pub detail: String,
}
