//! One attempt: made, timed, logged, decided upon, and its consequence on the way to be settled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span, info, info_span, warn};
use trunkline_core::journey::JourneyStep;
use trunkline_core::{Attempt, Delivery, DestinationName, FailureClass};

use super::clock::Clock;
use super::gate::Signal;
use super::lanes::{Record, Taken};
use super::measure;
use super::outcome::{Circumstances, Next, Tried, decide};
use super::settlement::Settlement;
use super::traced;
use crate::config::DestinationSettings;
use crate::destination::{Delivered, DeliveryError};
use crate::registry::AnyDestination;
use crate::service::TraceContext;

/// How much of what a platform said an attempt remembers, in bytes.
const KEPT_RESPONSE: usize = 2048;
/// How much of a failure's description and of the request it remembers, in bytes.
const KEPT_DETAIL: usize = 512;

/// What all attempts share.
pub(super) struct Bench {
    pub(super) clock: Clock,
    pub(super) instance: String,
    pub(super) max_record: usize,
    pub(super) settlements: mpsc::Sender<Settlement>,
}

/// An attempt to be made.
pub(super) struct Job {
    pub(super) destination: DestinationName,
    /// Tells this destination from one of the same name before or after it.
    pub(super) serial: u64,
    pub(super) adapter: Arc<dyn AnyDestination>,
    pub(super) settings: Arc<DestinationSettings>,
    pub(super) taken: Taken,
    /// Whether it shows if a tripped or held destination works again.
    pub(super) trial: bool,
}

/// What the pump must know of an attempt that ended.
pub(super) struct Finished {
    pub(super) signal: Signal,
    pub(super) waits: Option<Box<Waits>>,
}

/// A delivery that waits because its destination takes nothing.
pub(super) struct Waits {
    pub(super) step: JourneyStep,
    /// Dropped, it goes back to the engine.
    pub(super) taken: Taken,
}

/// Makes an attempt. When this returns, the consequence is queued to be settled, or the delivery waits.
pub(super) async fn attempt(bench: Arc<Bench>, job: Job) -> Finished {
    let Job { destination, serial: _, adapter, settings, taken, trial } = job;
    let Taken { delivery, mut record } = taken;
    // The record's trace is the one that brought it here; an event published with a trace of its own has that at least.
    let parent = TraceContext::of_record(&record.headers).or_else(|| TraceContext::of_event(&delivery.event));
    let mut traced_attempt = traced::begin(&delivery, parent);
    let trace = traced_attempt.context().clone();
    let span = span(&delivery, &trace);
    let time = bench.clock.now();
    let began = Instant::now();
    let delivery = Arc::new(delivery);
    let outcome = one_try(adapter, delivery.clone(), settings.timeout, trace, &span).await;
    let delivery = Arc::unwrap_or_clone(delivery);
    let gone = outcome.as_ref().is_err_and(|error| error.gone);
    let base = Attempt {
        number: delivery.attempt.saturating_add(1),
        time,
        took: began.elapsed(),
        class: None,
        detail: String::new(),
        status: None,
        response: String::new(),
        request: String::new(),
        instance: bench.instance.clone(),
    };
    let attempt = told(base, outcome);
    traced::end(&mut traced_attempt, &attempt);
    let signal = signal(&attempt, gone, &settings);
    let around = Circumstances {
        policy: &settings.retry,
        now: bench.clock.now(),
        elapsed: bench.clock.since(delivery.first_attempt.unwrap_or(time)),
        jitter: rand::random(),
    };
    let (tried, routed) = (Tried { attempt, gone, trial }, delivery.routed);
    span.in_scope(|| log(&tried.attempt, trial));
    measure::attempt(&destination, &tried.attempt, routed, around.now);
    let (next, step) = decide(delivery, tried, &around);
    if matches!(next, Next::Dead(_)) {
        traced::lead_on(&traced_attempt, &mut record.headers);
    }
    let waits = consequence(&bench, &destination, record, next, step).await;
    Finished { signal, waits }
}

/// Queues what must be stored; or gives back the record and the step when the delivery must wait.
async fn consequence(
    bench: &Bench,
    destination: &DestinationName,
    record: Record,
    next: Next,
    step: JourneyStep,
) -> Option<Box<Waits>> {
    let settlement = match next {
        Next::Settle => Settlement::delivered(destination, record, step),
        Next::Retry { delivery, delay } => Settlement::again(destination, record, delivery, delay, step),
        Next::Dead(letter) => {
            measure::dead_letter(destination, letter.reason);
            Settlement::dead(destination, record, *letter, step, bench.max_record)
        }
        Next::Wait(delivery) => {
            return Some(Box::new(Waits { step, taken: Taken { delivery: *delivery, record } }));
        }
    };
    // Refused only when the runtime ends without settling; dropping it then gives the record back.
    drop(bench.settlements.send(settlement).await);
    None
}

/// Calls the adapter in a task of its own, so that neither a panic nor an adapter that blocks takes the delivery along.
async fn one_try(
    adapter: Arc<dyn AnyDestination>,
    delivery: Arc<Delivery>,
    limit: Duration,
    trace: TraceContext,
    span: &Span,
) -> Result<Delivered, DeliveryError> {
    let task = trace.scope(async move { adapter.deliver(&delivery).await });
    let task = AbortOnDropHandle::new(tokio::spawn(task.instrument(span.clone())));
    match timeout(limit, task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(failed)) if failed.is_panic() => {
            // What it said may hold anything, secrets too, and is on the standard error already.
            Err(DeliveryError::transient("the adapter panicked; the process's standard error says where"))
        }
        Ok(Err(_cancelled)) => Err(DeliveryError::transient("the attempt was cancelled")),
        Err(_elapsed) => {
            let limit = humantime::format_duration(limit);
            Err(DeliveryError::transient(format!("no outcome within the time-out of {limit}")))
        }
    }
}

fn told(base: Attempt, outcome: Result<Delivered, DeliveryError>) -> Attempt {
    match outcome {
        Ok(delivered) => Attempt {
            status: delivered.status.map(u32::from),
            response: excerpt(delivered.response, KEPT_RESPONSE),
            request: excerpt(delivered.request, KEPT_DETAIL),
            ..base
        },
        Err(error) => Attempt {
            // The pump holds a destination that says it is gone, whatever class came with it.
            class: Some(if error.gone { FailureClass::Halted } else { error.class }),
            detail: excerpt(error.detail, KEPT_DETAIL),
            status: error.status.map(u32::from),
            response: excerpt(error.response, KEPT_RESPONSE),
            request: excerpt(error.request, KEPT_DETAIL),
            ..base
        },
    }
}

fn signal(attempt: &Attempt, gone: bool, settings: &DestinationSettings) -> Signal {
    match &attempt.class {
        _ if gone => Signal::Gone,
        None => Signal::Worked,
        Some(FailureClass::Transient) => Signal::Transient,
        Some(FailureClass::Throttled { retry_after }) => {
            Signal::Throttled((*retry_after).min(settings.retry.max_retry_after))
        }
        Some(FailureClass::Rejected) => Signal::Rejected { answered: attempt.status.is_some() },
        Some(FailureClass::Halted) => Signal::Halted,
    }
}

/// The beginning of `text`, at most `limit` bytes.
fn excerpt(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
    }
    text
}

fn span(delivery: &Delivery, trace: &TraceContext) -> Span {
    info_span!(
        "attempt",
        event = delivery.event.id(),
        source = delivery.event.source(),
        subscription = delivery.subscription,
        destination = delivery.destination,
        attempt = delivery.attempt.saturating_add(1),
        generation = delivery.generation,
        traceparent = %trace,
    )
}

fn log(attempt: &Attempt, trial: bool) {
    let Attempt { status, took, detail, class, .. } = attempt;
    match class {
        None => info!(status, ?took, trial, "delivered"),
        Some(class) => warn!(class = measure::class(class), status, ?took, trial, detail, "attempt failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_ends_at_a_character() {
        assert_eq!(excerpt("aé".to_owned(), 2), "a");
        assert_eq!(excerpt("aé".to_owned(), 3), "aé");
    }
}
