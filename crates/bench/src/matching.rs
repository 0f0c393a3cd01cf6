//! How long a rule set takes to say where an event goes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use trunkline_core::Event;
use trunkline_rules::{Allowances, RuleSet};

use crate::Effort;
use crate::compare::{Aim, Comparison, Run, alternate};
use crate::ledger::Payloads;
use crate::rules::{compile, one_type, section};

/// Subscriptions of a large rule set.
const MANY: usize = 10_000;
/// Different events that are asked about by turns.
const EVENTS: usize = 1_000;
const CALLS: usize = 200_000;

const TRANSFORM: &str = r#"
s-0:
  match: { type: [bench.kind-0] }
  transform: |
    { "customer": .data.customer.id, "email": .data.customer.email, "total": .data.total.minor_units, "status": .data.status }
  to: crm
"#;

/// Events that match one subscription each.
struct Asked {
    rules: RuleSet,
    events: Vec<Event>,
    calls: usize,
}

/// One subscription against ten thousand, of distinct types and of one prefix, and against one with a transform.
///
/// # Errors
/// A rule set that routes wrong.
pub fn measure(effort: Effort) -> anyhow::Result<Vec<Comparison>> {
    let many = MANY / effort.divide as usize;
    let calls = CALLS / effort.divide as usize;
    let asked = |section: &str, kinds, keys, calls| Asked::new(section, kinds, keys, calls);
    let one = asked(&section(1, one_type), 1, 1, calls)?;
    let distinct = asked(&section(many, one_type), 1, 1, calls)?;
    let spread = asked(&section(many, one_type), many, 1, calls)?;
    let transform = asked(TRANSFORM, 1, 1, calls / 10)?;
    let types = alternate(
        effort.rounds,
        Box::new(|| Ok(one.run())),
        vec![
            (
                "match: 10,000 subscriptions on distinct types against 1, the same events",
                Aim::Time(Some(1.25)),
                Box::new(|| Ok(distinct.run())),
            ),
            (
                "match: 10,000 subscriptions on distinct types against 1, events of 1,000 of the types by turns",
                Aim::Time(None),
                Box::new(|| Ok(spread.run())),
            ),
            (
                "match: 1 subscription, transform of four fields against none",
                Aim::Time(None),
                Box::new(|| Ok(transform.run())),
            ),
        ],
    )?;
    let one = asked(&section(1, one_customer), 1, 1, calls / 10)?;
    let prefix = asked(&section(many, one_customer), 1, many, calls / 10)?;
    let fields = alternate(
        effort.rounds,
        Box::new(|| Ok(one.run())),
        vec![(
            "match: 10,000 subscriptions of one prefix that differ in a data field against 1",
            Aim::Time(None),
            Box::new(|| Ok(prefix.run())),
        )],
    )?;
    Ok(types.into_iter().chain(fields).collect())
}

/// A prefix that all share, and a customer of its own.
fn one_customer(number: usize) -> String {
    format!("{{ type: [{{ prefix: bench. }}], data: {{ customer: {{ id: [c-{number}] }} }} }}")
}

impl Asked {
    /// Events of 1 KiB, spread over `kinds` types and `keys` customers.
    fn new(section: &str, kinds: usize, keys: usize, calls: usize) -> anyhow::Result<Self> {
        let rules = compile(section)?;
        let payloads = Payloads::default();
        let mut events = Vec::with_capacity(EVENTS);
        for number in 0..EVENTS {
            // A prime, so that neighbours in time are no neighbours in memory.
            let (kind, key) = (number * 7919 % kinds, u32::try_from(number * 7919 % keys)?);
            let data = String::from_utf8(payloads.make(key, u32::try_from(number)?).to_vec())?;
            let event = Event::builder(format!("id-{number}"), "bench", format!("bench.kind-{kind}"));
            let event = event.key(format!("key-{key}")).json(data).build()?;
            let routing = rules.route(&event);
            let expected = format!("s-{}", if keys > 1 { key as usize } else { kind });
            let names: Vec<&str> =
                routing.matched.iter().map(|routed| routed.subscription.as_str()).collect();
            ensure!(
                routing.failed.is_empty() && names == [expected.as_str()],
                "{expected} was to match: {routing:?}"
            );
            events.push(event);
        }
        Ok(Self { rules, events, calls: calls.max(EVENTS) })
    }

    fn run(&self) -> Run {
        let started = Instant::now();
        let mut allowances = Allowances::new();
        for event in self.events.iter().cycle().take(self.calls) {
            black_box(self.rules.route_within(black_box(event), &mut allowances));
        }
        Run { records: self.calls as u64, took: started.elapsed(), cpu: Duration::ZERO, syncs: 0 }
    }
}
