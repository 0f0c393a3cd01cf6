//! What must be refused or stopped (X6, X7).

use std::time::{Duration, Instant};

use trunkline_core::{Event, EventView, TypeCatalogue};
use trunkline_rules::{Limits, Stage};

use crate::{compile, event, try_compile};

/// Admission must say no, quickly.
#[track_caller]
fn refused(yaml: &str, code: &str) {
    let began = Instant::now();
    let (set, diagnostics) = try_compile(yaml, Limits::default());
    assert!(set.is_none());
    let list = diagnostics.into_sorted();
    assert!(list.iter().any(|one| one.code == code), "{list:?}");
    // Milliseconds; on a machine that does much else, some of its time.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn oversized_patterns_are_refused() {
    refused(
        &format!("a: {{ match: {{ id: [{{ wildcard: '{}' }}] }}, to: crm }}", "a*".repeat(1000)),
        "TL-R005",
    );
    let or = format!("[{}]", ["{ id: [a] }"; 40].join(", "));
    refused(&format!("a: {{ match: {{ $or: {or}, data: {{ $or: {or} }} }}, to: crm }}"), "TL-R005");
    refused(&format!("a: {{ match: {{ id: [{}] }}, to: crm }}", vec!["x"; 5000].join(",")), "TL-R005");
    refused(
        &format!("a: {{ match: {{ data: {}[1]{} }}, to: crm }}", "{ a: ".repeat(40), "}".repeat(40)),
        "TL-R005",
    );
}

#[test]
fn oversized_programs_are_refused() {
    let when = |program: &str| format!("a: {{ match: {{}}, to: crm, when: '{program}' }}");
    refused(&when(&format!("{}true{}", "(".repeat(15_000), ")".repeat(15_000))), "TL-R010");
    refused(&when(&format!("{}true", "!".repeat(30_000))), "TL-R010");
    refused(&when(&format!("1{} == 1", " + 1".repeat(7_000))), "TL-R010");
    refused(&when(&format!("{}1{} == 1", "abs(".repeat(3_000), ")".repeat(3_000))), "TL-R010");
    refused(&when("match(string!(.id), r''(((a{100}){100}){100})'')"), "TL-R010");
    refused(&when(&" ".repeat(40_000).replacen(' ', "true", 1)), "TL-R010");
    refused("a: { match: {}, to: crm, transform: 'x = []; x[1000000000] = 1; x' }", "TL-R010");
}

/// Most CPU time that routing one event may take (X7).
pub(crate) const MOST: Duration = Duration::from_millis(50);

/// A run must end by its budget, in bounded time, and leave the other subscription alone.
#[track_caller]
fn stopped(program: &str, event: &Event) {
    let program = program.replace('\n', "\n    ");
    let set = compile(&format!(
        "bomb:\n  match: {{}}\n  to: crm\n  transform: |\n    {program}\nother: {{ match: {{}}, to: erp, transform: '.id' }}\n"
    ));
    let began = Limits::default().clock;
    let start = began();
    let routing = set.route(event);
    let took = began() - start;
    assert_eq!(routing.matched.len(), 1, "{program}");
    assert_eq!(routing.failed.len(), 1);
    assert_eq!(routing.failed[0].stage, Stage::Transform);
    // CPU time of all of it: reading the event, the deadline of 20 ms, one last step, giving the memory back.
    assert!(took < MOST, "took {took:?}: {}", routing.failed[0].detail);
}

/// 64 KiB of array.
fn large() -> Event {
    event("a", &format!(r#"{{"list":[{}0],"text":"{}"}}"#, "0,".repeat(32_000), "a".repeat(60_000)))
}

#[test]
fn bombs_are_stopped() {
    let large = large();
    for program in [
        // Nested loops.
        "n = 0\nfor_each(array!(.data.list)) -> |_i, _v| {\n  for_each(array!(.data.list)) -> |_j, _w| { n = n + 1 }\n}\nn",
        // Text that doubles.
        "s = \"aaaaaaaaaaaaaaaa\"\nfor_each(array!(.data.list)) -> |_i, _v| { s = s + s }\ns",
        "s = \"aaaaaaaaaaaaaaaa\"\nfor_each(array!(.data.list)) -> |_i, _v| { s = \"{{s}}{{s}}\" }\ns",
        "s = \"aaaaaaaaaaaaaaaa\"\nfor_each(array!(.data.list)) -> |_i, _v| { s = if true { s + s } else { s } }\ns",
        // Arrays and objects that double, or nest.
        "x = [1]\nfor_each(array!(.data.list)) -> |_i, _v| { x = append(x, x) }\nx",
        "x = {}\nfor_each(array!(.data.list)) -> |i, _v| { x |= { \"a\": x, \"b\": x } }\nx",
        "x = {}\nfor_each(array!(.data.list)) -> |_i, _v| { x.a = x\n x.b = x }\nx",
        "x = parse_json!(\"{}\")\nfor_each(array!(.data.list)) -> |_i, _v| { x.a.a.a.a.a.a.a.a = x }\nx",
        "x = [1]\nfor_each(array!(.data.list)) -> |_i, _v| { x = [[[[[[[[x]]]]]]]] }\nx",
        // Functions that make much of little.
        "replace!(.data.text, \"a\", .data.text)",
        "join!(map_values(array!(.data.list)) -> |_v| { \"\" }, .data.text)",
        "set!({}, [\"a\", 1000000000], 1)",
        "format_number!(1, scale: 1000000000)",
        // The machine's own time zone.
        "format_timestamp!(from_unix_timestamp!(0), \"%c\", timezone: \"local\")",
        // `*` repeats text in VRL.
        "n, error = .data.text * 1000000000000\nassert!(error == null)",
        "n, error = 1000000000000 * .data.text\nassert!(error == null)",
        // More than a body may be.
        "map_values(array!(.data.list)) -> |_v| { .data.text }",
    ] {
        stopped(program, &large);
    }
}

#[test]
fn what_stays_small_is_not_stopped() {
    let set = compile(
        "a:\n  match: {}\n  to: crm\n  transform: |\n    total = 0\n    for_each(array!(.data.list)) -> |_i, v| { total = total + int!(v) }\n    { \"total\": total * 2, \"text\": replace!(.data.text, \"a\", \"bb\") }\n",
    );
    let data = r#"{"list":[1,2,3],"text":"banana"}"#;
    let routing = set.route(&event("a", data));
    assert_eq!(routing.failed, []);
    assert_eq!(&routing.matched[0].body.as_ref().unwrap().bytes[..], br#"{"text":"bbbnbbnbb","total":12}"#);
}

#[test]
fn the_limits_are_the_configured_ones() {
    let limits = Limits { output: 10, ..Limits::default() };
    let (set, _) = try_compile("a: { match: {}, to: crm, transform: '.data' }", limits);
    let set = set.unwrap();
    assert_eq!(set.route(&event("a", "[1,2,3]")).matched.len(), 1);
    assert_eq!(set.route(&event("a", "[1,2,3,4,5,6]")).failed[0].detail, "made more than 10 bytes");
}

#[test]
fn deep_arrays_neither_match_nor_overflow() {
    let set = compile("a: { match: { data: { a: { b: [1] } } }, to: crm }");
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [10, 60] {
        let routing = set.route(&event("a", &format!(r#"{{"a":{}}}"#, nested(depth))));
        assert_eq!((routing.matched.len(), routing.failed.len()), (0, 0));
    }
    // Deeper JSON is refused when an event is built; one that came in otherwise can't be looked into.
    let text = trunkline_core::event::Text::from(nested(100_000));
    let deep = Event::builder("1", "shop", "a").data(trunkline_core::Data::Text(text));
    if let Ok(deep) = deep.build() {
        assert_eq!(set.route(&deep).failed[0].stage, Stage::Pattern);
    }
}

#[test]
fn a_thousand_subscriptions_with_one_prefix() {
    let yaml: Vec<String> = (0..1000)
        .map(|at| format!("s{at}: {{ match: {{ type: [{{ prefix: order. }}] }}, to: crm }}"))
        .collect();
    let set = compile(&yaml.join("\n"));
    assert_eq!(set.route(&event("order.created", "{}")).matched.len(), 1000);
    assert_eq!(set.route(&event("order", "{}")).matched.len(), 0);
}

#[test]
fn hostile_wildcards_take_no_time() {
    let mut diagnostics = trunkline_core::config::Diagnostics::new();
    let yaml = format!("id: [{{ wildcard: '{}b' }}]", "a*".repeat(30));
    let node = trunkline_core::config::parse("p.yaml", &yaml).unwrap();
    let pattern = trunkline_rules::Pattern::read(&node, &mut diagnostics).unwrap();
    let event = Event::builder("a".repeat(60_000), "shop", "a").build().unwrap();
    let catalogue = TypeCatalogue::canonical();
    let began = Instant::now();
    assert_eq!(pattern.matches(&EventView::new(&event, &catalogue)), Ok(false));
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}
