//! X7: what an event can make one call of a function cost, where nothing looks at the stopwatch before the call ends. The events are
//! the largest that a gateway takes.

use std::time::Duration;

use trunkline_core::event::Text;
use trunkline_core::{Data, Event};
use trunkline_rules::Limits;

use crate::hostile::MOST;
use crate::{compile, event};

/// Routing `event` by a transform costs no more than the figure, whatever comes of it.
#[track_caller]
fn bounded(event: &Event, program: &str) {
    let program = program.replace('\n', "\n    ");
    let set = compile(&format!("a:\n  match: {{}}\n  to: crm\n  transform: |\n    {program}\n"));
    let clock = Limits::default().clock;
    let cost = || {
        let start = clock();
        drop(set.route(event));
        clock() - start
    };
    // The less of two: the first run of a process touches memory that nobody has touched.
    let took = cost().min(cost());
    assert!(took < MOST, "took {took:?}: {program}");
}

fn with_text(text: &str) -> Event {
    event("a", &format!(r#"{{"text":"{text}"}}"#))
}

/// A megabyte of `a` and `b` without a pattern.
fn noise() -> String {
    let next = |state: &u64| {
        let state = state ^ (state << 13);
        let state = state ^ (state >> 7);
        Some(state ^ (state << 17))
    };
    let states = std::iter::successors(Some(1), next).take(1_000_000);
    states.map(|state| if state & 1 == 0 { 'a' } else { 'b' }).collect()
}

#[test]
fn regular_expressions() {
    let same = with_text(&"a".repeat(1_000_000));
    for program in [
        // Each match looks to the end of the text first: the square of its length.
        "replace(slice!(.data.text, 0, 600000), r'.*[^a]|a', \"\") ?? \"\"",
        "split(string!(slice!(.data.text, 0, 600000)), r'.*[^a]|a')",
        "parse_regex_all!(slice!(.data.text, 0, 300000), r'(?P<n>.*[^a]|a)')",
        "replace(string!(slice!(.data.text, 0, 1000)), r'.*[^a]|a', \"\")",
        "match(string!(.data.text), r'(a+)+$')",
        "find!(.data.text, r'a+b')",
        "parse_regex!(.data.text, r'(?P<x>(a|b)*)$')",
    ] {
        bounded(&same, program);
    }
    let noise = with_text(&noise());
    let groups: String = (0..40).map(|at| format!("(?P<g{at}>[ab])?")).collect();
    for program in [
        // Too many states for a table, so each character is tried at each place.
        "match(string!(.data.text), r'[ab]*a[ab]{300}c')",
        "match(string!(slice!(.data.text, 0, 6000)), r'[ab]*a[ab]{300}c')",
        "match_any(string!(slice!(.data.text, 0, 6000)), [r'[ab]*a[ab]{150}c', r'[ab]*b[ab]{150}c'])",
        &format!("parse_regex!(slice!(.data.text, 0, 7000), r'(?:{groups})*$')"),
    ] {
        bounded(&noise, program);
    }
}

#[test]
fn long_texts() {
    let same = with_text(&"a".repeat(1_000_000));
    for program in [
        "chunks!(.data.text, 1)",
        "split(string!(.data.text), \"a\")",
        "split(string!(.data.text), \"\")",
        "replace(string!(.data.text), \"\", \"aaaaaaaaaaaaaaaaaaaaaaaa\")",
        "find!(.data.text, string!(slice!(.data.text, 0, 400000)) + \"b\")",
        "camelcase!(.data.text)",
        "snakecase!(slice!(.data.text, 0, 60000))",
        "format_timestamp!(from_unix_timestamp!(0), format: replace!(.data.text, \"aa\", \"%c\"))",
        "parse_query_string!(replace!(.data.text, \"aa\", \"&\"))",
        "dirname!(replace!(.data.text, \"aa\", \"/\"))",
        "parse_json!(replace!(replace!(.data.text, \"aa\", \"[\"), \"x\", \"\"))",
    ] {
        bounded(&same, program);
    }
}

#[test]
fn very_many_values() {
    let numbers = event("a", &format!(r#"{{"list":[{}0]}}"#, "0,".repeat(49_000)));
    let objects = event("a", &format!(r#"{{"list":[{}0]}}"#, r#"{"a":1},"#.repeat(12_000)));
    let members: String = (0..9_900).map(|at| format!("\"{at:0>90}\":0,")).collect();
    let wide = event("a", &format!(r#"{{"object":{{{members}"z":0}}}}"#));
    for (event, program) in [
        (&numbers, "map_values(array!(.data.list)) -> |v| { int!(v) * 2 }"),
        (
            &numbers,
            "contains_all!(encode_json(.data.list), map_values(array!(.data.list)) -> |_v| { \"x\" })",
        ),
        (
            &numbers,
            "x = .data.list\nn = 0\nfor_each(array!(.data.list)) -> |_k, _v| { if x == .data.list { n = n + 1 } }\nn",
        ),
        (&numbers, "unique(append(array!(.data.list), array!(.data.list)))"),
        (&objects, ".data"),
        (&objects, "encode_json(.data.list, pretty: true)"),
        (&objects, "x = {}\nfor_each(array!(.data.list)) -> |_k, _v| { x |= { \"a\": x, \"b\": x } }\nx"),
        (&wide, "unflatten(object!(.data.object))"),
        (&wide, "merge(object!(.data.object), object!(.data.object), deep: true)"),
        (&wide, "x = object!(.data.object)\nfor_each(x) -> |k, _v| { x = set!(x, [k], 1) }\nx"),
    ] {
        bounded(event, program);
    }
}

/// What no program may look into costs no more than looking away.
#[test]
fn events_beyond_the_limits() {
    let list = |element: &str, times| event("a", &format!(r#"{{"list":[{}0]}}"#, element.repeat(times)));
    bounded(&list("12345678,", 120_000), ".data");
    bounded(&list("{},", 60_000), ".data");
    bounded(&list(r#"{"a":1},"#, 45_000), ".data");
    let empty_messages = Data::Proto {
        type_url: Text::from("t/trunkline.commerce.v1.Order"),
        value: [0x12, 0].repeat(500_000).into(),
    };
    bounded(&Event::builder("1", "shop", "a").data(empty_messages).build().unwrap(), ".data");
}

/// What honest transforms of large events need is far from the limits.
#[test]
fn a_large_honest_event_is_no_bomb() {
    let line = r#"{"sku":"AB-1234567","title":"A thing that is sold","quantity":2,"price":"19.90","taxes":[{"title":"VAT","rate":0.19,"price":"3.18"}]}"#;
    let order = event("a", &format!(r#"{{"lines":[{}]}}"#, vec![line; 500].join(",")));
    let set = compile(
        "a:\n  match: {}\n  to: crm\n  transform: |\n    total = 0.0\n    lines = map_values(array!(.data.lines)) -> |line| {\n      total = total + float!(to_float!(line.price) * int!(line.quantity))\n      { \"sku\": downcase!(line.sku), \"name\": replace!(line.title, r'\\s+', \"-\"), \"tax\": line.taxes[0].price }\n    }\n    { \"total\": total, \"lines\": lines }\n",
    );
    let clock = Limits::default().clock;
    let start = clock();
    let routing = set.route(&order);
    let took = clock() - start;
    assert_eq!(routing.failed, []);
    println!("500 lines: {took:?}");
    assert!(took < Duration::from_millis(20), "took {took:?}");
}
