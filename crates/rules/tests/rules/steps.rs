//! One call of a function on the largest values (X7): between two looks at the stopwatch nothing takes long.

use std::time::Duration;

use trunkline_core::Event;
use trunkline_rules::Limits;

use crate::{compile, event};

fn cost(program: &str, event: &Event) -> (Duration, String) {
    let program = program.replace('\n', "\n    ");
    let set = compile(&format!("a:\n  match: {{}}\n  to: crm\n  transform: |\n    {program}\n"));
    let clock = Limits::default().clock;
    let start = clock();
    let routing = set.route(event);
    let said = routing.failed.first().map(|f| f.detail.clone()).unwrap_or_default();
    drop(routing);
    (clock() - start, said)
}

#[test]
fn measure() {
    let text = event("a", &format!(r#"{{"text":"{}"}}"#, "a".repeat(1_000_000)));
    let mixed = event("a", &format!(r#"{{"text":"{}"}}"#, "aB-9é ".repeat(140_000)));
    let bits: String = {
        let mut x = 1u64;
        (0..1_000_000)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                if x & 1 == 0 { 'a' } else { 'b' }
            })
            .collect()
    };
    let ab = event("a", &format!(r#"{{"text":"{bits}"}}"#));
    let list = event("a", &format!(r#"{{"list":[{}0]}}"#, "0,".repeat(49_000)));
    let words = event("a", &format!(r#"{{"list":[{}"x"]}}"#, "\"ab\",".repeat(49_000)));
    let objects = event("a", &format!(r#"{{"list":[{}{{}}]}}"#, "{\"a\":1},".repeat(24_000)));
    let members: String = (0..9_900).map(|i| format!("\"k{i:0>90}\":{i},")).collect();
    let wide = event("a", &format!(r#"{{"o":{{{members}"z":0}}}}"#));
    let groups = format!(
        "parse_regex!(string!(slice!(.data.text, 0, 20000)), r'(?:{})*$')",
        (0..40).map(|i| format!("(?P<g{i}>[ab])?")).collect::<String>()
    );
    let cases: Vec<(&str, &Event, &str)> = vec![
        ("nothing text", &text, "1"),
        ("nothing list", &list, ".data.none"),
        ("nothing words", &words, ".data.none"),
        ("nothing objects", &objects, ".data.none"),
        ("nothing wide", &wide, ".data.none"),
        ("clone list", &list, "x = .data.list\ny = x\n1"),
        ("list", &list, ".data"),
        ("words", &words, ".data"),
        ("objects", &objects, ".data"),
        ("wide", &wide, ".data"),
        ("text", &text, ".data"),
        ("mixed", &mixed, ".data"),
        ("match exp", &ab, "match(string!(.data.text), r'[ab]*a[ab]{300}c')"),
        ("match exp2", &ab, "match(string!(.data.text), r'a[ab]{1000}c')"),
        ("match sparse", &ab, "match(string!(.data.text), r'(?:a|ab|ba|aab){500}c')"),
        (
            "quadratic groups",
            &text,
            "parse_regex_all!(string!(slice!(.data.text, 0, 300000)), r'(?P<n>.*[^a]|a)')",
        ),
        ("quadratic short", &text, "replace(string!(slice!(.data.text, 0, 1000)), r'.*[^a]|a', \"\")"),
        ("exp 2k", &ab, "match(string!(slice!(.data.text, 0, 6000)), r'[ab]*a[ab]{300}c')"),
        ("groups 40", &ab, &groups),
        ("find long", &text, "find!(.data.text, string!(slice!(.data.text, 0, 400000)) + \"b\")"),
        ("replace big", &text, "replace!(.data.text, \"\", \"aaaaaaaaaaaaaaaaaaaaaaa\")"),
        ("captures", &text, "parse_regex!(string!(.data.text), r'(?P<x>(a|b)*)$')"),
        ("quadratic", &text, "replace(string!(slice!(.data.text, 0, 400000)), r'.*[^a]|a', \"\")"),
        ("quadratic split", &text, "split(string!(slice!(.data.text, 0, 400000)), r'.*[^a]|a')"),
        ("contains_all", &words, "contains_all!(join!(.data.list), .data.list)"),
        (
            "contains",
            &text,
            "contains(string!(.data.text), \"aaaaaaaaaaaaaaaaaaaaab\", case_sensitive: false)",
        ),
        ("unique", &list, "unique(array!(.data.list))"),
        ("unique words", &words, "unique(array!(.data.list))"),
        ("tally", &words, "tally!(.data.list)"),
        ("flatten", &list, "flatten(array!(.data.list))"),
        ("zip", &list, "zip!(.data.list, .data.list)"),
        ("compact", &list, "compact(array!(.data.list))"),
        ("compact wide", &wide, "compact(object!(.data.o))"),
        ("flatten wide", &wide, "flatten(object!(.data.o))"),
        ("unflatten wide", &wide, "unflatten(object!(.data.o))"),
        ("to_entries", &wide, "to_entries!(.data.o)"),
        ("keys", &wide, "keys(object!(.data.o))"),
        ("merge", &wide, "merge(object!(.data.o), object!(.data.o), deep: true)"),
        ("encode_json list", &list, "encode_json(.data.list)"),
        ("encode_json objects", &objects, "encode_json(.data.list)"),
        ("encode_json pretty", &objects, "encode_json(.data.list, pretty: true)"),
        ("parse_json", &list, "parse_json!(encode_json(.data.list))"),
        ("is_json", &list, "is_json(encode_json(.data.list))"),
        ("join", &words, "join!(.data.list, \",\")"),
        ("append", &list, "append(array!(.data.list), array!(.data.list))"),
        ("push", &list, "push(array!(.data.list), 1)"),
        ("chunks", &text, "chunks!(.data.text, 1)"),
        ("split each", &text, "split(string!(.data.text), \"a\")"),
        ("split empty", &text, "split(string!(.data.text), \"\")"),
        ("slice", &mixed, "string!(slice!(.data.text, 1, 100000))"),
        ("strlen", &mixed, "strlen!(.data.text)"),
        ("truncate", &mixed, "truncate!(.data.text, 100000)"),
        ("find", &text, "find!(.data.text, \"aaaaaaaaaaaaab\")"),
        ("find regex", &text, "find!(.data.text, r'a+b')"),
        ("parse_query", &text, "parse_query_string!(replace!(.data.text, \"aa\", \"&\"))"),
        ("parse_url", &text, "parse_url!(\"http://a/?\" + replace!(.data.text, \"aa\", \"&\"))"),
        ("parse_regex_all", &text, "parse_regex_all!(.data.text, r'(?P<x>a)')"),
        ("camelcase", &mixed, "camelcase!(.data.text)"),
        ("camelcase a", &text, "camelcase!(.data.text)"),
        ("snakecase", &mixed, "snakecase!(.data.text)"),
        ("kebabcase", &mixed, "kebabcase!(.data.text)"),
        ("pascalcase", &mixed, "pascalcase!(.data.text)"),
        ("screamingsnakecase", &mixed, "screamingsnakecase!(.data.text)"),
        ("upcase", &mixed, "upcase!(.data.text)"),
        ("downcase", &mixed, "downcase!(.data.text)"),
        ("encode_base16", &text, "encode_base16!(.data.text)"),
        ("encode_base64", &text, "encode_base64!(.data.text)"),
        ("decode_base16", &text, "decode_base16!(.data.text)"),
        ("decode_base64", &text, "decode_base64!(.data.text)"),
        ("encode_percent", &mixed, "encode_percent!(.data.text)"),
        ("encode_percent all", &mixed, "encode_percent!(.data.text, ascii_set: \"NON_ALPHANUMERIC\")"),
        ("decode_percent", &mixed, "decode_percent!(.data.text)"),
        ("strip", &mixed, "strip_whitespace!(.data.text)"),
        ("parse_int", &text, "parse_int!(.data.text, base: 16)"),
        ("parse_float", &text, "parse_float!(replace!(.data.text, \"a\", \"1\"))"),
        ("parse_timestamp", &text, "parse_timestamp!(.data.text, format: \"%c\")"),
        ("parse_timestamp fmt", &text, "parse_timestamp!(.data.text, format: string!(.data.text))"),
        (
            "format_timestamp",
            &text,
            "format_timestamp!(from_unix_timestamp!(0), format: replace!(.data.text, \"aa\", \"%c\"))",
        ),
        ("parse_duration", &text, "parse_duration!(.data.text, unit: \"s\")"),
        ("ip", &text, "ip_cidr_contains!(\"10.0.0.0/8\", .data.text)"),
        ("basename", &text, "basename!(replace!(.data.text, \"aa\", \"/\"))"),
        ("dirname", &text, "dirname!(replace!(.data.text, \"aa\", \"/\"))"),
        ("match_array", &words, "match_array!(.data.list, r'(?P<x>(a|b)*)c$')"),
        ("includes", &words, "includes!(.data.list, \"z\")"),
        ("array eq", &list, "x = .data.list\nx == x"),
        ("mul", &list, "map_values(array!(.data.list)) -> |v| { int!(v) * 2 }"),
        ("filter", &list, "filter(array!(.data.list)) -> |_i, v| { v == 1 }"),
        ("from_entries", &objects, "from_entries!(.data.list)"),
        (
            "object_from_array",
            &list,
            "object_from_array!(map_values(chunks!(encode_json(.data.list), 2)) -> |v| { [v, v] })",
        ),
        ("map_keys", &wide, "map_keys(object!(.data.o)) -> |k| { k + \"x\" }"),
        ("remove", &wide, "remove!(.data.o, [\"z\"])"),
        ("set", &wide, "set!(.data.o, [\"z\"], .data.o)"),
        ("get", &wide, "get!(.data, [\"o\"])"),
        ("loop set", &wide, "x = object!(.data.o)\nfor_each(x) -> |k, _v| { x = set!(x, [k], 1) }\nx"),
        (
            "loop clone",
            &list,
            "x = .data.list\nn = 0\nfor_each(array!(.data.list)) -> |_k, _v| { y = x\n n = n + length(array!(y)) }\nn",
        ),
        (
            "loop eq",
            &list,
            "x = .data.list\nn = 0\nfor_each(array!(.data.list)) -> |_k, _v| { if x == .data.list { n = n + 1 } }\nn",
        ),
        (
            "loop append",
            &list,
            "x = [1,2,3,4,5,6,7,8]\nfor_each(array!(.data.list)) -> |_k, _v| { x = append(x, x) }\nx",
        ),
        (
            "loop objects",
            &list,
            "x = {}\nfor_each(array!(.data.list)) -> |_k, _v| { x |= { \"a\": x, \"b\": x } }\nx",
        ),
        ("loop text", &list, "s = \"aaaaaaaa\"\nfor_each(array!(.data.list)) -> |_k, _v| { s = s + s }\ns"),
        ("loop", &list, "n = 0\nfor_each(array!(.data.list)) -> |_k, _v| { n = n + 1 }\nn"),
        ("to_string list", &list, "x = encode_json(.data.list)\nx = \"{{ x }}{{x}}{{x}}\"\nx"),
        ("format_number", &text, "format_number!(1.5, scale: 30, grouping_separator: string!(.data.text))"),
        ("values", &wide, "values(object!(.data.o))"),
        ("sorted concat", &list, "x = array!(.data.list)\nx = append(x, x)\nencode_json(x)"),
    ];
    let skip: [&str; 0] = [];
    let only = std::env::var("STEP").unwrap_or_default();
    for (name, event, program) in cases {
        if !name.contains(&only) || (only.is_empty() && skip.contains(&name)) {
            continue;
        }
        let worst = (0..2).map(|_| cost(program, event)).min().unwrap();
        println!(
            "{:>8.2} ms  {name}: {}",
            worst.0.as_secs_f64() * 1e3,
            worst.1.chars().take(90).collect::<String>()
        );
    }
}
