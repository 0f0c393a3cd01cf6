//! Alarms: a gauge that is above zero, and an error in the log, as long as something does not work.

use std::error::Error;

use metrics::Gauge;
use tracing::{error, info};

/// Something that an operator must know about as long as it lasts.
#[derive(Clone)]
pub(super) struct Alarm {
    gauge: Gauge,
    what: &'static str,
}

/// An alarm that rings until this is dropped.
pub(super) struct Ringing {
    alarm: Alarm,
}

impl Alarm {
    /// An alarm on a gauge; `what` is what the log says, for example `deliveries can't be settled`.
    pub(super) fn new(gauge: Gauge, what: &'static str) -> Self {
        gauge.set(0.0);
        Self { gauge, what }
    }

    /// Rings.
    pub(super) fn ring(&self, cause: &(dyn Error + 'static)) -> Ringing {
        self.gauge.increment(1.0);
        error!(cause = %chain(cause), "{}; trying until it works", self.what);
        Ringing { alarm: self.clone() }
    }
}

impl Drop for Ringing {
    fn drop(&mut self) {
        self.alarm.gauge.decrement(1.0);
        info!("over: {}", self.alarm.what);
    }
}

/// An error with all that it came from.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
