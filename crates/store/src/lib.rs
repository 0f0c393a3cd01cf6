//! The store: operational state that the services of one Trunkline share, in SQL.
//!
//! It holds what must be *queried* or *shared*: the ids a gateway has seen, the cursors of polling sources, the states of
//! destinations, dead letters and their replays, the journey of every event with the account, and the audit log. It
//! never carries an event on its way: that is the broker's work, and the bus goes on (undeduplicated) without a store.
//!
//! One SQLite file serves one process, which locks it; a PostgreSQL database serves several. Each query is written once, in
//! the SQL both speak, and `src/dialect.rs` with its folder is the only part that knows which of them is behind. The price
//! is that a few things are done in two statements that either could do in one.
//!
//! Every method on [`Store`] is one transaction: when it returns `Ok` its change is on disk, and when it returns `Err`, or
//! its future is dropped, nothing of it is. Several processes may call any of them at once: sums are added to where they
//! are, what looks at dead letters before it changes them takes turns, and work on a replay is leased. Time is always an
//! argument; the clocks of processes that share a store should agree within a few seconds.
//!
//! Read [`Store`] first, then one file per concept: `seen`, `cursors`, `destinations`, `dead_letters`, `replays`,
//! `journeys`, `account`, `audit`. [`words`] has the words that stand for states and reasons wherever they are text.
#![warn(missing_docs)]

mod account;
mod audit;
mod backup;
mod cause;
mod cursors;
mod dead_letters;
mod destinations;
mod dialect;
mod error;
mod examine;
mod journeys;
mod lock;
mod page;
mod replays;
mod row;
mod seen;
mod store;
pub mod words;

pub use account::{Account, Imbalance, OnTheBroker};
pub use audit::AuditEntry;
pub use backup::back_up;
pub use cause::cause;
pub use dead_letters::{
    Contained, DeadLetterChange, DeadLetterFilter, DeadLetterGroup, DeadLetterPage, DeadLetterState,
    DeadLetterSummary, StoredDeadLetter,
};
pub use destinations::{DestinationState, DestinationStateKind};
pub use error::{Cause, StoreError};
pub use examine::{StoreExamination, examine};
pub use journeys::{EventFilter, EventSummary, JourneyEntry};
pub use page::Page;
pub use replays::{
    ItemOutcome, NewReplay, Refusal, Replay, ReplayItem, ReplayProgress, ReplayState, Selection,
};
pub use seen::EventId;
pub use store::Store;
