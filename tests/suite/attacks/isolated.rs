//! X7: bombs of one subscription do not slow the events of another.
//!
//! Rounds with bombs and rounds without go by turns through one running bus. Two figures are compared: the processor time
//! of the whole process for an event, which a busy machine disturbs little; and the time from sending to delivery of the
//! other subscription's events, of which the 99th percentile of a round counts. That one is as noisy as the machine, so
//! it is held to the slowest round without bombs instead of the median.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture, heavy};

use super::spent::{median, spent};
use crate::SOON;

const ROUNDS: usize = 5;
const EVENTS: usize = 1_000;
/// One event in so many is a bomb.
const BOMBS: usize = 200;
/// Between two events.
const PACE: Duration = Duration::from_millis(3);

/// Never ends in time; and takes no time at all on other events.
const BOMB: &str = r#"
      n = 0
      list = split("a,b,c,d,e,f,g,h,i,j", ",")
      if .data.bomb == true {
        for_each(list) -> |_a, _b| { for_each(list) -> |_c, _d| { for_each(list) -> |_e, _f| {
          for_each(list) -> |_g, _h| { for_each(list) -> |_i, _j| { for_each(list) -> |_k, _l| { n = n + 1 } } }
        } } }
      }
      { "n": n }
"#;

/// What a round cost.
struct Round {
    /// Processor time for an event, in microseconds.
    cpu: f64,
    /// The 99th percentile from sending to delivery, in milliseconds.
    p99: f64,
}

/// Sends a round's events and waits until both subscriptions are done with them.
async fn round(bus: &Instance, well: &Receiver, name: &str, bombs: bool) -> Round {
    let (before, delivered) = (spent(bus), well.count());
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sends = Vec::with_capacity(EVENTS);
    let mut sent: HashMap<String, DateTime<Utc>> = HashMap::with_capacity(EVENTS);
    for at in 0..EVENTS {
        pace.tick().await;
        let bomb = bombs && at % BOMBS == BOMBS / 2;
        let id = format!("{name}-{at}");
        let event = fixture::event(&id, "suite.made", json!({ "bomb": bomb }));
        let request = bus.client().post(bus.gateway("/v1/events"));
        let request = request.header("content-type", "application/cloudevents+json").body(event.to_string());
        sent.insert(id, Utc::now());
        sends.push(tokio::spawn(request.send()));
    }
    for answer in join_all(sends).await {
        assert_eq!(answer.unwrap().unwrap().status(), 202);
    }
    let received = well.wait_for(delivered + EVENTS, SOON).await.expect("events are missing");
    bus.settled(SOON).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_do_not_slow_the_events_of_others() {
    let _alone = heavy::load().await;
    let (well, bombed) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    let destinations =
        [fixture::http("well", &well.url("/"), ""), fixture::http("bombed", &bombed.url("/"), "")];
    let subscriptions = [
        format!("  bombed:\n    match: {{ source: [suite] }}\n    transform: |{BOMB}    to: bombed\n"),
        fixture::subscription("well", "{ source: [suite] }", "well"),
    ];
    let bus = Instance::start(Setup::new(fixture::sections(&destinations, &subscriptions))).await;
    // The first bombs get their whole time, until it is clear what they are.
    round(&bus, &well, "first", true).await;
    let (mut clean, mut with) = (Vec::new(), Vec::new());
    for at in 0..ROUNDS {
        clean.push(round(&bus, &well, &format!("clean-{at}"), false).await);
        with.push(round(&bus, &well, &format!("with-{at}"), true).await);
    }
    let cpu = |rounds: &[Round]| median(rounds.iter().map(|round| round.cpu).collect());
    let (cpu_clean, cpu_with) = (cpu(&clean), cpu(&with));
    let p99 = |rounds: &[Round]| rounds.iter().map(|round| round.p99).collect::<Vec<_>>();
    let (clean, with) = (p99(&clean), p99(&with));
    println!(
        "X7: {cpu_with:.0} us of processor time an event with bombs, {cpu_clean:.0} us without: {:.3}; \
         p99 with {with:.1?} ms, without {clean:.1?} ms, medians {:.3}",
        cpu_with / cpu_clean,
        median(with.clone()) / median(clean.clone())
    );
    assert!(cpu_with <= 1.1 * cpu_clean, "{cpu_with} us instead of {cpu_clean} us");
    let slowest = clean.iter().copied().fold(0.0, f64::max);
    assert!(median(with.clone()) <= 1.1 * slowest, "with bombs {with:?}, without {clean:?}");
    // Every bomb is a dead letter that says why, and nothing else is.
    let bombs = (ROUNDS + 1) * EVENTS / BOMBS;
    let dead = crate::delivery::dead_letters(&bus, bombs).await;
    assert!(dead.iter().all(|letter| letter["reason"] == "transform_failed"), "{dead:#?}");
    bombed.wait_for((2 * ROUNDS + 1) * EVENTS - bombs, SOON).await.expect("honest events are missing");
    let metrics = bus.client().get(bus.admin("/metrics")).send().await.unwrap().text().await.unwrap();
    let alarm = "trunkline_router_restrained{subscription=\"bombed\"} 1";
    assert!(metrics.contains(alarm), "the alarm does not ring");
}
