//! Whether each destination takes deliveries, as operators and runtimes decided.

use chrono::{DateTime, Utc};

use crate::dialect::{Durability, Row, Statement};
use crate::error::StoreError;
use crate::row;
use crate::store::Store;
use crate::words::Word;

/// Whether a destination takes deliveries. While it does not they wait on the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationState {
    /// It does. So does one of which the store knows nothing.
    Open,
    /// An operator paused it; only an operator opens it again.
    Paused {
        /// The operator.
        by: String,
        /// Why, in the operator's words.
        reason: String,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// The runtime holds it: credentials refused, circuit open.
    Held {
        /// Why.
        reason: String,
        /// Since when.
        since: DateTime<Utc>,
        /// When one delivery may be tried; `None` when only an operator or a changed secret opens it.
        probe_after: Option<DateTime<Utc>>,
    },
    /// The platform said that it is gone for good (410).
    Disabled {
        /// Why.
        reason: String,
        /// Since when.
        since: DateTime<Utc>,
    },
}

/// A [`DestinationState`] without what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the state of its name")]
pub enum DestinationStateKind {
    Open,
    Paused,
    Held,
    Disabled,
}

impl Word for DestinationStateKind {
    const NAME: &'static str = "state of a destination";
    const ALL: &'static [Self] = &[Self::Open, Self::Paused, Self::Held, Self::Disabled];

    fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Held => "held",
            Self::Disabled => "disabled",
        }
    }
}

impl DestinationState {
    /// The state without what it carries.
    pub fn kind(&self) -> DestinationStateKind {
        match self {
            Self::Open => DestinationStateKind::Open,
            Self::Paused { .. } => DestinationStateKind::Paused,
            Self::Held { .. } => DestinationStateKind::Held,
            Self::Disabled { .. } => DestinationStateKind::Disabled,
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Open => "",
            Self::Paused { reason, .. } | Self::Held { reason, .. } | Self::Disabled { reason, .. } => reason,
        }
    }

    fn since(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Open => None,
            Self::Paused { since, .. } | Self::Held { since, .. } | Self::Disabled { since, .. } => {
                Some(*since)
            }
        }
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let (reason, since) = (row.get("reason")?, row::time(row, "since")?);
        Ok(match row::word(row, "state")? {
            DestinationStateKind::Open => Self::Open,
            DestinationStateKind::Paused => Self::Paused { by: row.get("changed_by")?, reason, since },
            DestinationStateKind::Held => {
                Self::Held { reason, since, probe_after: row::optional_time(row, "probe_after")? }
            }
            DestinationStateKind::Disabled => Self::Disabled { reason, since },
        })
    }
}

impl Store {
    /// The state of one destination.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn destination_state(&self, name: &str) -> Result<DestinationState, StoreError> {
        let mut query = Statement::new(STATES);
        query.push(" WHERE name = ").push_bind(name);
        let row = query.first(&self.connections).await?;
        row.as_ref().map_or(Ok(DestinationState::Open), DestinationState::read)
    }

    /// The states of all destinations that were ever set, by name.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn destination_states(&self) -> Result<Vec<(String, DestinationState)>, StoreError> {
        let mut query = Statement::new(STATES);
        query.push(" ORDER BY name");
        let rows = query.all(&self.connections).await?;
        rows.iter().map(|row| Ok((row.get("name")?, DestinationState::read(row)?))).collect()
    }

    /// A number that grows whenever any state changes; cheap to poll.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn states_revision(&self) -> Result<u64, StoreError> {
        let query = Statement::new("SELECT value FROM revisions WHERE name = 'destination_states'");
        row::unsigned(&query.one(&self.connections).await?, "value")
    }

    /// Sets a state whatever it was: for operators. `by` is who; a [`DestinationState::Paused`] names its own.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn set_destination_state(
        &self,
        name: &str,
        state: &DestinationState,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.swap_destination_state(name, DestinationStateKind::ALL, state, by, now).await.map(|_| ())
    }

    /// Sets a state only when the present one is among `permitted`; returns whether it was. For runtimes, so that a hold
    /// never overwrites an operator's pause, and a probe's success never ends one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn swap_destination_state(
        &self,
        name: &str,
        permitted: &[DestinationStateKind],
        state: &DestinationState,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        if permitted.contains(&DestinationStateKind::Open) {
            Statement::new(
                "INSERT INTO destination_states (name, state, reason, changed_by, since) VALUES ($1, $2, '', '', $3) \
                 ON CONFLICT (name) DO NOTHING",
            )
            .bind(name)
            .bind(DestinationStateKind::Open.word())
            .bind(row::micros(now))
            .execute(&mut transaction)
            .await?;
        }
        if change(name, permitted, state, by, now).execute(&mut transaction).await? == 0 {
            return Ok(false);
        }
        Statement::new("UPDATE revisions SET value = value + 1 WHERE name = 'destination_states'")
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Holds a destination that is open; returns whether it was. `by` is the instance.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn hold_if_open(
        &self,
        name: &str,
        reason: &str,
        probe_after: Option<DateTime<Utc>>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let held = DestinationState::Held { reason: reason.to_owned(), since: now, probe_after };
        self.swap_destination_state(name, &[DestinationStateKind::Open], &held, by, now).await
    }
}

const STATES: &str = "SELECT name, state, reason, changed_by, since, probe_after FROM destination_states";

fn change<'q>(
    name: &'q str,
    permitted: &[DestinationStateKind],
    state: &'q DestinationState,
    by: &'q str,
    now: DateTime<Utc>,
) -> Statement<'q> {
    let (by, probe_after) = match state {
        DestinationState::Paused { by, .. } => (by.as_str(), None),
        DestinationState::Held { probe_after, .. } => (by, probe_after.map(row::micros)),
        _ => (by, None),
    };
    let mut query = Statement::new("UPDATE destination_states SET state = ");
    query.push_bind(state.kind().word());
    query.push(", reason = ").push_bind(state.reason());
    query.push(", changed_by = ").push_bind(by);
    query.push(", since = ").push_bind(row::micros(state.since().unwrap_or(now)));
    query.push(", probe_after = ").push_bind(probe_after);
    query.push(" WHERE name = ").push_bind(name).push(" AND ");
    query.push_any_of("state", permitted.iter().map(|kind| kind.word()));
    query
}
