//! What a replay would do, before it is made.

use super::{Refusal, Selection};
use crate::dead_letters::{Contained, DeadLetterFilter, DeadLetterState, push_filter};
use crate::dialect::Statement;
use crate::error::StoreError;
use crate::row;
use crate::store::Store;

impl Store {
    /// Which of the dead letters that `filter` means a replay would take, oldest first. Unless `forced`, one that is
    /// replaying, delivered or discarded, or was replayed `max_replays` times, is refused. A filter without ids and state
    /// means those that stand for their delivery: it does not list every refused one that is dead again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn select_for_replay(
        &self,
        filter: &DeadLetterFilter,
        forced: bool,
        max_replays: u32,
    ) -> Result<Selection, StoreError> {
        let mut query = Statement::new("SELECT id, contents, state, replays FROM dead_letters");
        push_filter(&mut query, filter);
        if filter.ids.is_none() && filter.state.is_none() {
            query.push(" AND state <> 'dead_again'");
        }
        query.push(" ORDER BY time, id");
        let mut selection = Selection::default();
        for row in query.all(&self.connections).await? {
            let id = row.get("id")?;
            let contained = row::word(&row, "contents")?;
            let replays = row::unsigned(&row, "replays")?;
            match refusal(contained, row::word(&row, "state")?, replays, forced, max_replays) {
                Some(refusal) => selection.refused.push((id, refusal)),
                None => selection.eligible.push(id),
            }
        }
        Ok(selection)
    }
}

/// The one place that says what may be replayed.
pub(super) fn refusal(
    contained: Contained,
    state: DeadLetterState,
    replays: u32,
    forced: bool,
    max_replays: u32,
) -> Option<Refusal> {
    match (contained, state) {
        (Contained::Malformed, _) => Some(Refusal::Malformed),
        (_, DeadLetterState::DeadAgain) => Some(Refusal::DeadAgain),
        _ if forced => None,
        (_, DeadLetterState::Replaying) => Some(Refusal::Replaying),
        (_, DeadLetterState::Delivered) => Some(Refusal::Delivered),
        (_, DeadLetterState::Discarded) => Some(Refusal::Discarded),
        (_, DeadLetterState::Waiting) => (replays >= max_replays).then_some(Refusal::TooManyReplays(replays)),
    }
}
