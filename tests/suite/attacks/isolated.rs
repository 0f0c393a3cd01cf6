//! X7: bombs of one subscription do not slow the events of another.
//!
//! Rounds with bombs and rounds without go by turns through one running bus. Two figures are compared: the processor
//! time of the whole process, which a busy machine disturbs little; and the time from sending to delivery of the other
//! subscription's events, of which the 99th percentile of a round counts. That one is as noisy as the machine, several
//! times what is to be found, so the rounds are compared by rank: see [`slower`]. `TRUNKLINE_ROUNDS` says how many
//! rounds of each kind; the more, the smaller the difference that is found.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, counted, fixture, heavy};

use super::spent::{median, spent};
use crate::SOON;

/// Rounds of each kind, in the quick form and in full.
const ROUNDS: (u32, u32) = (12, 80);
/// What a larger p99 is allowed.
const MORE: f64 = 1.1;
/// Batches of a round, events of a batch, and the time between two batches.
const BATCHES: usize = 40;
const BATCH: usize = 25;
const PACE: Duration = Duration::from_millis(25);
const EVENTS: usize = BATCHES * BATCH;
/// One event in so many is a bomb.
const BOMBS: usize = 200;

/// Never ends in time; and says no to other events at once.
const BOMB: &str = r#"
      n = 0
      list = split("a,b,c,d,e,f,g,h,i,j", ",")
      if .data.bomb == true {
        for_each(list) -> |_a, _b| { for_each(list) -> |_c, _d| { for_each(list) -> |_e, _f| {
          for_each(list) -> |_g, _h| { for_each(list) -> |_i, _j| { for_each(list) -> |_k, _l| { n = n + 1 } } }
        } } }
      }
      n > 0
"#;

/// What a round cost.
struct Round {
    /// Processor time for an event, in microseconds.
    cpu: f64,
    /// The 99th percentile from sending to delivery, in milliseconds.
    p99: f64,
}

/// Sends a round's events and waits until the other subscription's are delivered.
async fn round(bus: &Instance, well: &Receiver, name: &str, bombs: bool) -> Round {
    let (before, delivered) = (spent(bus), well.count());
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sends = Vec::with_capacity(BATCHES);
    let mut sent: HashMap<String, DateTime<Utc>> = HashMap::with_capacity(EVENTS);
    for batch in 0..BATCHES {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let event = |at: usize| {
            let bomb = bombs && at % BOMBS == BOMBS / 2;
            fixture::event(&format!("{name}-{at}"), "suite.made", json!({ "bomb": bomb }))
        };
        let body = Value::from_iter(numbers.clone().map(event)).to_string();
        pace.tick().await;
        let now = Utc::now();
        sent.extend(numbers.map(|at| (format!("{name}-{at}"), now)));
        let request = bus.client().post(bus.gateway("/v1/events"));
        let request = request.header("content-type", "application/cloudevents-batch+json");
        sends.push(tokio::spawn(request.body(body).send()));
    }
    for answer in join_all(sends).await {
        assert_eq!(answer.unwrap().unwrap().status(), 202);
    }
    let received = well.wait_for(delivered + EVENTS, SOON).await.expect("events are missing");
    let cpu = (spent(bus) - before).as_secs_f64() * 1e6 / EVENTS as f64;
    let mut times: Vec<f64> = received[delivered..]
        .iter()
        .map(|request| {
            let id = request.header("ce-id").unwrap();
            (request.received - sent[id]).num_microseconds().unwrap() as f64 / 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    Round { cpu, p99: times[times.len() * 99 / 100] }
}

/// Of all pairs of a round with bombs and one without, the share in which the one with bombs took more than it may; and
/// the least share that is no chance: of rounds that are alike it is a half, give or take 3.5 times the standard
/// deviation of the rank-sum test (Mann and Whitney), once in some 4,000 runs.
fn slower(with: &[f64], clean: &[f64]) -> (f64, f64) {
    let above =
        with.iter().map(|with| clean.iter().filter(|clean| *with > MORE * **clean).count()).sum::<usize>();
    let (m, n) = (with.len() as f64, clean.len() as f64);
    (above as f64 / (m * n), 0.5 + 3.5 * ((m + n + 1.0) / (12.0 * m * n)).sqrt())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_do_not_slow_the_events_of_others() {
    let _alone = heavy::load().await;
    let (well, bombed) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    let destinations = [
        fixture::http("well", &well.url("/"), "concurrency: 32"),
        fixture::http("bombed", &bombed.url("/"), ""),
    ];
    let subscriptions = [
        format!("  bombed:\n    match: {{ source: [suite] }}\n    when: |{BOMB}    to: bombed\n"),
        fixture::subscription("well", "{ source: [suite] }", "well"),
    ];
    let bus = Instance::start(Setup::new(fixture::sections(&destinations, &subscriptions))).await;
    // The first bombs get their whole time, until it is clear what they are.
    round(&bus, &well, "first", true).await;
    let (mut ratios, mut clean, mut with) = (Vec::new(), Vec::new(), Vec::new());
    let rounds = counted(ROUNDS.0, ROUNDS.1) as usize;
    for at in 0..rounds {
        let one = round(&bus, &well, &format!("clean-{at}"), false).await;
        let other = round(&bus, &well, &format!("with-{at}"), true).await;
        println!("X7: {:.0} us of processor time an event without bombs, {:.0} us with", one.cpu, other.cpu);
        ratios.push(other.cpu / one.cpu);
        clean.push(one.p99);
        with.push(other.p99);
    }
    let ratio = median(ratios);
    let (share, chance) = slower(&with, &clean);
    println!(
        "X7: with bombs to without: {ratio:.3} of processor time; {:.3} of p99 (medians of {rounds} rounds, {:.1} and \
         {:.1} ms); above {MORE} times in {share:.2} of all pairs, by chance up to {chance:.2}",
        median(with.clone()) / median(clean.clone()),
        median(with.clone()),
        median(clean.clone()),
    );
    assert!(ratio <= MORE, "{ratio} of the processor time");
    assert!(share <= chance, "with bombs {with:.1?} ms, without {clean:.1?} ms");
    // Every bomb is a dead letter that says why. A restrained program gets some hundred microseconds, which the machine
    // may take from a harmless event, so that one in a thousand of those may be there too.
    let at = |id: &str| id.rsplit_once('-').unwrap().1.parse::<usize>().unwrap();
    let is_bomb = |id: &str| !id.starts_with("clean") && at(id) % BOMBS == BOMBS / 2;
    let bombs = (rounds + 1) * EVENTS / BOMBS;
    bus.settled(SOON).await;
    let dead = crate::delivery::dead_letters(&bus, bombs).await;
    let (of_bombs, harmless): (Vec<_>, Vec<_>) =
        dead.iter().partition(|letter| is_bomb(letter["event_id"].as_str().unwrap()));
    assert_eq!(of_bombs.len(), bombs);
    assert!(harmless.len() <= rounds * EVENTS / 1000, "{harmless:#?}");
    assert!(dead.iter().all(|letter| letter["reason"] == "condition_failed"), "{dead:#?}");
    assert_eq!(bombed.count(), 0);
    let metrics = bus.client().get(bus.admin("/metrics")).send().await.unwrap().text().await.unwrap();
    let alarm = "trunkline_router_restrained{subscription=\"bombed\"} 1";
    assert!(metrics.contains(alarm), "the alarm does not ring");
}
