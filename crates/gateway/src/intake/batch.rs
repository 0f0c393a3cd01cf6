//! One batch: look up what was seen, publish the rest, note it, answer.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use metrics::{Counter, counter, histogram};
use tokio::sync::oneshot;
use tracing::{error, warn};
use trunkline_sdk::accepted::accepted;
use trunkline_sdk::broker::{ChannelName, Headers, Outgoing, PublishError, PublishFailure};
use trunkline_sdk::config::JourneyMode;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_sdk::store::{EventId, StoreError};
use trunkline_sdk::{Event, metric};

use super::window::{Claim, Outcome, Place, Window};
use super::{Acceptance, Answer, IntakeParts, Refused, Submission, Waiting};

/// What one event of the batch waits for.
enum Pending {
    /// It is published by this batch; index into the batch's firsts.
    First(usize),
    /// An equal one is published by this or another batch.
    Equal(Event, oneshot::Receiver<Outcome>),
}

/// An event that this batch publishes, unless it was seen.
struct First {
    event: Event,
    headers: Headers,
    place: Place,
    accepted: Counter,
    outcome: Result<Acceptance, Refused>,
}

/// Who waits for the answer of a request, and what each of its events waits for.
type Asked = (oneshot::Sender<Answer>, Vec<Pending>);

/// Publishes the events of `requests` and answers each request.
pub(super) async fn publish(parts: &IntakeParts, window: &Window, requests: Vec<Waiting>) {
    let (mut firsts, asked) = claim(window, requests);
    let now = Utc::now();
    let mut ids = Vec::new();
    if !parts.dedupe.is_zero() {
        ids.extend(firsts.iter().map(|first| event_id(&first.event)));
    }
    mark_duplicates(parts, &mut firsts, &ids, now).await;
    store(parts, &mut firsts, now).await;
    remember(parts, &firsts, ids, now).await;
    let mut outcomes = Vec::with_capacity(firsts.len());
    for First { place, outcome, .. } in firsts {
        place.answer(&outcome.clone().map(|_| ()));
        outcomes.push(outcome);
    }
    let mut repeated = Vec::new();
    for (answer, pending) in asked {
        // A client that went away does not read its answer.
        drop(answer.send(resolve(&outcomes, pending, &mut repeated).await));
    }
    note_repeated(parts, &repeated).await;
}

/// Claims every event of every request; the first of equal ones is published here.
fn claim(window: &Window, requests: Vec<Waiting>) -> (Vec<First>, Vec<Asked>) {
    let mut firsts = Vec::with_capacity(requests.len());
    let mut asked = Vec::with_capacity(requests.len());
    for Waiting { submission, answer } in requests {
        let Submission { events, headers, accepted } = submission;
        let headers = std::iter::repeat_n(headers, events.len());
        let pending = events.into_iter().zip(headers).map(|(event, headers)| match window.claim(&event) {
            Claim::Equal(receiver) => Pending::Equal(event, receiver),
            Claim::First(place) => {
                let (accepted, outcome) = (accepted.clone(), Ok(Acceptance::Accepted));
                firsts.push(First { event, headers, place, accepted, outcome });
                Pending::First(firsts.len() - 1)
            }
        });
        asked.push((answer, pending.collect()));
    }
    (firsts, asked)
}

/// Marks the events that were accepted before. Without the store nothing is recognised and everything accepted.
async fn mark_duplicates(parts: &IntakeParts, firsts: &mut [First], ids: &[EventId], now: DateTime<Utc>) {
    if ids.is_empty() {
        return;
    }
    let since = chrono::Duration::from_std(parts.dedupe)
        .ok()
        .and_then(|window| now.checked_sub_signed(window))
        .unwrap_or(DateTime::UNIX_EPOCH);
    match parts.store.seen(ids, since).await {
        Ok(seen) => {
            for (first, seen) in firsts.iter_mut().zip(seen) {
                if seen {
                    first.outcome = Ok(Acceptance::Duplicate);
                }
            }
        }
        Err(error) => {
            alarm(&error, "the store can't be asked for seen ids; events are accepted undeduplicated")
        }
    }
}

/// Publishes what was not seen, together with the journey of the batch.
async fn store(parts: &IntakeParts, firsts: &mut [First], now: DateTime<Utc>) {
    let mut indices = Vec::with_capacity(firsts.len());
    let mut outgoing = Vec::with_capacity(firsts.len() + 1);
    for (index, first) in firsts.iter_mut().enumerate() {
        if first.outcome == Ok(Acceptance::Accepted) {
            let mut record = accepted(&first.event, "gateway");
            record.headers.append(&mut first.headers);
            // Known before anything is published, so that the journey counts what is really stored.
            if record.size() > parts.max_record {
                first.outcome = Err(Refused::TooLarge { size: record.size(), limit: parts.max_record });
                continue;
            }
            indices.push(index);
            outgoing.push(record);
        }
    }
    outgoing.extend(journey(parts, firsts.iter().map(|first| (&first.event, &first.outcome)), now));
    let started = std::time::Instant::now();
    let result = parts.broker.publish(outgoing).await;
    histogram!(metric::PUBLISH_DURATION, "service" => "gateway").record(started.elapsed().as_secs_f64());
    if let Err(error) = result {
        refuse(firsts, &indices, error);
    }
    let of = |wanted| firsts.iter().filter(move |first| first.outcome == Ok(wanted));
    of(Acceptance::Accepted).for_each(|first| first.accepted.increment(1));
    counter!(metric::GATEWAY_DUPLICATES).increment(of(Acceptance::Duplicate).count() as u64);
}

/// Turns the failures of a publish into the answers of the events concerned.
fn refuse(firsts: &mut [First], indices: &[usize], error: PublishError) {
    warn!(%error, "events were not accepted");
    for failure in error.failures {
        let refused = match failure.failure {
            PublishFailure::TooLarge { size, limit } => Refused::TooLarge { size, limit },
            PublishFailure::Full(_) => Refused::Full,
            PublishFailure::Unroutable(_) | PublishFailure::Unavailable(_) => Refused::Unavailable,
        };
        match indices.get(failure.index).and_then(|index| firsts.get_mut(*index)) {
            Some(first) => first.outcome = Err(refused),
            None => error!(?refused, "a journey record was not stored; the account lacks its batch"),
        }
    }
}

/// Notes what the broker confirmed, and only that. `ids` are those of `firsts`, or none when nothing is to be noted.
async fn remember(parts: &IntakeParts, firsts: &[First], mut ids: Vec<EventId>, now: DateTime<Utc>) {
    let mut outcomes = firsts.iter().map(|first| &first.outcome);
    ids.retain(|_| outcomes.next() == Some(&Ok(Acceptance::Accepted)));
    if ids.is_empty() {
        return;
    }
    if let Err(error) = parts.store.mark_seen(&ids, now).await {
        alarm(&error, "the store can't note accepted ids; a re-send of them will be carried again");
    }
}

/// The answer of one request: all its events accepted or recognised, or the first refusal.
async fn resolve(
    outcomes: &[Result<Acceptance, Refused>],
    pending: Vec<Pending>,
    repeated: &mut Vec<Event>,
) -> Answer {
    let mut accepted = Vec::with_capacity(pending.len());
    let mut refused = None;
    for pending in pending {
        let outcome = match pending {
            Pending::First(index) => outcomes[index].clone(),
            Pending::Equal(event, receiver) => {
                // The first may have been given up without an outcome.
                let first = receiver.await.unwrap_or(Err(Refused::Unavailable));
                if first.is_ok() {
                    repeated.push(event);
                }
                first.map(|()| Acceptance::Duplicate)
            }
        };
        match outcome {
            Ok(acceptance) => accepted.push(acceptance),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    refused.map_or(Ok(accepted), Err)
}

/// Duplicates that waited for their first are known only after it was stored: their journey follows on its own.
async fn note_repeated(parts: &IntakeParts, repeated: &[Event]) {
    if repeated.is_empty() {
        return;
    }
    counter!(metric::GATEWAY_DUPLICATES).increment(repeated.len() as u64);
    let duplicate = Ok(Acceptance::Duplicate);
    let records = journey(parts, repeated.iter().map(|event| (event, &duplicate)), Utc::now());
    if let Err(error) = parts.broker.publish(records).await {
        warn!(%error, "the journey of repeated events was not stored");
    }
}

/// The journey records of a batch.
fn journey<'a>(
    parts: &IntakeParts,
    outcomes: impl Iterator<Item = (&'a Event, &'a Result<Acceptance, Refused>)>,
    now: DateTime<Utc>,
) -> Vec<Outgoing> {
    let mut counts = JourneyCounts::default();
    let mut steps = Vec::new();
    for (event, outcome) in outcomes {
        let step = match outcome {
            Ok(Acceptance::Accepted) => {
                counts.accepted += 1;
                Step::Accepted
            }
            Ok(Acceptance::Duplicate) => {
                counts.duplicate += 1;
                Step::Duplicate
            }
            Err(_) => continue,
        };
        if parts.journey == JourneyMode::All {
            steps.push(JourneyStep::of(step, event, now));
        }
    }
    if counts == JourneyCounts::default() {
        return Vec::new();
    }
    let instance = parts.instance.clone();
    let record = JourneyRecord { instance, service: "gateway".to_owned(), time: now, steps, counts };
    let key = Bytes::copy_from_slice(parts.instance.as_bytes());
    let limit = parts.max_record / 2;
    let records = record.encode_fitting(limit).into_iter();
    records.map(|record| Outgoing::new(ChannelName::journey(), key.clone(), record)).collect()
}

fn event_id(event: &Event) -> EventId {
    EventId { source: event.source().to_owned(), id: event.id().to_owned() }
}

fn alarm(error: &StoreError, message: &'static str) {
    counter!(metric::STORE_FAILURES, "service" => "gateway").increment(1);
    error!(%error, "{message}");
}
