//! The destination against a real listener.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trunkline_sdk::core::event::Attribute;
use trunkline_sdk::proto::commerce::v1::Customer;
use trunkline_sdk::{Body, Data, Event, FailureClass};

use super::*;
use crate::testing::{context, delivery, event, secret};

/// What a receiver got.
struct Got {
    head: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A receiver on loopback that answers every request with the same bytes.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    async fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let (requests, answer) = (got.clone(), answer.to_owned());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = receive(&mut stream).await;
                requests.lock().unwrap().push(request);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, got }
    }

    fn take(&self) -> Vec<Got> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

async fn receive(stream: &mut TcpStream) -> Got {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the sender went away");
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let (head, lines) = text.split_once("\r\n").unwrap();
        let mut headers = HeaderMap::new();
        for line in lines.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(name.parse::<::http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        let length: usize =
            headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        while bytes.len() < end + 4 + length {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        return Got { head: head.to_owned(), headers, body: bytes[end + 4..].to_vec() };
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\ndone!";

async fn connect(settings: serde_json::Value) -> Result<Http, SetupError> {
    Http::connect(serde_json::from_value(settings).unwrap(), &context()).await
}

async fn http(settings: serde_json::Value) -> Http {
    connect(settings).await.unwrap()
}

fn order() -> Event {
    event()
        .time("2026-01-02T03:04:05Z".parse().unwrap())
        .key("order:7")
        .attribute(
            "traceparent",
            Attribute::Text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        )
        .attribute("label", Attribute::Text("50% \"Größe\"".into()))
        .json(r#"{"id":7,"name":"a/b c","items":[{"sku":"x-1"}],"up":"..","none":null,"list":[]}"#)
        .build()
        .unwrap()
}

#[tokio::test]
async fn an_event_is_sent_in_cloudevents_binary_form() {
    let receiver = Receiver::answering(OK).await;
    let http = http(json!({ "url": receiver.url, "allow_private": true })).await;
    let delivered = http.deliver(&delivery(order(), None)).await.unwrap();
    assert_eq!((delivered.status, delivered.response.as_str()), (Some(200), "done!"));
    assert_eq!(delivered.request, format!("POST {}/", receiver.url));
    let got = receiver.take().pop().unwrap();
    let header = |name: &str| {
        got.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!(got.head, "POST / HTTP/1.1");
    assert_eq!(
        header("ce-specversion") + &header("ce-id") + &header("ce-source") + &header("ce-type"),
        "1.0e1shoptest.made"
    );
    assert_eq!(header("ce-time"), "2026-01-02T03:04:05Z");
    assert_eq!(header("ce-partitionkey"), "order:7");
    assert_eq!(header("ce-label"), "50%25%20%22Gr%C3%B6%C3%9Fe%22");
    assert_eq!(header("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(header("content-type"), "application/json");
    assert!(header("user-agent").starts_with("trunkline/"));
    let Data::Text(text) = order().data().clone() else { panic!() };
    assert_eq!(got.body, text.as_str().as_bytes());
}

#[tokio::test]
async fn canonical_data_is_sent_as_json_and_structured_form_holds_everything() {
    let receiver = Receiver::answering(OK).await;
    let customer =
        Customer { id: "cus_1".to_owned(), order_count: Some(9_007_199_254_740_993), ..Customer::default() };
    let event = Event::builder("e1", "shop", "commerce.customer.created").proto(&customer).build().unwrap();
    let delivery = delivery(event, None);
    http(json!({ "url": receiver.url, "allow_private": true })).await.deliver(&delivery).await.unwrap();
    let structured =
        json!({ "url": receiver.url, "allow_private": true, "format": "cloudevents-structured" });
    http(structured).await.deliver(&delivery).await.unwrap();
    let [binary, structured] = receiver.take().try_into().ok().unwrap();
    let data: serde_json::Value = serde_json::from_slice(&binary.body).unwrap();
    assert_eq!((&data["id"], &data["order_count"]), (&json!("cus_1"), &json!(9_007_199_254_740_993_i64)));
    assert_eq!(binary.headers["content-type"], "application/json");
    let whole: serde_json::Value = serde_json::from_slice(&structured.body).unwrap();
    assert_eq!((&whole["id"], &whole["data"]), (&json!("e1"), &data));
    assert!(structured.headers["content-type"].to_str().unwrap().starts_with("application/cloudevents+json"));
    assert!(!structured.headers.contains_key("ce-id"));
}

#[tokio::test]
async fn templates_fill_url_and_headers_and_the_transforms_body_is_sent_as_it_is() {
    let receiver = Receiver::answering(OK).await;
    let http = http(json!({
        "url": format!("{}/c/{{{{ .data.name }}}}/{{{{.data.items[0].sku}}}}?who={{{{ .body.e }}}}&t={{{{ .time }}}}", receiver.url),
        "method": "PUT",
        "headers": { "x-order": "no {{ .data.id }} of {{ .ext.partitionkey }}" },
        "allow_private": true,
    }))
    .await;
    let body = Body {
        bytes: Bytes::from_static(b"{ \"e\": \"a+b@c.d\" }"),
        content_type: "application/json".to_owned(),
    };
    let mut delivery = delivery(order(), Some(body));
    http.deliver(&delivery).await.unwrap();
    delivery.attempt = 3;
    delivery.generation = 2;
    delivery.replay_id = "r1".to_owned();
    http.deliver(&delivery).await.unwrap();
    let mut elsewhere = delivery.clone();
    elsewhere.subscription = "another".to_owned();
    http.deliver(&elsewhere).await.unwrap();
    let got = receiver.take();
    assert_eq!(got[0].head, "PUT /c/a%2Fb%20c/x-1?who=a%2Bb%40c.d&t=2026-01-02T03%3A04%3A05Z HTTP/1.1");
    assert_eq!(got[0].headers["x-order"], "no 7 of order:7");
    assert_eq!(got[0].body, b"{ \"e\": \"a+b@c.d\" }");
    assert!(!got[0].headers.contains_key("ce-id"));
    let id = |index: usize| got[index].headers["webhook-id"].to_str().unwrap();
    assert_eq!((id(0), id(0).len()), (id(1), 36));
    assert_ne!(id(0), id(2));
}

#[tokio::test]
async fn the_official_crate_accepts_the_signature() {
    let receiver = Receiver::answering(OK).await;
    let (old, new) = ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_AAAAsBQIhrscChlQIMV+b5sSYspob7oD");
    let ((_old, old_reference), (_new, new_reference)) = (secret(old), secret(new));
    let sign = json!({ "standard_webhooks": [old_reference, new_reference] });
    let http = http(json!({ "url": receiver.url, "allow_private": true, "sign": sign })).await;
    http.deliver(&delivery(order(), None)).await.unwrap();
    let got = receiver.take().pop().unwrap();
    for key in [old, new] {
        standardwebhooks::Webhook::new(key).unwrap().verify(&got.body, &got.headers).unwrap();
    }
    let other = standardwebhooks::Webhook::new("whsec_BBBBsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
    assert!(other.verify(&got.body, &got.headers).is_err());
}

#[tokio::test]
async fn secrets_reach_the_receiver_and_nothing_else() {
    let (_file, reference) = secret("canary-17");
    let cases = [
        (
            json!({ "bearer": reference }),
            "authorization",
            "Bearer canary-17".to_owned(),
            format!("Bearer {reference}"),
        ),
        (
            json!({ "basic": { "user": "me", "password": reference } }),
            "authorization",
            "Basic bWU6Y2FuYXJ5LTE3".to_owned(),
            format!("Basic me:{reference}"),
        ),
        (
            json!({ "api_key": { "header": "X-Key", "value": reference } }),
            "x-key",
            "canary-17".to_owned(),
            reference.clone(),
        ),
        (json!({ "headers": { "X-Key": reference } }), "x-key", "canary-17".to_owned(), reference.clone()),
    ];
    for (mut settings, header, sent, shown) in cases {
        let echo = "HTTP/1.1 403 No\r\nconnection: close\r\n\r\nyou sent canary-17 and bWU6Y2FuYXJ5LTE3";
        let receiver = Receiver::answering(echo).await;
        settings["url"] = json!(receiver.url);
        settings["allow_private"] = json!(true);
        let http = http(settings).await;
        let delivery = delivery(order(), None);
        let preview = http.preview(&delivery).unwrap();
        assert!(preview.headers.contains(&(header.to_owned(), shown)), "{:?}", preview.headers);
        assert_eq!(receiver.take().len(), 0);
        let error = http.deliver(&delivery).await.unwrap_err();
        assert_eq!(receiver.take().pop().unwrap().headers[header], sent.as_str());
        assert_eq!((&error.class, error.status), (&FailureClass::Halted, Some(403)));
        let told = format!("{error:?} {http:?} {preview:?}");
        assert!(error.response.starts_with("you sent ***") && !told.contains("canary-17"), "{told}");
    }
}

#[tokio::test]
async fn a_secret_that_is_gone_holds_the_destination() {
    let (file, reference) = secret("x");
    drop(file);
    let http = http(json!({ "url": "https://example.com", "bearer": reference })).await;
    let error = http.deliver(&delivery(order(), None)).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Halted, "{error}");
}

#[tokio::test]
async fn answers_are_classified() {
    use FailureClass::{Halted, Rejected, Throttled, Transient};
    for (head, class, gone) in [
        ("302 Found\r\nlocation: http://127.0.0.1:1/", Rejected, false),
        ("404 Not Found", Rejected, false),
        ("401 Unauthorized", Halted, false),
        ("410 Gone", Halted, true),
        ("429 Slow\r\nretry-after: 7", Throttled { retry_after: Duration::from_secs(7) }, false),
        ("500 Oops", Transient, false),
    ] {
        let answer = format!(
            "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 3000\r\n\r\n{}",
            "ä".repeat(1500)
        );
        let receiver = Receiver::answering(&answer).await;
        let http = http(json!({ "url": receiver.url, "allow_private": true })).await;
        let error = http.deliver(&delivery(order(), None)).await.unwrap_err();
        assert_eq!((&error.class, error.gone, error.response.len()), (&class, gone, 2048), "{head}");
        assert_eq!(error.request, format!("POST {}/", receiver.url));
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let http = http(json!({ "url": format!("http://{closed}/"), "allow_private": true })).await;
    assert_eq!(http.deliver(&delivery(order(), None)).await.unwrap_err().class, Transient);
}

#[track_caller]
fn check_rejected(result: Result<Preview, DeliveryError>, says: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.class, FailureClass::Rejected);
    assert!(error.to_string().contains(says), "{error} does not say {says}");
}

#[tokio::test]
async fn values_that_would_lead_elsewhere_are_rejected() {
    let url = |url: &str| json!({ "url": url });
    let header = |text: &str| json!({ "url": "https://example.com", "headers": { "x-a": text } });
    let event = event()
        .json(r#"{"up":"..","dot":".","empty":"","none":null,"list":[1],"crlf":"a\r\nx-admin: 1","wide":"Größe","host":"evil.com/","inside":"127.0.0.1"}"#)
        .build()
        .unwrap();
    let event = delivery(event, None);
    for (settings, says) in [
        (url("https://example.com/a/{{ .data.up }}/b"), "leave its place"),
        (url("https://example.com/{{ .data.dot }}{{ .data.dot }}"), "leave its place"),
        (url("https://example.com/{{ .data.empty }}"), "`.data.empty` is empty"),
        (url("https://example.com/{{ .data.none }}"), "`.data.none` is missing"),
        (url("https://example.com/{{ .data.nowhere.else }}"), "`.data.nowhere.else` is missing"),
        (url("https://example.com/{{ .data.list }}"), "`.data.list` is array"),
        (url("https://example.com/{{ .data.list[1] }}"), "`.data.list[1]` is missing"),
        (url("https://example.com/{{ .body.id }}"), "`.body.id` is missing"),
        (url("https://example.com/{{ .subject }}"), "`.subject` is missing"),
        (url("https://{{ .data.host }}.example.com/"), "no host's name"),
        (header("{{ .data.crlf }}"), "'\\r'"),
        (header("{{ .data.wide }}"), "'ö'"),
    ] {
        check_rejected(http(settings).await.preview(&event), says);
    }
    let inside = http(url("http://{{ .data.inside }}/")).await.deliver(&event).await.unwrap_err();
    assert_eq!(inside.class, FailureClass::Rejected, "{inside}");
    let huge =
        crate::testing::event().attribute("note", Attribute::Text("x".repeat(9000).into())).build().unwrap();
    check_rejected(http(url("https://example.com/")).await.preview(&delivery(huge, None)), "ce-note");
}

#[tokio::test]
async fn what_can_be_wrong_with_settings_is_wrong_at_connect() {
    let with = |mut settings: serde_json::Value| {
        if settings.get("url").is_none() {
            settings["url"] = json!("https://example.com/hook");
        }
        settings
    };
    for (settings, field, says) in [
        (json!({ "url": "example.com" }), "url", "must begin with"),
        (json!({ "url": "{{ .data.url }}" }), "url", "must begin with"),
        (json!({ "url": "ftp://example.com" }), "url", "must begin with"),
        (json!({ "url": "https://user:pw@example.com" }), "url", "user name"),
        (json!({ "url": "https://example.com/${env:TOKEN}" }), "url", "logged"),
        (json!({ "url": "https://example.com/{{ .data.a" }), "url", "without"),
        (json!({ "url": "https://example.com/{{ data.a }}" }), "url", "begin with a dot"),
        (json!({ "url": "https://example.com/{{ .foo }}" }), "url", "begin with one of"),
        (json!({ "url": "https://example.com/{{ .data }}" }), "url", "whole object"),
        (json!({ "url": "https://example.com/{{ .id.x }}" }), "url", "no fields"),
        (json!({ "url": "https://example.com/{{ .data.a[x] }}" }), "url", "index"),
        (json!({ "url": "https:///x" }), "url", "no host"),
        (json!({ "url": "https://\\{{ .data.a }}" }), "url", "no host"),
        (json!({ "url": "http://127.0.0.1:9/" }), "url", "not a public host"),
        (json!({ "url": "http://2130706433/" }), "url", "not a public host"),
        (json!({ "url": "http://localhost:8080/" }), "url", "not a public host"),
        (json!({ "method": "post" }), "method", "not a method"),
        (json!({ "headers": { "x y": "1" } }), "headers.x y", "no name"),
        (json!({ "headers": { "Host": "a" } }), "headers.Host", "itself"),
        (json!({ "headers": { "ce-id": "a" } }), "headers.ce-id", "itself"),
        (json!({ "headers": { "webhook-id": "a" } }), "headers.webhook-id", "itself"),
        (json!({ "headers": { "Authorization": "Bearer abc" } }), "headers.Authorization", "reference"),
        (json!({ "headers": { "x-a": "k ${env:K}" } }), "headers.x-a", "reference"),
        (json!({ "headers": { "x-a": "a\nb" } }), "headers.x-a", "'\\n'"),
        (json!({ "bearer": "${env:A}", "basic": { "user": "u", "password": "${env:B}" } }), "", "exclude"),
        (json!({ "basic": { "user": "a:b", "password": "${env:B}" } }), "basic.user", "colon"),
        (json!({ "user_agent": "Ünicorn" }), "user_agent", "'Ü'"),
    ] {
        let error = connect(with(settings)).await.err().unwrap();
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().contains(says), "{error} does not say {says}");
    }
    let literal = serde_json::from_value::<HttpSettings>(with(json!({ "bearer": "canary-18" }))).unwrap_err();
    assert!(!literal.to_string().contains("canary-18"), "{literal}");
}
