//! Events and deliveries to try with.

use chrono::{DateTime, Utc};
use trunkline_core::{Delivery, Event};
use trunkline_proto::commerce::v1::Order;
use trunkline_proto::types::v1::Money;

/// An event with a canonical order of 42.00 EUR. Always the same.
pub fn sample_event() -> Event {
    let order = Order {
        id: "1001".to_owned(),
        email: Some("ada@example.com".to_owned()),
        currency: Some("EUR".to_owned()),
        total: Some(Money { currency: "EUR".to_owned(), minor_units: 4200 }),
        ..Order::default()
    };
    let builder = Event::builder("sample-1", "sample", "commerce.order.created");
    let built = builder.subject("order/1001").key("1001").proto(&order).build();
    // The parts are constants that a test below builds.
    #[allow(clippy::expect_used, reason = "its parts are constants")]
    built.expect("the sample is a valid event")
}

/// A first delivery of an event, without a transform's body, from subscription `sample` to destination `sample`.
pub fn delivery(event: Event) -> Delivery {
    Delivery {
        event,
        body: None,
        subscription: "sample".to_owned(),
        destination: "sample".to_owned(),
        rule_set: "sample".to_owned(),
        attempt: 0,
        generation: 0,
        routed: DateTime::<Utc>::UNIX_EPOCH,
        first_attempt: None,
        replay_id: String::new(),
        attempts: Vec::new(),
    }
}

/// A first delivery of [`sample_event`].
pub fn sample_delivery() -> Delivery {
    delivery(sample_event())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_valid() {
        assert_eq!(sample_event().id(), "sample-1");
        assert_eq!(sample_delivery().event, sample_event());
    }
}
