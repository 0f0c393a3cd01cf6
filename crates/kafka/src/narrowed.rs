//! Topics that take less than their channels were declared with, because somebody lowered `max.message.bytes` since.
//!
//! A broker refuses a whole batch for its size and says the same of every record in it. Whose fault it is, is told by the
//! topic's setting.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::asker::Asker;
use crate::error::KafkaFailure;

/// How long a setting counts before the topic is tried again.
const BELIEVED: Duration = Duration::from_secs(60);

/// Bytes that a batch of one record may have around those that count against a limit.
const FRAMING: usize = 1 << 10;

/// What is known of narrowed topics.
#[derive(Debug, Default)]
pub(crate) struct Narrowed {
    any: AtomicBool,
    limits: RwLock<HashMap<Arc<str>, Limit>>,
}

#[derive(Debug)]
struct Limit {
    bytes: usize,
    until: Instant,
}

impl Narrowed {
    /// The longest record that a topic takes, when it was found to take less than it should.
    pub(crate) fn limit(&self, topic: &str) -> Option<usize> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        limits.get(topic).filter(|limit| Instant::now() < limit.until).map(|limit| limit.bytes)
    }

    /// Asks what these topics take, which refused records for their size.
    pub(crate) async fn learn(&self, asker: &Asker, topics: &BTreeSet<Arc<str>>) -> Result<(), KafkaFailure> {
        let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        let settings = asker.settings(&names).await?;
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        for (topic, settings) in topics.iter().zip(&settings) {
            let setting = settings.get("max.message.bytes").and_then(|entry| entry.value.as_ref());
            let Some(found) = setting.and_then(|value| value.parse::<usize>().ok()) else { continue };
            tracing::error!(
                topic = &**topic,
                max_message_bytes = found,
                "the topic takes less than its channel was declared with; larger records are refused and smaller ones \
                 go one at a time until `max.message.bytes` is raised again"
            );
            let limit = Limit { bytes: found.saturating_sub(FRAMING), until: Instant::now() + BELIEVED };
            limits.insert(topic.clone(), limit);
        }
        drop(limits);
        self.any.store(true, Ordering::Release);
        Ok(())
    }
}
