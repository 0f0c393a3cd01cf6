//! X12: control characters of strangers move no terminal and forge no line of a log.

use serde_json::json;
use trunkline_sdk::testing::Answer;
use trunkline_tests::{fixture, signing};

use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_and_commands_show_control_characters_escaped() {
    let sources = "sources: { shop: { adapter: shopify, settings: { secret: '${env:PATH}' } } }\n";
    let (bus, receiver) = super::bus("", sources).await;
    receiver.answer_always(Answer::status(422).body("\u{1b}[2Jno\r\nERROR forged: everything is lost\u{7}"));
    let ids = [
        "\u{1b}[31mred",
        "line\nERROR forged: everything is lost",
        "bell\u{7}",
        "\u{9b}31mcsi",
        "carriage\rreturn",
    ];
    let mut accepted = 0;
    for id in ids {
        let answer =
            bus.publish(&fixture::event(id, "suite.made\u{1b}[1m", json!({ "\u{1b}": "\u{1b}" }))).await;
        // The specification forbids control characters; to refuse is as right as to escape.
        assert!(matches!(answer.status, 202 | 400), "{answer:?}");
        assert!(!answer.body.contains(&0x1b), "{answer:?}");
        accepted += usize::from(answer.is_success());
    }
    bus.publish(&fixture::event("plain", "suite.made", json!({ "text": "\u{1b}[31m" }))).await.expect(202);
    let dead = crate::delivery::dead_letters(&bus, accepted + 1).await;
    // Names and headers of strangers are logged, too.
    bus.hook("\u{1b}[31m\nERROR forged: x", &[], b"{}").await.expect(404);
    bus.hook("%1b%5b31m%0aERROR%20forged:%20x", &[], b"{}").await.expect(404);
    let topic = ("x-shopify-topic".to_owned(), "a\tb\u{9b}31m".to_owned());
    let signature =
        ("x-shopify-hmac-sha256".to_owned(), signing::shopify(&std::env::var("PATH").unwrap(), b"\x1b[31m"));
    drop(bus.hook("shop", &[topic, signature], b"\x1b[31m").await);

    let mut printed = Vec::new();
    for letter in &dead {
        let id = letter["id"].as_str().unwrap();
        printed.push(bus.run(&["dlq", "show", id]).await.out);
        printed.push(bus.run(&["explain", letter["event_id"].as_str().unwrap()]).await.out);
    }
    for arguments in
        [&["dlq", "list"][..], &["dlq", "list", "--group"], &["tail", "--oldest", "--limit", "1"]]
    {
        printed.push(bus.run(arguments).await.out);
    }
    assert!(bus.terminate(SOON).await.success());
    printed.push(bus.log());
    for text in &printed {
        let wrong = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        assert_eq!(wrong, None, "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("ERROR forged")), "{text:?}");
    }
}
