//! A platform sends again what it is not sure of.

use trunkline_tests::signing;

use super::{SHOPIFY, bus};
use crate::SOON;

fn headers(body: &[u8], id: &str) -> Vec<(String, String)> {
    let signature = signing::shopify(SHOPIFY, body);
    [
        ("x-shopify-topic", "checkouts/create"),
        ("x-shopify-webhook-id", id),
        ("x-shopify-hmac-sha256", &signature),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_re_send_is_marked_and_not_routed_twice() {
    let (bus, receiver) = bus().await;
    let body = br#"{"id": 7}"#;
    let headers = headers(body, "w-1");
    let first = bus.hook("shop", &headers, body).await;
    assert_eq!((first.expect(200).header("trunkline-duplicates"), first.status), (None, 200));
    for _ in 0..3 {
        let again = bus.hook("shop", &headers, body).await;
        assert_eq!(again.expect(200).header("trunkline-duplicates"), Some("1"));
    }
    let account = bus.settled(SOON).await;
    assert_eq!(
        (&account["events"]["accepted"], &account["events"]["duplicate"]),
        (&1.into(), &3.into()),
        "{account}"
    );
    assert_eq!(receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn re_sends_at_the_same_moment_are_carried_once() {
    let (bus, receiver) = bus().await;
    let body = br#"{"id": 8}"#;
    let headers = headers(body, "w-2");
    let sends = (0..20).map(|_| bus.hook("shop", &headers, body));
    let answers = futures::future::join_all(sends).await;
    let duplicates =
        answers.iter().filter(|answer| answer.expect(200).header("trunkline-duplicates").is_some());
    assert_eq!(duplicates.count(), 19);
    let account = bus.settled(SOON).await;
    assert_eq!((&account["events"]["accepted"], receiver.count()), (&1.into(), 1), "{account}");
}
