//! `try`: what would become of an event.

use crate::binary::Folder;

const CONFIGURATION: &str = r#"version: 1
destinations:
  crm:
    adapter: http
    settings:
      url: "https://crm.example.com/contacts/{{ .body.email }}"
      bearer: "${env:NO_SUCH_SECRET}"
  theirs: { external: true }
subscriptions:
  big-orders:
    match: { type: [order.paid], data: { total: [{ numeric: [">", 100] }] } }
    when: .data.email != null
    transform: |
      { "email": .data.email, "total": .data.total }
    to: crm
  off: { match: {}, to: crm, enabled: false }
  small-orders:
    match:
      type: [order.paid]
      data: { total: [{ numeric: ["<", 100] }] }
    to: crm
"#;

fn event(data: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"o-1","source":"shop","type":"order.paid","data":{data}}}"#)
}

#[test]
fn a_match_shows_the_request_and_a_miss_its_reason() {
    let folder = Folder::new(CONFIGURATION);
    folder.write("event.json", &event(r#"{"total":150,"email":"ada@example.com"}"#));
    let tried = folder.run(&["try", "event.json", "--json"]).ok().json();
    assert_eq!(tried.len(), 3);
    assert_eq!((&tried[0]["subscription"], &tried[0]["outcome"]), (&"big-orders".into(), &"matched".into()));
    let request = &tried[0]["request"];
    assert_eq!(request["target"], "POST https://crm.example.com/contacts/ada%40example.com");
    let body: serde_json::Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
    assert_eq!(body, serde_json::json!({ "email": "ada@example.com", "total": 150 }));
    assert!(request["headers"].to_string().contains("${env:NO_SUCH_SECRET}"), "{request}");
    assert_eq!(tried[1]["outcome"], "disabled");
    assert_eq!(tried[2]["outcome"], "no_match");
    assert_eq!(tried[2]["why"]["path"], "data.total");
    assert_eq!(tried[2]["why"]["found"], "150");
    assert_eq!(tried[2]["why"]["line"], 20);

    let text = folder.run(&["try", "event.json"]).ok().stdout;
    assert!(text.contains("big-orders -> crm: matches"), "{text}");
    assert!(text.contains("small-orders -> crm: no, data.total is 150"), "{text}");
    assert!(text.contains("at trunkline.yaml:20:"), "{text}");
}

#[test]
fn when_nothing_would_be_sent_the_answer_is_no() {
    let folder = Folder::new(CONFIGURATION);
    folder.write("event.json", &event(r#"{"total":150,"email":null}"#));
    let tried = folder.run(&["try", "event.json"]);
    assert_eq!(tried.code, 1, "{tried:#?}");
    assert!(tried.stdout.contains("big-orders -> crm: no, its `when` is false"), "{}", tried.stdout);

    folder.write("event.json", &event(r#"{"total":150,"email":{}}"#));
    let tried = folder.run(&["try", "event.json"]);
    assert_eq!(tried.code, 1, "a template without its value: {tried:#?}");
    assert!(tried.stdout.contains("but nothing would be sent"), "{}", tried.stdout);
}

#[test]
fn a_hostile_event_stays_in_its_lines() {
    let folder = Folder::new(CONFIGURATION);
    folder.write(
        "event.json",
        &event(r#"{"total":150,"email":"a\u001b[2J\u009b@b"}"#).replace("o-1", "o\\u001b[31m"),
    );
    for arguments in [&["try", "event.json"][..], &["try", "event.json", "--json"]] {
        let tried = folder.run(arguments);
        let moves = |c: char| c.is_control() && c != '\n';
        assert!(!tried.stdout.contains(moves) && !tried.stderr.contains(moves), "{tried:?}");
    }
}
