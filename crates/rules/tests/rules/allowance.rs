//! X7: what is stopped again and again costs the other subscriptions little, and the honest events of its own nothing.

use std::time::Duration;

use trunkline_core::Event;
use trunkline_rules::{Allowances, Limits, RuleSet};

use crate::{compile, event};

/// Ends at once, or never in time.
const SOMETIMES: &str = "n = 0\n    list = split(\"a,b,c,d,e,f,g,h,i,j\", \",\")\n    if .data.bomb == true {\n      for_each(list) -> |_a, _b| { for_each(list) -> |_c, _d| { for_each(list) -> |_e, _f| { for_each(list) -> |_g, _h| { for_each(list) -> |_i, _j| { for_each(list) -> |_k, _l| { n = n + 1 } } } } } }\n    }\n    { \"n\": n }";

fn rules(program: &str) -> RuleSet {
    compile(&format!(
        "heavy:\n  match: {{}}\n  to: crm\n  transform: |\n    {program}\nother: {{ match: {{}}, to: erp, transform: '{{ \"id\": .id }}' }}\n"
    ))
}

fn honest() -> Event {
    event("a", r#"{"bomb":false}"#)
}

fn bomb() -> Event {
    event("a", r#"{"bomb":true}"#)
}

/// As long as a gateway takes, so that no step of a program over it is short.
fn large_bomb() -> Event {
    event("a", &format!(r#"{{"bomb":true,"list":[{}0]}}"#, "0,".repeat(40_000)))
}

fn cpu() -> Duration {
    (Limits::default().clock)()
}

/// Routes `events`; how many of `heavy` were rendered, were stopped, were not run.
fn tally<'a>(
    rules: &RuleSet,
    allowances: &mut Allowances,
    events: impl Iterator<Item = &'a Event>,
) -> [usize; 3] {
    let mut counts = [0; 3];
    for event in events {
        let routing = rules.route_within(event, allowances);
        assert!(routing.matched.iter().any(|routed| routed.subscription.as_str() == "other"));
        match routing.failed.first() {
            None => counts[0] += 1,
            Some(failure) if failure.ran => counts[1] += 1,
            Some(_) => counts[2] += 1,
        }
    }
    counts
}

/// One bomb in 200 events.
fn stream<'a>(honest: &'a Event, bomb: &'a Event, count: usize) -> impl Iterator<Item = &'a Event> {
    (0..count).map(move |at| if at % 200 == 7 { bomb } else { honest })
}

#[test]
fn bombs_among_honest_events_harm_hardly_any_of_them() {
    let rules = rules(SOMETIMES);
    for bomb in [bomb(), large_bomb()] {
        let mut allowances = Allowances::new();
        // Its stock is used up on the first bombs.
        tally(&rules, &mut allowances, stream(&honest(), &bomb, 4_000));
        assert_eq!(allowances.restrained(rules.limits()).count(), 1);
        let [rendered, stopped, not_run] = tally(&rules, &mut allowances, stream(&honest(), &bomb, 4_000));
        // The processor's own pauses may stop a few honest ones, whose allowance is short by then.
        assert!(rendered >= 3_960, "{rendered} of 3980 rendered, {stopped} stopped, {not_run} not run");
        assert!(rendered <= 3_980, "{rendered} rendered: a bomb was not stopped");
    }
}

/// What a bomb costs the processor in the long run, by streams with and without.
#[test]
fn bombs_cost_the_others_little() {
    const EVENTS: usize = 6_000;
    let rules = rules(SOMETIMES);
    let (honest, bomb) = (honest(), bomb());
    let cost = |allowances: &mut Allowances, bomb: &Event| {
        let start = cpu();
        tally(&rules, allowances, stream(&honest, bomb, EVENTS));
        (cpu() - start).as_secs_f64()
    };
    let mut allowances = Allowances::new();
    let first = cost(&mut allowances, &bomb);
    let mut pairs: Vec<_> = (0..9)
        .map(|_| {
            let (with, without) = (cost(&mut allowances, &bomb), cost(&mut Allowances::new(), &honest));
            (with - without, with / without)
        })
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (more, ratio) = pairs[4];
    let each = Duration::from_secs_f64(more.max(0.0) / (EVENTS / 200) as f64);
    println!(
        "X7: {EVENTS} events with the first bombs {first:.3} s; later each costs {each:?}, all of them {ratio:.2}"
    );
    // Not the deadline, but the least that a run may have and what goes with it.
    assert!(each < Duration::from_micros(500), "{each:?}: {pairs:?}");
}

#[test]
fn a_program_that_is_always_stopped_is_not_run_any_more_until_time_has_passed() {
    let rules = rules(SOMETIMES);
    let bomb = bomb();
    let mut allowances = Allowances::new();
    let start = cpu();
    let [rendered, stopped, not_run] = tally(&rules, &mut allowances, std::iter::repeat_n(&bomb, 3_000));
    let took = cpu() - start;
    assert_eq!(rendered, 0);
    assert!(stopped >= 4, "{stopped} were run");
    assert!(not_run > 1_000, "{stopped} were run, {not_run} were not");
    // Five deadlines, and what the events themselves cost.
    assert!(took < Duration::from_millis(400), "{took:?}");
    let failure = &rules.route_within(&bomb, &mut allowances).failed[0];
    assert!(!failure.ran && failure.detail.starts_with("not run: "), "{failure}");
    // A thousandth of the time that passes.
    allowances.resume(Duration::from_secs(120));
    assert_eq!(allowances.restrained(rules.limits()).count(), 0);
    assert!(rules.route_within(&bomb, &mut allowances).failed[0].ran);
}

#[test]
fn a_program_that_says_no_at_once_is_not_restrained() {
    let rules = rules("parse_int!(.data.none)");
    let mut allowances = Allowances::new();
    assert_eq!(tally(&rules, &mut allowances, std::iter::repeat_n(&honest(), 5_000)), [0, 5_000, 0]);
    assert!(allowances.is_full());
}

#[test]
fn condition_and_transform_share_one_deadline() {
    let slow = "n = 0\n    for_each(array!(.data.list)) -> |_i, _v| { n = n + 1 }\n";
    let rules = compile(&format!(
        "heavy:\n  match: {{}}\n  to: crm\n  when: |\n    {slow}    n > 0\n  transform: |\n    {slow}    {SOMETIMES}\n"
    ));
    let bomb = large_bomb();
    let start = cpu();
    let routing = rules.route(&bomb);
    let took = cpu() - start;
    assert_eq!(routing.failed.len(), 1);
    assert!(took < crate::hostile::MOST, "{took:?}");
}
