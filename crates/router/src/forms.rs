//! What the deliveries of one subscription in one batch have in common.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use trunkline_rules::Routed;
use trunkline_sdk::broker::ChannelName;
use trunkline_sdk::core::delivery::DeliveryEncoder;
use trunkline_sdk::core::{DestinationName, Event, SubscriptionName};

/// A form for each subscription that matched something of a batch.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    forms: Vec<Form>,
    places: HashMap<SubscriptionName, usize>,
    /// The one used last; events of one kind come in runs.
    last: usize,
    /// Where records are laid.
    block: BytesMut,
}

#[derive(Debug)]
struct Form {
    subscription: SubscriptionName,
    destination: DestinationName,
    channel: ChannelName,
    encoder: DeliveryEncoder,
    made: u64,
}

impl Forms {
    /// The record of a delivery, and the channel it goes to.
    pub(crate) fn fill(
        &mut self,
        routed: &Routed,
        event: &Event,
        rule_set: &str,
        now: DateTime<Utc>,
    ) -> (ChannelName, Bytes) {
        let last = self.forms.get(self.last).is_some_and(|form| form.subscription == routed.subscription);
        if !last {
            self.last = self.place(routed, rule_set, now);
        }
        let form = &mut self.forms[self.last];
        form.made += 1;
        (form.channel.clone(), form.encoder.encode(event, routed.body.as_ref(), &mut self.block))
    }

    /// How many deliveries were made.
    pub(crate) fn made(self) -> Vec<(SubscriptionName, DestinationName, u64)> {
        self.forms.into_iter().map(|form| (form.subscription, form.destination, form.made)).collect()
    }

    fn place(&mut self, routed: &Routed, rule_set: &str, now: DateTime<Utc>) -> usize {
        let Routed { subscription, destination, .. } = routed;
        if let Some(place) = self.places.get(subscription) {
            return *place;
        }
        self.forms.push(Form {
            subscription: subscription.clone(),
            destination: destination.clone(),
            channel: ChannelName::deliver(destination),
            encoder: DeliveryEncoder::new(subscription, destination, rule_set, now),
            made: 0,
        });
        self.places.insert(subscription.clone(), self.forms.len() - 1);
        self.forms.len() - 1
    }
}
