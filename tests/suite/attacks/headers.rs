//! X4: what stands in an event can't become a header that nobody configured.

use serde_json::json;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture};

use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_adds_a_header_or_a_path() {
    let receiver = Receiver::start().await.unwrap();
    let sections = format!(
        "destinations:
  crm:
    adapter: http
    settings:
      url: '{}/{{{{ .data.path }}}}?q={{{{ .data.path }}}}'
      allow_private: true
      headers: {{ x-note: '{{{{ .data.note }}}}' }}
subscriptions:
  all: {{ match: {{ source: [suite] }}, to: crm }}
",
        receiver.url("")
    );
    let bus = Instance::start(Setup::new(sections)).await;
    let huge = "x".repeat(100_000);
    let notes = [
        "a\r\nx-injected: 1",
        "a\nx-injected: 1",
        "a\rx-injected: 1",
        "a\u{0}b",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "ä\u{2028}x-injected: 1",
        "a\u{7f}b",
        &huge,
        "fine",
    ];
    let paths = ["a b", "../../admin", "..", "a?x=1#y", "a\r\nb", "%2e%2e", "ü", "a/b", "fine"];
    for (at, note) in notes.iter().enumerate() {
        bus.publish(&fixture::event(&format!("note-{at}"), "t", json!({ "note": note, "path": "p" })))
            .await
            .expect(202);
    }
    for (at, path) in paths.iter().enumerate() {
        bus.publish(&fixture::event(&format!("path-{at}"), "t", json!({ "note": "n", "path": path })))
            .await
            .expect(202);
    }
    let account = bus.settled(SOON).await;
    let made = &account["deliveries"];
    assert_eq!(made["made"], notes.len() + paths.len(), "{account}");
    for request in receiver.requests() {
        assert_eq!(request.header("x-injected"), None, "{request:?}");
        assert_eq!(request.method, "POST", "{request:?}");
        let [path, query] = request.target.split('?').collect::<Vec<_>>()[..] else {
            panic!("{}", request.target)
        };
        assert_eq!(path.matches('/').count(), 1, "{}", request.target);
        let value = query.strip_prefix("q=").unwrap_or_else(|| panic!("{query}"));
        assert!(!value.contains(['#', '&', '=', ' ']), "{query}");
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.iter().filter(|name| **name == "host").count(), 1, "{names:?}");
    }
    let dead = crate::delivery::dead_letters(&bus, 1).await;
    assert_eq!(dead.len() + receiver.count(), notes.len() + paths.len());
    let refused = |id: &str| dead.iter().any(|letter| letter["event_id"] == id);
    assert!((0..5).all(|at| refused(&format!("note-{at}"))), "{dead:#?}");
    assert!(!refused("note-8") && !refused("path-8"), "{dead:#?}");
}
