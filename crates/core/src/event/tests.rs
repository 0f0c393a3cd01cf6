use proptest::prelude::*;
use prost::Message;
use trunkline_proto::cloudevents::v1::CloudEvent;
use trunkline_proto::cloudevents::v1::cloud_event::cloud_event_attribute_value::Attr;
use trunkline_proto::cloudevents::v1::cloud_event::{CloudEventAttributeValue, Data as WireData};

use super::*;
use crate::json::JsonError;
use crate::types::TypeCatalogue;

fn wire(attributes: &[(&str, Option<Attr>)], data: Option<WireData>) -> CloudEvent {
    CloudEvent {
        id: "1".to_owned(),
        source: "shop".to_owned(),
        spec_version: "1.0".to_owned(),
        r#type: "a.b".to_owned(),
        attributes: attributes
            .iter()
            .map(|(name, attr)| ((*name).to_owned(), CloudEventAttributeValue { attr: attr.clone() }))
            .collect(),
        data,
    }
}

fn text(text: &str) -> Option<Attr> {
    Some(Attr::CeString(text.to_owned()))
}

#[track_caller]
fn refused(event: &CloudEvent, expected: &str) {
    assert_eq!(Event::decode(event.encode_to_vec().into()).unwrap_err().to_string(), expected);
}

#[test]
fn decodes_what_another_sdk_encodes_without_copying_its_data() {
    let time = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 };
    let attributes = [
        ("time", Some(Attr::CeTimestamp(time))),
        ("partitionkey", text("k")),
        ("dataschema", Some(Attr::CeUri("https://s".to_owned()))),
        ("n", Some(Attr::CeInteger(-5))),
        ("flag", Some(Attr::CeBoolean(false))),
        ("blob", Some(Attr::CeBytes(vec![0, 255].into()))),
    ];
    let encoded =
        Bytes::from(wire(&attributes, Some(WireData::TextData("{\"a\":1}".to_owned()))).encode_to_vec());
    let event = Event::decode(encoded.clone()).unwrap();
    assert_eq!((event.id(), event.source(), event.kind()), ("1", "shop", "a.b"));
    assert_eq!(event.time().unwrap().timestamp_subsec_nanos(), 5);
    assert_eq!(event.key(), "k");
    assert_eq!(event.text_attribute("dataschema"), Some("https://s"));
    assert_eq!(event.attribute("n"), Some(&Attribute::Integer(-5)));
    assert_eq!(event.attribute("flag"), Some(&Attribute::Boolean(false)));
    assert_eq!(event.attribute("blob"), Some(&Attribute::Binary(vec![0, 255].into())));
    let Data::Text(data) = event.data() else { panic!("{:?}", event.data()) };
    assert!(event.is_json());
    assert!(encoded.as_ptr_range().contains(&data.bytes().as_ptr()), "the data was copied");
    assert_eq!(event.encoded(), &encoded);
}

#[test]
fn the_required_attributes_are_required() {
    refused(
        &CloudEvent { id: String::new(), ..wire(&[], None) },
        "required attribute `id` is missing or empty",
    );
    refused(
        &CloudEvent { source: String::new(), ..wire(&[], None) },
        "required attribute `source` is missing or empty",
    );
    refused(
        &CloudEvent { r#type: String::new(), ..wire(&[], None) },
        "required attribute `type` is missing or empty",
    );
    let old = CloudEvent { spec_version: "0.3".to_owned(), ..wire(&[], None) };
    refused(&old, "specversion `0.3` is not 1.0");
    let injected = CloudEvent { id: "a\r\nx: y".to_owned(), ..wire(&[], None) };
    refused(&injected, "attribute `id`: has a control character, which CloudEvents forbids");
}

#[test]
fn attributes_keep_to_the_specification() {
    refused(&wire(&[("Upper", text("x"))], None), "attribute `Upper`: a name is made of a-z and 0-9");
    refused(&wire(&[("", text("x"))], None), "attribute ``: a name is made of a-z and 0-9");
    refused(
        &wire(&[("id", text("x"))], None),
        "attribute `id`: is not the name of an optional attribute or extension",
    );
    refused(&wire(&[("x", None)], None), "attribute `x`: has no value of a known type");
    refused(&wire(&[("subject", text(""))], None), "attribute `subject`: must be text that is not empty");
    refused(&wire(&[("time", text("yesterday"))], None), "attribute `time`: is no RFC 3339 time");
    refused(&wire(&[("time", Some(Attr::CeInteger(1)))], None), "attribute `time`: must be a time");
    let far = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    refused(&wire(&[("x", Some(Attr::CeTimestamp(far)))], None), "attribute `x`: is no valid time");
    let event =
        Event::decode(wire(&[("time", text("2024-01-02T03:04:05+01:00"))], None).encode_to_vec().into());
    assert_eq!(event.unwrap().time().unwrap().to_rfc3339(), "2024-01-02T02:04:05+00:00");
}

#[test]
fn repeated_and_unknown_fields_follow_the_rules_of_protobuf() {
    let mut bytes = wire(&[("a", text("old"))], Some(WireData::BinaryData(vec![1].into()))).encode_to_vec();
    let second = CloudEvent {
        id: "2".to_owned(),
        ..wire(&[("a", text("new"))], Some(WireData::TextData("x".to_owned())))
    };
    bytes.extend(second.encode_to_vec());
    bytes.extend([0xf8, 0x07, 0x01]); // field 127, a number
    bytes.extend([0xfb, 0x07, 0xfb, 0x07, 0xfc, 0x07, 0xfc, 0x07]); // field 127, a group in a group
    let event = Event::decode(bytes.into()).unwrap();
    assert_eq!(event.id(), "2");
    assert_eq!(event.attributes().count(), 1);
    assert_eq!(event.text_attribute("a"), Some("new"));
    assert_eq!(event.data(), &Data::Text("x".into()));

    let part = |type_url: &str, value: &'static [u8]| {
        let any = prost_types::Any { type_url: type_url.to_owned(), value: value.to_vec() };
        wire(&[], Some(WireData::ProtoData(any))).encode_to_vec()
    };
    let merged = [part("t/a.B", b""), part("", b"v")].concat();
    let expected = Data::Proto { type_url: "t/a.B".into(), value: Bytes::from_static(b"v") };
    assert_eq!(Event::decode(merged.into()).unwrap().data(), &expected);
}

#[test]
fn bombs_are_refused_quickly() {
    let start = std::time::Instant::now();
    for bomb in [
        [0xfb, 0x07].repeat(100_000),
        [wire(&[], None).encode_to_vec(), vec![0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]]
            .concat(),
        (0..100_000).flat_map(|n: u32| wire(&[(&n.to_string(), text("x"))], None).encode_to_vec()).collect(),
    ] {
        assert!(Event::decode(bomb.into()).is_err());
    }
    assert!(start.elapsed().as_millis() < 1000, "took {:?}", start.elapsed());
}

#[test]
fn an_attribute_is_added_behind_what_came() {
    let event = Event::builder("1", "s", "t").subject("old").json("{}").build().unwrap();
    let more = event.with_text("traceparent", "ä").unwrap();
    assert_eq!((more.text_attribute("traceparent"), more.data()), (Some("ä"), event.data()));
    assert!(more.encoded().starts_with(event.encoded()));
    let replaced = more.with_text("subject", "new").unwrap();
    assert_eq!((replaced.subject(), replaced.attributes().count()), (Some("new"), 3));
    assert!(event.with_text("id", "2").is_err() && event.with_text("subject", "").is_err());
}

#[test]
fn building_checks_json_data() {
    let built = Event::builder("1", "s", "t").json("{\"a\":1,\"a\":2}").build();
    assert_eq!(built.unwrap_err(), BuildError::Json(JsonError::DuplicateKey("a".to_owned())));
    let other = Event::builder("1", "s", "t").data(Data::Text("a < b".into()));
    assert!(other.clone().build().is_err());
    assert!(other.attribute("datacontenttype", Attribute::Text("text/plain".into())).build().is_ok());
}

#[test]
fn an_event_in_structured_json() {
    let json = br#"{ "specversion": "1.0", "id": "1", "source": "/shop", "type": "a.b", "time": "2024-01-02T03:04:05Z",
        "n": 7, "flag": true, "subject": null, "dataschema": "https://s", "data": { "price": 10.00, "big": 12345678901234567890 } }"#;
    let event = Event::from_json(json).unwrap();
    assert_eq!(event.data(), &Data::Text(r#"{ "price": 10.00, "big": 12345678901234567890 }"#.into()));
    assert_eq!(event.subject(), None);
    let catalogue = TypeCatalogue::canonical();
    let written = String::from_utf8(event.to_json(&catalogue).unwrap()).unwrap();
    assert_eq!(
        written,
        r#"{"specversion":"1.0","id":"1","source":"/shop","type":"a.b","dataschema":"https://s","flag":true,"n":7,"time":"2024-01-02T03:04:05Z","data":{ "price": 10.00, "big": 12345678901234567890 }}"#
    );
    assert_eq!(Event::from_json(written.as_bytes()).unwrap(), event);
}

#[track_caller]
fn refused_json(members: &str, expected: &str) {
    let json = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{members}}}"#);
    assert_eq!(Event::from_json(json.as_bytes()).unwrap_err().to_string(), expected);
}

#[test]
fn structured_json_keeps_to_the_specification() {
    refused_json(r#","data":1,"data_base64":"AA==""#, "`data_base64` cannot stand beside `data`");
    refused_json(r#","data_base64":"%""#, "`data_base64` is no base64");
    refused_json(r#","data_base64":1"#, "`data_base64` must be text");
    refused_json(r#","data":{},"datacontenttype":"text/plain""#, "`data` must be text");
    refused_json(r#","x":{}"#, "`x` must be text, a whole number or a truth value");
    refused_json(r#","x":1.5"#, "`x` is no whole number of 32 bits");
    refused_json(r#","x":2147483648"#, "`x` is no whole number of 32 bits");
    refused_json(r#","my_name":"x""#, "attribute `my_name`: a name is made of a-z and 0-9");
    refused_json(r#","id":"2""#, "key `id` appears twice in one object");
    refused_json(r#","time":1"#, "attribute `time`: must be a time");
    refused_json(&format!(r#","data":{}"#, "[".repeat(100_000)), "nested deeper than 64");
    assert_eq!(Event::from_json(b"[]").unwrap_err().to_string(), "not an object");
    assert_eq!(
        Event::from_json(b"{}").unwrap_err().to_string(),
        "required attribute `specversion` is missing or empty"
    );
    let deep = format!(
        r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","data":{}{}}}"#,
        "[".repeat(64),
        "]".repeat(64)
    );
    let event = Event::from_json(deep.as_bytes()).unwrap();
    assert!(event.to_json(&TypeCatalogue::canonical()).is_ok());
}

#[test]
fn a_batch_names_its_bad_event() {
    let one = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AP8="}"#;
    let events = from_json_batch(format!("[{one},{one}]").as_bytes()).unwrap();
    assert_eq!(events[1].data(), &Data::Binary(vec![0, 255].into()));
    assert_eq!(from_json_batch(b"[]"), Ok(Vec::new()));
    let error = from_json_batch(format!("[{one},{{}}]").as_bytes()).unwrap_err();
    assert!(matches!(error, FromJsonError::InBatch { index: 1, .. }), "{error:?}");
    assert_eq!(from_json_batch(one.as_bytes()).unwrap_err().to_string(), "not a list of events");
}

fn any_attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        any::<bool>().prop_map(Attribute::Boolean),
        any::<i32>().prop_map(Attribute::Integer),
        "[ -~ä]{0,9}".prop_map(|text| Attribute::Text(text.into())),
        "[ -~]{0,9}".prop_map(|text| Attribute::Uri(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| Attribute::Binary(bytes.into())),
        (-62_135_596_800i64..253_402_300_800, 0u32..1_000_000_000).prop_map(|(seconds, nanos)| {
            Attribute::Timestamp(DateTime::from_timestamp(seconds, nanos).unwrap())
        }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let data = prop_oneof![
        Just(Data::None),
        any::<Vec<u8>>().prop_map(|bytes| Data::Binary(bytes.into())),
        "[0-9]{1,5}".prop_map(|json| Data::Text(format!("[{json}.0]").trim_start_matches("[0").into())),
        ("[a-z/.]{1,9}", any::<Vec<u8>>())
            .prop_map(|(type_url, value)| Data::Proto { type_url: type_url.into(), value: value.into() }),
    ];
    let attributes = proptest::collection::vec(("x[a-z0-9]{0,4}", any_attribute()), 0..5);
    (("[ -~ö]{1,9}", "[!-~]{1,9}", "[a-z.]{1,9}"), attributes, data).prop_filter_map(
        "the data must be JSON",
        |((id, source, kind), attributes, data)| {
            let builder = Event::builder(id, source, kind).data(data);
            attributes
                .into_iter()
                .fold(builder, |builder, (name, value)| builder.attribute(name, value))
                .build()
                .ok()
        },
    )
}

proptest! {
    #[test]
    fn decoding_an_encoded_event_is_identity(event in any_event()) {
        let again = Event::decode(event.encoded().clone()).unwrap();
        prop_assert_eq!(&again, &event);
        prop_assert_eq!(again.attributes().collect::<Vec<_>>(), event.attributes().collect::<Vec<_>>());
        // The generated type, which knows nothing of our decoder, reads the same and writes the same bytes.
        let generated = CloudEvent::decode(event.encoded().clone()).unwrap();
        prop_assert_eq!(&generated.id, event.id());
        prop_assert_eq!(generated.encode_to_vec(), event.encoded().to_vec());
    }

    #[test]
    fn structured_json_loses_nothing_but_types(event in any_event()) {
        if let Ok(json) = event.to_json(&TypeCatalogue::canonical()) {
            let again = Event::from_json(&json).unwrap();
            prop_assert_eq!(again.to_json(&TypeCatalogue::canonical()).unwrap(), json);
        }
    }

    #[test]
    fn decoding_never_panics(bytes in any::<Vec<u8>>()) {
        let _refused_or_not = Event::decode(bytes.clone().into()).is_ok();
        let _refused_or_not = Event::from_json(&bytes).is_ok();
    }

    #[test]
    fn decoding_mutated_events_never_panics_and_agrees_with_the_generated_type(
        event in any_event(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = event.encoded().to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1).max(bytes.len() / 2));
        if let Ok(event) = Event::decode(bytes.clone().into()) {
            let generated = CloudEvent::decode(&*bytes).unwrap();
            prop_assert_eq!(&generated.id, event.id());
            prop_assert_eq!(generated.attributes.len(), event.attributes().count());
        }
    }
}
