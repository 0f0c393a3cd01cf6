//! The journey records of a hand-over.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trunkline_broker::{ChannelName, Outgoing};
use trunkline_core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};

use super::settlement::Settlement;
use crate::config::JourneyMode;

/// Writes what happened in a batch of settlements.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    /// The process's name.
    pub(super) instance: String,
    /// Which steps are written.
    pub(super) mode: JourneyMode,
    /// The longest record in bytes.
    pub(super) max_record: usize,
}

impl Journal {
    /// The records for what of a batch has none yet: one, or several where one would be too long.
    pub(super) fn records(&self, batch: &[Settlement], now: DateTime<Utc>) -> Vec<Outgoing> {
        let missing = || batch.iter().filter(|settlement| !settlement.journaled);
        if missing().next().is_none() {
            return Vec::new();
        }
        let mut counts = JourneyCounts::default();
        for settlement in missing() {
            settlement.count(&mut counts);
        }
        let steps = missing().map(|settlement| &settlement.step).filter(|step| self.writes(step));
        let record = JourneyRecord {
            instance: self.instance.clone(),
            service: "dispatcher".to_owned(),
            time: now,
            steps: steps.cloned().collect(),
            counts,
        };
        let key = Bytes::copy_from_slice(self.instance.as_bytes());
        let room = self.max_record.saturating_sub(key.len());
        let records = record.encode_fitting(room).into_iter();
        records.map(|record| Outgoing::new(ChannelName::journey(), key.clone(), record)).collect()
    }

    /// What went well may be left out, except for replays: the state of their dead letter follows from it.
    fn writes(&self, step: &JourneyStep) -> bool {
        self.mode == JourneyMode::All || step.step != Step::Delivered || step.generation > 0
    }
}
