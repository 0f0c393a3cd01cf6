use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::event::{Attribute, Data, Event};

type Headers = Vec<(String, Bytes)>;

const BINARY: [(&str, &str); 5] = [
    ("ce_specversion", "1.0"),
    ("ce_id", "1"),
    ("ce_source", "/shop"),
    ("ce_type", "order.created"),
    ("content-type", "application/json"),
];
const JSON: &str =
    r#"{"specversion":"1.0","id":"1","source":"/shop","type":"order.created","data":{"a":1.00}}"#;

fn headers<'a>(list: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Headers {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes()));
    list.into_iter().map(owned).collect()
}

fn event() -> Event {
    Event::builder("1", "/shop", "order.created").json(r#"{"a":1}"#).build().unwrap()
}

fn protobuf() -> Bytes {
    event().encoded().clone()
}

#[track_caller]
fn taken(list: &[(&str, &str)], value: impl Into<Bytes>, expected_data: &Data) -> Event {
    let event = from_record(&headers(list), b"", value.into()).unwrap();
    assert_eq!((event.id(), event.source(), event.kind()), ("1", "/shop", "order.created"));
    assert_eq!(event.data(), expected_data);
    event
}

#[track_caller]
fn refused(list: &[(&str, &str)], value: impl Into<Bytes>, expected: &str) {
    let error = from_record(&headers(list), b"key", value.into()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

/// The headers of binary mode, one of them changed; an empty value leaves it out.
#[track_caller]
fn refused_binary(changed: (&str, &str), value: &'static str, expected: &str) {
    let kept = BINARY.iter().filter(|(name, _)| *name != changed.0);
    let list: Vec<_> = kept.copied().chain((!changed.1.is_empty()).then_some(changed)).collect();
    refused(&list, value, expected);
}

#[test]
fn a_record_in_each_mode() {
    let json = Data::Text(r#"{"a":1}"#.into());
    taken(&[("content-type", "application/cloudevents+protobuf")], protobuf(), &json);
    taken(&[], protobuf(), &json);
    let structured = Data::Text(r#"{"a":1.00}"#.into());
    for content_type in [
        "application/cloudevents+json",
        "application/cloudevents",
        "Application/CloudEvents+JSON; charset=UTF-8",
    ] {
        taken(&[("content-type", content_type)], JSON, &structured);
    }
    taken(&[("Content-Type", "application/cloudevents+json")], JSON, &structured);
    // A structured record may repeat its attributes in headers; the structured form counts.
    taken(&[("content-type", "application/cloudevents+json"), ("ce_id", "other")], JSON, &structured);
    taken(&BINARY, r#"{"a":1}"#, &json);
    taken(&BINARY[..4], "\u{1}\u{2}", &Data::Binary(Bytes::from_static(b"\x01\x02")));
    taken(&BINARY, "", &Data::None);
    let text = [&BINARY[..4], &[("content-type", "TEXT/plain")]].concat();
    taken(&text, "ä", &Data::Text("ä".into()));
}

#[test]
fn attributes_of_binary_mode_have_their_types() {
    let more = [
        ("ce_time", "2024-01-02T03:04:05+01:00"),
        ("ce_subject", "ä%20b"),
        ("ce_dataschema", "https://s"),
        ("ce_traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("other", "\u{0}"),
        ("content-encoding", "identity"),
    ];
    let event = taken(&[&BINARY[..], &more].concat(), "", &Data::None);
    assert_eq!(event.time().unwrap().to_rfc3339(), "2024-01-02T02:04:05+00:00");
    // The Kafka binding takes values as they are, unlike the HTTP binding.
    assert_eq!(event.subject(), Some("ä%20b"));
    assert_eq!(event.content_type(), Some("application/json"));
    assert_eq!(event.attribute("dataschema"), Some(&Attribute::Uri("https://s".into())));
    assert_eq!(event.attributes().count(), 5);
}

#[test]
fn a_key_that_is_text_becomes_the_partition_key() {
    let keyed = |key: &[u8], value: Bytes| from_record(&[], key, value).unwrap();
    let event = keyed(b"customer-1", protobuf());
    assert_eq!(event.key(), "customer-1");
    assert_eq!(event.text_attribute("partitionkey"), Some("customer-1"));
    assert_eq!(event.data(), self::event().data());
    // Numbers of the Java client, no key at all, and the key that the bus itself would choose.
    for other in [&[0, 0, 0, 0, 0, 0, 0, 7][..], b"", b"\xff", b"/shop\x001"] {
        assert_eq!(keyed(other, protobuf()), self::event(), "{other:?}");
    }
    let own = Event::builder("1", "s", "t").key("mine").build().unwrap();
    assert_eq!(keyed(b"theirs", own.encoded().clone()), own);
}

#[test]
fn what_is_no_event_is_refused_with_its_reason() {
    refused(
        &[("content-type", "application/json")],
        "{}",
        "no CloudEvents here: there are no ce_ headers (binary mode) and the content type is no application/cloudevents form",
    );
    refused(&[], "{}", "not a protobuf CloudEvent: invalid field");
    refused(&[], "", "required attribute `id` is missing or empty");
    let batch = "a record holds one event; batches are not taken";
    refused(&[("content-type", "application/cloudevents-batch+json")], format!("[{JSON}]"), batch);
    refused(&[("content-type", "application/cloudevents-batch+protobuf")], "", batch);
    refused(
        &[("content-type", "application/cloudevents+avro")],
        "",
        "content type `application/cloudevents+avro` is not taken; use application/cloudevents+json, application/cloudevents+protobuf or binary mode",
    );
    let gzip = [("content-type", "application/cloudevents+json"), ("content-encoding", "gzip")];
    refused(&gzip, "\u{1f}", "content encoding `gzip` is not taken; send the content as it is");
    let twice = [("content-type", "application/json"), ("content-type", "text/plain")];
    refused(&twice, "", "header `content-type` occurs more than once");
    let structured = [("content-type", "application/cloudevents+json")];
    refused(&structured, JSON.replace(r#""id":"1","#, ""), "required attribute `id` is missing or empty");
    refused(&structured, JSON.replace("1.00", "1,\"a\":2"), "key `a` appears twice in one object");
    let deep = JSON.replace("1.00", &"[".repeat(100_000));
    refused(&structured, deep, "nested deeper than 64");
}

#[test]
fn a_header_is_named_by_what_is_wrong_with_it() {
    for required in ["ce_id", "ce_source", "ce_type", "ce_specversion"] {
        refused_binary((required, ""), "", &format!("header `{required}` is missing"));
    }
    refused_binary(("ce_specversion", "0.3"), "", "header `ce_specversion` is not 1.0");
    refused_binary(("ce_time", "yesterday"), "", "header `ce_time` is no RFC 3339 time");
    refused_binary(("ce_Upper", "x"), "", "attribute `Upper`: a name is made of a-z and 0-9");
    refused_binary(
        ("ce_subject", "a\nb"),
        "",
        "attribute `subject`: has a control character, which CloudEvents forbids",
    );
    refused_binary(("other", "x"), "{", "data: line 1 column 1: EOF while parsing an object");
    refused_binary(("other", "x"), r#"{"a":1,"a":2}"#, "data: key `a` appears twice in one object");
    let twice = [&BINARY[..], &[("ce_id", "2")]].concat();
    refused(&twice, "", "header `ce_id` occurs more than once");
    let mut bytes = headers(&BINARY);
    bytes[1].1 = Bytes::from_static(b"\xff");
    assert_eq!(
        from_record(&bytes, b"", Bytes::new()).unwrap_err().to_string(),
        "header `ce_id` is not UTF-8"
    );
    let latin1 = from_record(&headers(&BINARY), b"", Bytes::from_static(b"\"\xe4\"")).unwrap_err();
    assert_eq!(latin1.to_string(), "the data is not UTF-8");
}

#[test]
fn a_batch_in_protobuf_names_its_bad_event() {
    let one = [&[0x0a, u8::try_from(protobuf().len()).unwrap()], &protobuf()[..]].concat();
    let two = from_protobuf_batch(one.repeat(2).into()).unwrap();
    assert_eq!(two, [event(), event()]);
    assert_eq!(from_protobuf_batch(Bytes::new()), Ok(Vec::new()));
    for (rest, expected) in [
        (&[0x0a, 0x00][..], "event 1 of the batch: required attribute `id` is missing or empty"),
        (&[0x0a], "event 1 of the batch: not a protobuf CloudEvent: its length is cut off"),
        (&[0x0a, 0x05, 0x00], "event 1 of the batch: not a protobuf CloudEvent: the batch ends inside it"),
        (&[0x12, 0x00], "event 1 of the batch: not a protobuf CloudEvent: not a CloudEventBatch"),
    ] {
        let error = from_protobuf_batch([&one[..], rest].concat().into()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

fn any_value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        any::<Vec<u8>>().prop_map(Bytes::from),
        Just(protobuf()),
        Just(Bytes::from_static(JSON.as_bytes())),
        (0..JSON.len()).prop_map(|cut| Bytes::copy_from_slice(&JSON.as_bytes()[..cut])),
    ]
}

proptest! {
    #[test]
    fn reading_never_panics_and_what_is_read_is_an_event(
        list in proptest::collection::vec(
            (
                prop_oneof![
                    Just("content-type".to_owned()), Just("ce_id".to_owned()), Just("ce_source".to_owned()),
                    Just("ce_type".to_owned()), Just("ce_specversion".to_owned()), "ce_[a-zA-Z_]{0,4}"
                ],
                prop_oneof![
                    Just(Bytes::from_static(b"1.0")), Just(Bytes::from_static(b"application/cloudevents+json")),
                    Just(Bytes::from_static(b"application/json")), any::<Vec<u8>>().prop_map(Bytes::from)
                ],
            ),
            0..7,
        ),
        key in any::<Vec<u8>>(),
        value in any_value(),
    ) {
        if let Ok(event) = from_record(&list, &key, value) {
            prop_assert_eq!(Event::decode(event.encoded().clone()).unwrap(), event);
        }
    }

    #[test]
    fn binary_mode_loses_nothing(
        id in "[ -~ö]{1,9}", subject in "[ -~ö]{1,9}", key in "[a-zö]{1,9}", data in any::<Vec<u8>>(),
    ) {
        let mut list = headers(&BINARY[2..4]);
        list.extend(headers(&[("ce_specversion", "1.0"), ("ce_id", id.as_str()), ("ce_subject", subject.as_str())]));
        let event = from_record(&list, key.as_bytes(), data.clone().into()).unwrap();
        let expected = Event::builder(id, "/shop", "order.created").subject(subject).key(key);
        let data = if data.is_empty() { Data::None } else { Data::Binary(data.into()) };
        let expected = expected.data(data).build().unwrap();
        prop_assert_eq!(event.attributes().count(), 2);
        prop_assert_eq!((event.id(), event.subject(), event.key()), (expected.id(), expected.subject(), expected.key()));
        prop_assert_eq!(event.data(), expected.data());
    }
}
