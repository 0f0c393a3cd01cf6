//! What happens after an answer that is no success.

use std::time::Duration;

use trunkline_sdk::testing::Answer;

use super::{QUICK, bus, dead_letters, publish};
use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_that_passes_is_tried_again_under_the_same_id() {
    let (bus, receiver) = bus(QUICK).await;
    receiver.answer_next([Answer::status(500), Answer::close()]);
    publish(&bus, "e1").await;
    let requests = receiver.wait_for(3, SOON).await.expect("it was given up");
    let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id")).collect();
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let account = bus.settled(SOON).await;
    assert_eq!(
        (&account["deliveries"]["delivered"], &account["deliveries"]["attempts"]),
        (&1.into(), &3.into())
    );
    let explained = bus.get("/api/v1/explain?id=e1").await.expect(200).json();
    let steps: Vec<&str> =
        explained["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["accepted", "routed", "attempt", "attempt", "delivered"], "{explained:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_classified_as_the_contract_says() {
    // So many failures would open the circuit, which is tried elsewhere.
    let (bus, receiver) = bus(&format!("{QUICK}\ncircuit: {{ failures: 0 }}")).await;
    // The status stands in the event's id.
    receiver.answer_by(|request| {
        let status = request.header("ce-id").and_then(|id| id.strip_prefix('s')?.parse().ok());
        Answer::status(status.unwrap_or(200)).header("location", "http://127.0.0.1:1/")
    });
    let table = [
        (200, 1, None),
        (204, 1, None),
        (301, 1, Some("rejected")),
        (400, 1, Some("rejected")),
        (404, 1, Some("rejected")),
        (422, 1, Some("rejected")),
        (408, 3, Some("attempts_exhausted")),
        (425, 3, Some("attempts_exhausted")),
        (429, 3, Some("attempts_exhausted")),
        (500, 3, Some("attempts_exhausted")),
        (503, 3, Some("attempts_exhausted")),
    ];
    for (status, _, _) in table {
        publish(&bus, &format!("s{status}")).await;
    }
    let dead = dead_letters(&bus, table.iter().filter(|(_, _, reason)| reason.is_some()).count()).await;
    bus.settled(SOON).await;
    let requests = receiver.requests();
    for (status, attempts, reason) in table {
        let id = format!("s{status}");
        let made = requests.iter().filter(|request| request.header("ce-id") == Some(&id)).count();
        let letter = dead.iter().find(|letter| letter["event_id"] == id.as_str());
        let died = letter.and_then(|letter| letter["reason"].as_str());
        assert_eq!((made, died), (attempts, reason), "{status}");
        assert!(letter.is_none_or(|letter| letter["status"] == status), "{letter:?}");
    }
}

/// D3: never early, at most a second or an eighth late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_is_obeyed() {
    let (bus, receiver) = bus(QUICK).await;
    let date =
        (chrono::Utc::now() + chrono::Duration::seconds(4)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    receiver.answer_next([
        Answer::status(429).header("retry-after", "2"),
        Answer::status(503).header("retry-after", &date),
    ]);
    publish(&bus, "e1").await;
    let requests = receiver.wait_for(3, SOON).await.expect("it was given up");
    let waited = |at: usize| (requests[at].received - requests[at - 1].received).to_std().unwrap();
    assert!(waited(1) >= Duration::from_secs(2), "came back after {:?}", waited(1));
    assert!(waited(1) < Duration::from_secs(5), "came back after {:?}", waited(1));
    let asked = chrono::NaiveDateTime::parse_from_str(&date, "%a, %d %b %Y %H:%M:%S GMT").unwrap().and_utc();
    assert!(requests[2].received >= asked, "{} is before {asked}", requests[2].received);
}

/// D4: what a platform does instead of answering is a failure, costs no memory, and is tried again under the same id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_that_misbehaves_is_a_failed_attempt() {
    let (bus, receiver) = bus(&format!("{QUICK}\ntimeout: 1s\nconcurrency: 8\nordering: none")).await;
    let before = bus.resident();
    for (name, answer) in [
        ("closes", Answer::close()),
        ("hangs", Answer::hang()),
        ("drips", Answer::ok().body(vec![b'x'; 4096]).dripping(Duration::from_millis(20))),
    ] {
        receiver.answer_next([answer]);
        let first = receiver.count();
        publish(&bus, name).await;
        let requests =
            receiver.wait_for(first + 2, SOON).await.unwrap_or_else(|| panic!("{name}: not tried again"));
        let [failed, again] = [&requests[first], &requests[first + 1]];
        assert_eq!(failed.header("webhook-id"), again.header("webhook-id"), "{name}");
    }
    // An endless answer counts by its status, and only its beginning is read.
    receiver.answer_next([Answer::endless()]);
    publish(&bus, "endless").await;
    let account = bus.settled(SOON).await;
    assert_eq!(account["deliveries"]["delivered"], 4, "{account}");
    let grown = bus.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}
