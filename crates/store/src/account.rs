//! The account: whether everything that was accepted is somewhere.
//!
//! events: accepted = routed + filtered + undecodable + not routed yet.
//! deliveries: made = delivered + dead + discarded + in flight + held.
//!
//! The router makes a delivery once; replays give it further lives but make none. So `delivered` is not the count of
//! successes: it is the deliveries that succeeded in their first life, plus those whose dead letter is delivered. `dead`
//! and `discarded` are the states of the dead letters that stand for their deliveries. What is on its way must come from
//! the broker: the store can't know it, and a sum of its own numbers would prove nothing.

use thiserror::Error;

use crate::dead_letters::DeadLetterState;
use crate::dialect::Statement;
use crate::error::StoreError;
use crate::store::Store;
use crate::words::Word;

/// The store's side of the account, over all time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Events accepted by gateways.
    pub accepted: u64,
    /// Events refused as already accepted; not among `accepted`.
    pub duplicate: u64,
    /// Events that matched a subscription.
    pub routed: u64,
    /// Events that matched none.
    pub filtered: u64,
    /// Records that were no event.
    pub undecodable: u64,
    /// Deliveries made by routers.
    pub made: u64,
    /// Deliveries that the platform took, in whichever life.
    pub delivered: u64,
    /// Deliveries whose dead letter waits, or waits for its turn in a replay.
    pub dead: u64,
    /// Deliveries that an operator gave up.
    pub discarded: u64,
    /// Times a delivery began to wait for a held or paused destination.
    pub times_held: u64,
    /// Attempts. One that was made again after a crash counts again.
    pub attempts: u64,
    /// Lives given by replays.
    pub replayed: u64,
}

/// The broker's side of the account: what is stored and not settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnTheBroker {
    /// The router's lag on `events`.
    pub events: u64,
    /// The dispatchers' lag on `deliver.*` of destinations that are open: in flight.
    pub in_flight: u64,
    /// The dispatchers' lag on `deliver.*` of the other destinations: held.
    pub held: u64,
    /// The console's lag on `dead.*` but `dead.router` and `dead.gateway`: dead letters not stored yet.
    pub dead: u64,
}

/// The two sides disagree. While work is under way they may, for a moment; at rest something is lost or counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Imbalance {
    /// The events do.
    #[error("{accepted} events were accepted, {accounted} are accounted for")]
    Events {
        /// Accepted.
        accepted: u64,
        /// Routed, filtered, undecodable or not routed yet.
        accounted: u64,
    },
    /// The deliveries do.
    #[error("{made} deliveries were made, {accounted} are accounted for")]
    Deliveries {
        /// Made.
        made: u64,
        /// Delivered, dead, discarded, in flight or held.
        accounted: u64,
    },
}

impl Account {
    /// Whether everything accepted and made is accounted for.
    ///
    /// # Errors
    /// The first [`Imbalance`].
    pub fn check(&self, broker: OnTheBroker) -> Result<(), Imbalance> {
        let accounted = self.routed + self.filtered + self.undecodable + broker.events;
        if accounted != self.accepted {
            return Err(Imbalance::Events { accepted: self.accepted, accounted });
        }
        let on_the_way = broker.in_flight + broker.held + broker.dead;
        let accounted = self.delivered + self.dead + self.discarded + on_the_way;
        if accounted != self.made {
            return Err(Imbalance::Deliveries { made: self.made, accounted });
        }
        Ok(())
    }
}

impl Store {
    /// The account as far as journeys and dead letters are taken in, as of one moment.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account(&self) -> Result<Account, StoreError> {
        let mut account = Account::default();
        // One statement sees one moment.
        let query = Statement::new(
            "SELECT kind, state, CAST(SUM(value) AS BIGINT) AS value FROM ( \
             SELECT 'letters' AS kind, state, COUNT(*) AS value FROM dead_letters WHERE contents = 'delivery' GROUP BY state \
             UNION ALL SELECT 'letters', state, number FROM pruned_letters \
             UNION ALL SELECT 'letters', 'pending', COUNT(DISTINCT dead_letter_id) FROM replay_items \
               JOIN dead_letters ON dead_letters.id = dead_letter_id \
               WHERE replay_items.state = 'pending' AND dead_letters.state = 'replaying' AND contents = 'delivery' \
             UNION ALL SELECT 'counts', 'accepted', accepted FROM journey_counts \
             UNION ALL SELECT 'counts', 'duplicate', duplicate FROM journey_counts \
             UNION ALL SELECT 'counts', 'routed', routed FROM journey_counts \
             UNION ALL SELECT 'counts', 'filtered', filtered FROM journey_counts \
             UNION ALL SELECT 'counts', 'undecodable', undecodable FROM journey_counts \
             UNION ALL SELECT 'counts', 'made', made FROM journey_counts \
             UNION ALL SELECT 'counts', 'delivered', delivered - delivered_again FROM journey_counts \
             UNION ALL SELECT 'counts', 'held', held FROM journey_counts \
             UNION ALL SELECT 'counts', 'attempts', attempts FROM journey_counts \
             UNION ALL SELECT 'counts', 'replayed', replayed FROM journey_counts \
             ) AS lines GROUP BY kind, state",
        );
        for row in query.all(&self.connections).await? {
            // The parts of a record that was split come one by one, so that a difference may be negative for a moment.
            let value = row.get::<i64>("value")?.max(0).unsigned_abs();
            let name = row.get("state")?;
            match row.get("kind")? {
                "letters" => account.add_letters(name, value),
                _ => account.add_count(name, value),
            }
        }
        Ok(account)
    }
}

impl Account {
    fn add_letters(&mut self, state: &str, number: u64) {
        if state == "pending" {
            self.dead += number;
            return;
        }
        match DeadLetterState::parse(state) {
            Some(DeadLetterState::Waiting) => self.dead += number,
            Some(DeadLetterState::Delivered) => self.delivered += number,
            Some(DeadLetterState::Discarded) => self.discarded += number,
            // On the broker, or stood for by a newer dead letter.
            Some(DeadLetterState::Replaying | DeadLetterState::DeadAgain) | None => {}
        }
    }

    fn add_count(&mut self, name: &str, number: u64) {
        match name {
            "accepted" => self.accepted += number,
            "duplicate" => self.duplicate += number,
            "routed" => self.routed += number,
            "filtered" => self.filtered += number,
            "undecodable" => self.undecodable += number,
            "made" => self.made += number,
            "delivered" => self.delivered += number,
            "held" => self.times_held += number,
            "attempts" => self.attempts += number,
            "replayed" => self.replayed += number,
            _ => {}
        }
    }
}
