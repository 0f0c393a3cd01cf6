//! Which message was returned.
//!
//! The client library hands a returned message to whichever confirmation it completes next, which is seldom that of the
//! message. The broker returns a message before it confirms it, so once everything is looked at that was completed together
//! with a confirmation, the return of its message has been seen, if there is one.

use std::collections::HashSet;
use std::future::Future;
use std::task::{Context, Waker};

use lapin::message::BasicReturnMessage;
use lapin::{Channel, Confirmation};

/// Messages that came back: message id and exchange, since every group's copy has the same id.
#[derive(Debug, Default)]
pub(super) struct Returns {
    seen: HashSet<(String, String)>,
}

/// What the broker said about one message, its own return not considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Ack,
    Nack,
}

impl Returns {
    /// Looks at a confirmation, whatever message it brings along.
    pub(super) fn look(&mut self, confirmation: Confirmation) -> Said {
        let said = if confirmation.is_nack() { Said::Nack } else { Said::Ack };
        if let Some(message) = confirmation.take_message() {
            self.seen.extend(identity(&message));
        }
        said
    }

    /// Whether this message came back. Asked once for each confirmed one.
    pub(super) fn take(&mut self, number: i64, exchange: &str) -> bool {
        !self.seen.is_empty() && self.seen.remove(&(number.to_string(), exchange.to_owned()))
    }

    /// Messages of a broken AMQP channel are published again.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
    }
}

fn identity(message: &BasicReturnMessage) -> Option<(String, String)> {
    let id = message.delivery.properties.message_id().as_ref()?.as_str().to_owned();
    Some((id, message.delivery.exchange.as_str().to_owned()))
}

/// Returns when the library has completed everything that came with the confirmations seen so far: it holds a lock while it
/// completes what one frame confirms, and this asks for something that the same lock guards.
pub(super) fn after_frame(channel: &Channel) {
    let mut asked = std::pin::pin!(channel.wait_for_confirms());
    // Only the lock matters; the answer would be that of all confirmations.
    _ = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;
    use lapin::message::Delivery;

    use super::*;
    use crate::codec::short;

    fn returned(id: &str, exchange: &str) -> BasicReturnMessage {
        let mut delivery = Delivery::mock(0, short(exchange), short("0"), false, Vec::new());
        delivery.properties = BasicProperties::default().with_message_id(short(id));
        BasicReturnMessage { delivery, reply_code: 312, reply_text: short("NO_ROUTE") }
    }

    #[test]
    fn a_return_belongs_to_its_message_whoever_brings_it() {
        let mut returns = Returns::default();
        assert_eq!(returns.look(Confirmation::Ack(Some(returned("7", "events:router")))), Said::Ack);
        assert_eq!(returns.look(Confirmation::Nack(None)), Said::Nack);
        assert!(!returns.take(6, "events:router") && !returns.take(7, "events:archive"));
        assert!(returns.take(7, "events:router"));
        assert!(!returns.take(7, "events:router"), "a return counts once");
    }
}
