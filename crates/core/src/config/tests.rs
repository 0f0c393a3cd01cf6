use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[track_caller]
fn node(text: &str) -> Node {
    parse("t.yaml", text).unwrap()
}

/// The diagnostics of reading `text` as `T`, one a line.
#[track_caller]
fn check<T: serde::de::DeserializeOwned>(text: &str, expected: &str) {
    let mut diagnostics = Diagnostics::new();
    let read = node(text).read::<T>(&mut diagnostics);
    let lines: Vec<String> = diagnostics.into_sorted().iter().map(ToString::to_string).collect();
    assert_eq!(lines.join("\n"), expected);
    assert_eq!(read.is_some(), expected.is_empty());
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(parse("t.yaml", text).unwrap_err().to_string(), expected);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only reading is tested")]
struct Settings {
    name: String,
    port: u16,
    #[serde(default)]
    on: bool,
    #[serde(default)]
    every: DurationSetting,
    #[serde(default)]
    size: SizeSetting,
    rate: Option<Rate>,
    secret: Option<Secret>,
    mode: Option<Mode>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only reading is tested")]
enum Mode {
    Key,
    Limit(u8),
    Both { a: u8 },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only reading is tested")]
struct Part {
    at: u32,
    to: u32,
}

#[test]
fn a_good_document_reads() {
    let text = "
name: x
port: 80
on: true
every: 1h 30m
size: 2MiB
rate: 600/m
secret: ${env:TOKEN}
mode: { both: { a: 1 } }
headers:
parts: [{ at: 1, to: 2 }]
";
    let settings: Settings = node(text).read(&mut Diagnostics::new()).unwrap();
    assert_eq!(settings.every.as_secs(), 5400);
    assert_eq!(*settings.size, 2 << 20);
    assert_eq!(settings.rate.unwrap(), Rate { count: 600, per: std::time::Duration::from_secs(60) });
    assert_eq!(settings.secret.unwrap().reference(), &SecretReference::Env("TOKEN".to_owned()));
    assert!(matches!(settings.mode, Some(Mode::Both { a: 1 })));
}

#[test]
fn every_mistake_is_named_at_once() {
    check::<Settings>(
        "name: 12\nprot: 80\non: yes\nevery: 30 lightyears\nsize: 1 MB/s\nrate: fast\nsecret: hunter2\nmode: kay\nheaders: { a: 1 }\nparts:\n  - { at: -1, to: 1, by: 2 }\n  - { at: one }\n  - 3\n",
        "t.yaml:1:1: error[TL-C004]: key `port` is missing
t.yaml:1:7: error[TL-C003]: name: expected text, found a whole number
  hint: write it in quotes
t.yaml:2:1: error[TL-C002]: prot: unknown key `prot`
  hint: did you mean `port`?
t.yaml:3:5: error[TL-C003]: on: expected true or false, found text
  hint: write `true` or `false`, without quotes
t.yaml:4:8: error[TL-C003]: every: \"30 lightyears\" is not a duration; write for example 30s, 5m, 7d
t.yaml:5:7: error[TL-C003]: size: \"1 MB/s\" is not a size; write for example 512KiB, 1MiB, or a number of bytes
t.yaml:6:7: error[TL-C003]: rate: \"fast\" is not a rate; write for example 10/s, 600/m
t.yaml:7:9: error[TL-C007]: secret: a secret must be a reference: ${env:NAME} or ${file:PATH}, never the value itself
t.yaml:8:7: error[TL-C003]: mode: `kay` is not one of key, limit, both
  hint: did you mean `key`?
t.yaml:9:15: error[TL-C003]: headers.a: expected text, found a whole number
  hint: write it in quotes
t.yaml:11:11: error[TL-C003]: parts.0.at: -1 is not a whole number from 0 to 4294967295
t.yaml:11:22: error[TL-C002]: parts.0.by: unknown key `by`
  hint: there are at, to
t.yaml:12:5: error[TL-C004]: parts.1: key `to` is missing
t.yaml:12:11: error[TL-C003]: parts.1.at: expected a whole number from 0 to 4294967295, found text
t.yaml:13:5: error[TL-C003]: parts.2: expected a map, found a whole number",
    );
}

#[test]
fn all_missing_keys_are_named_even_where_nothing_can_stand_in() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only reading is tested")]
    struct Outer {
        inner: Inner,
        address: std::net::SocketAddr,
        then: u8,
    }
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only reading is tested")]
    struct Inner {
        a: u8,
        b: String,
        secret: Secret,
    }
    check::<Outer>(
        "inner: {}\nthen: x\n",
        "t.yaml:1:1: error[TL-C004]: key `address` is missing
t.yaml:1:8: error[TL-C004]: inner: key `a` is missing
t.yaml:1:8: error[TL-C004]: inner: key `b` is missing
t.yaml:1:8: error[TL-C004]: inner: key `secret` is missing
t.yaml:2:7: error[TL-C003]: then: expected a whole number from 0 to 255, found text",
    );
}

#[test]
fn no_error_repeats_a_secret() {
    for literal in
        ["4711canary", "\"4711canary\"", "47114711", "4711.4711", "{ canary4711: x }", "[4711]", "${4711:x}"]
    {
        let mut diagnostics = Diagnostics::new();
        assert!(node(&format!("secret: {literal}")).read::<Settings>(&mut diagnostics).is_none());
        let text = format!("{diagnostics:?}");
        assert!(text.contains("secret"), "{text}");
        assert!(!text.contains("4711"), "{text}");
    }
}

#[test]
fn what_hides_places_is_refused() {
    refused(
        "a: &x 1\nb: *x",
        "t.yaml:1:4: error[TL-C001]: a: an anchor\n  hint: write the value out: an error could not be traced to its place through an alias",
    );
    refused(
        "a: !!str 1",
        "t.yaml:1:4: error[TL-C001]: a: a tag\n  hint: leave it out; put text in quotes instead",
    );
    refused(
        "a: 1\n---\nb: 2",
        "t.yaml:2:1: error[TL-C001]: a second document begins here\n  hint: write one document, without `---`",
    );
    refused(
        "a:\n  b: 1\n  b: 2",
        "t.yaml:3:3: error[TL-C005]: a.b: key `b` stands here and in line 2\n  hint: remove one of them",
    );
    refused("404: x", "t.yaml:1:1: error[TL-C001]: key `404` is not text\n  hint: write it in quotes");
    refused(
        "[a]: x",
        "t.yaml:1:1: error[TL-C001]: a key that is not text\n  hint: write a name before the colon",
    );
    refused(
        "id: 12345678901234567890",
        "t.yaml:1:5: error[TL-C003]: id: 12345678901234567890 is a whole number that does not fit 64 bits\n  hint: write it in quotes when it is text",
    );
}

#[test]
fn nothing_is_an_empty_map() {
    for text in ["", "# only a comment\n", "---\n", "~"] {
        assert_eq!(node(text).value, NodeValue::Map(Vec::new()), "{text:?}");
    }
}

#[test]
fn json_is_yaml() {
    let node = node("{\"a\": [1, 2.5, null, true, \"x\\u00e4\"]}");
    let NodeValue::List(items) = &node.get("a").unwrap().value else { panic!("{node:?}") };
    assert_eq!(items[4].as_text(), Some("xä"));
    assert_eq!(&*items[4].path, "a.4");
}

/// Looks up, in the file, the character at each `offset` of the text at `a`.
#[track_caller]
fn places(text: &str) {
    let node = node(text);
    let value = node.get("a").unwrap();
    let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    for (offset, character) in value.as_text().unwrap().char_indices().filter(|(_, c)| c.is_alphanumeric()) {
        let place = value.place_in_text(offset);
        let found = lines.get(place.line - 1).and_then(|line| line.get(place.column - 1));
        assert_eq!(found, Some(&character), "offset {offset} at {place} in\n{text}");
    }
}

#[test]
fn offsets_in_text_are_places_in_the_file() {
    places("a: plainä text");
    places("x: 1\na: plain\n  on several\n\n  lines\nb: 2");
    places("a: |\n  first ä\n    second\n\n  third\n");
    places("x:\r\na: |-\r\n\r\n  first\r\n  second\r\n");
    places("a: |2\n    indented\n  less\n");
    places("a: >-\n  folded\n  text\n\n  more\n    kept\n  end\n");
    places("a: 'it''s quoted'");
    places("a: 'on\n   two lines'");
    places("a: \"tab\\t quote\\\" bell\\x0a end\"");
    places("a: \"continued\\\n   here\n   and folded\"");
    places("{\"a\": \"x\"}");
    let nested = node("s:\n  t:\n    a: |\n      .data.x\n      .data.y\n");
    let text = nested.get("s").and_then(|s| s.get("t")).and_then(|t| t.get("a")).unwrap();
    assert_eq!(text.place_in_text(13).to_string(), "t.yaml:5:12");
    assert_eq!(text.place_in_text(usize::MAX).to_string(), "t.yaml:6:7");
}

#[test]
fn files_merge_section_by_section() {
    let files =
        |files: &[(&str, &str)]| files.iter().map(|(name, text)| parse(name, text).unwrap()).collect();
    let merged = merge(files(&[
        ("a.yaml", "version: 1\nsources: { x: 1 }"),
        ("b.yaml", "version: 1\nsources: { y: 2 }"),
    ]));
    let merged = merged.unwrap();
    assert_eq!(merged.entries().count(), 2);
    assert_eq!(merged.get("sources").unwrap().entries().count(), 2);
    assert_eq!(&*merged.get("sources").unwrap().get("y").unwrap().place.file, "b.yaml");
    let problems = merge(files(&[
        ("a.yaml", "broker: x\nsources: { x: 1 }"),
        ("b.yaml", "broker: x\nsources:\n  x: 2"),
        ("c.yaml", "[]"),
    ]));
    let lines: Vec<String> = problems.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "b.yaml:1:1: error[TL-C005]: broker: `broker` stands already in a.yaml:1:1\n  hint: remove one of them",
            "b.yaml:3:3: error[TL-C005]: sources.x: `x` stands already in a.yaml:2:12\n  hint: remove one of them",
            "c.yaml:1:1: error[TL-C003]: a configuration is a map of sections",
        ]
    );
}

#[test]
fn settings_write_as_they_read() {
    for rate in ["10/s", "600/m", "100/15s", "1/day"] {
        let parsed: Rate = rate.parse().unwrap();
        assert_eq!(parsed.to_string().parse::<Rate>().unwrap(), parsed, "{rate}");
    }
    for size in ["0", "1", "1023", "512KiB", "3MB", "1GiB"] {
        let parsed: SizeSetting = size.parse().unwrap();
        assert_eq!(parsed.to_string().parse::<SizeSetting>().unwrap(), parsed, "{size}");
    }
    for bad in ["0/s", "/s", "10", "1/0s", "x/s", "-1/s"] {
        assert!(bad.parse::<Rate>().is_err(), "{bad}");
    }
    assert!("18446744073709551615KiB".parse::<SizeSetting>().is_err());
}

#[test]
fn a_deep_document_is_refused_and_not_overflown() {
    for deep in ["[".repeat(100_000), "- ".repeat(10_000), "{a: ".repeat(100_000), "? ".repeat(10_000)] {
        assert!(parse("t.yaml", &deep).is_err());
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "([a-c:,'\"\\[\\]{}#&*!|>%@`~\\\\\t \n\r-]|ä|\\?|: |- |\n  ){0,60}") {
        if let Ok(node) = parse("t.yaml", &text) {
            let _read_or_not = node.read::<Settings>(&mut Diagnostics::new());
            walk(&node);
        }
    }

    #[test]
    fn parsing_arbitrary_text_never_panics(text in any::<String>()) {
        let _parsed_or_not = parse("t.yaml", &text).is_ok();
    }

    #[test]
    fn a_literal_block_has_exact_places(lines in proptest::collection::vec("[a-zäß.(){}\"' ]{0,12}", 1..6), indent in 1usize..6) {
        let block: String = lines.iter().map(|line| format!("{}x{line}\n", " ".repeat(indent))).collect();
        places(&format!("b: 1\na: |\n{block}"));
    }
}

fn walk(node: &Node) {
    if let Some(text) = node.as_text() {
        (0..=text.len()).for_each(|offset| assert!(node.place_in_text(offset).line >= 1));
    }
    node.entries().for_each(|(_, node)| walk(node));
    if let NodeValue::List(items) = &node.value {
        items.iter().for_each(walk);
    }
}
