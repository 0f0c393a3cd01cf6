//! Outputs that the broker turned out not to take for their size become dead letters.
//!
//! Sizes are checked when outputs are made; but a channel may take less than it was declared with, because somebody changed
//! it on the broker since.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trunkline_sdk::broker::{ChannelName, Outgoing, PublishFailure, RecordFailure};
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord};
use trunkline_sdk::core::{DeadLetterReason, Delivery, DestinationName};

use crate::convert::{Converter, dead_letter};

impl Converter {
    /// Puts dead letters in the place of deliveries that were refused for their size, and adds a journey record that says
    /// so.
    ///
    /// # Errors
    /// The first failure of another kind, or of another record than a delivery: there is nothing else to store.
    pub(crate) fn set_aside(
        &self,
        outputs: &mut Vec<Outgoing>,
        failures: Vec<RecordFailure>,
        now: DateTime<Utc>,
    ) -> Result<(), RecordFailure> {
        let mut steps = Vec::with_capacity(failures.len());
        for failure in failures {
            let Some(output) = outputs.get_mut(failure.index) else { return Err(failure) };
            let PublishFailure::TooLarge { .. } = failure.failure else { return Err(failure) };
            let Some(delivery) = delivery(output) else { return Err(failure) };
            let detail = format!("channel `{}` does not take it: {}", output.channel, failure.failure);
            let dead = dead_letter(delivery, DeadLetterReason::TooLarge, detail, now);
            let (replacement, step) = self.dead(dead, output.key.clone(), &output.headers, now);
            *output = replacement;
            steps.push(step);
        }
        let counts = JourneyCounts { dead: steps.len() as u64, ..JourneyCounts::default() };
        let journey = JourneyRecord {
            instance: self.instance.clone(),
            service: "router".to_owned(),
            time: now,
            steps,
            counts,
        };
        let key = Bytes::copy_from_slice(self.instance.as_bytes());
        let records = journey.encode_fitting(self.max_record / 2);
        outputs.extend(
            records.into_iter().map(|record| Outgoing::new(ChannelName::journey(), key.clone(), record)),
        );
        Ok(())
    }
}

/// The delivery that an output is, if it is one.
fn delivery(output: &Outgoing) -> Option<Delivery> {
    let delivery = Delivery::decode(output.value.clone()).ok()?;
    let destination = DestinationName::parse(&delivery.destination).ok()?;
    (output.channel == ChannelName::deliver(&destination)).then_some(delivery)
}
