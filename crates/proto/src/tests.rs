use std::collections::BTreeSet;

use prost::bytes::Bytes;
use prost::{Message, Name};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::cloudevents::v1::{CloudEvent, cloud_event};
use crate::{DESCRIPTORS, bus, commerce, payment, types};

/// Every message with its full name, nested ones and the entries of maps included.
fn messages() -> Vec<(String, DescriptorProto)> {
    fn collect(prefix: &str, message: DescriptorProto, found: &mut Vec<(String, DescriptorProto)>) {
        let name = format!("{prefix}.{}", message.name());
        for nested in &message.nested_type {
            collect(&name, nested.clone(), found);
        }
        found.push((name, message));
    }
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the descriptor set decodes");
    let mut found = Vec::new();
    for file in set.file {
        let package = file.package().to_owned();
        for message in file.message_type {
            collect(&package, message, &mut found);
        }
    }
    found
}

#[test]
fn the_descriptor_set_holds_every_public_message() {
    let described: BTreeSet<String> = messages().into_iter().map(|(name, _)| name).collect();
    let expected = [
        CloudEvent::full_name(),
        bus::v1::Delivery::full_name(),
        bus::v1::DeadLetter::full_name(),
        bus::v1::JourneyRecord::full_name(),
        types::v1::Money::full_name(),
        commerce::v1::Customer::full_name(),
        commerce::v1::Product::full_name(),
        commerce::v1::Order::full_name(),
        commerce::v1::Refund::full_name(),
        commerce::v1::Fulfilment::full_name(),
        payment::v1::Payment::full_name(),
        payment::v1::Charge::full_name(),
        payment::v1::Payout::full_name(),
        payment::v1::Dispute::full_name(),
    ];
    for name in expected {
        assert!(described.contains(&name), "{name} is not in the descriptor set");
    }
}

#[test]
fn no_field_of_ours_is_an_unsigned_64_bit_number_or_a_fraction() {
    let forbidden = [Type::Uint64, Type::Fixed64, Type::Float, Type::Double];
    for (name, message) in messages() {
        if name.starts_with("trunkline.") {
            for field in &message.field {
                assert!(
                    !forbidden.contains(&field.r#type()),
                    "{name}.{}: many languages and JSON cannot hold every value of {:?}",
                    field.name(),
                    field.r#type()
                );
            }
        }
    }
}

/// An adapter or a page can show any canonical object's ids, times and status without knowing which it is.
#[test]
fn canonical_objects_begin_with_the_same_fields() {
    let common = [
        "id",
        "platform_ids",
        "platform_fields",
        "metadata",
        "test",
        "created_at",
        "updated_at",
        "platform_status",
    ];
    let mut objects = 0;
    for (name, message) in messages() {
        if message.field.iter().any(|field| field.name() == "platform_fields") {
            objects += 1;
            for (number, expected) in (1..).zip(common) {
                let found = message.field.iter().find(|field| field.number() == number);
                assert_eq!(found.map(|field| field.name()), Some(expected), "field {number} of {name}");
            }
        }
    }
    assert_eq!(objects, 9, "customer, product, order, refund, fulfilment, payment, charge, payout, dispute");
}

#[test]
fn an_any_carries_the_usual_type_url() {
    assert_eq!(commerce::v1::Order::type_url(), "type.googleapis.com/trunkline.commerce.v1.Order");
}

/// The bytes were put together by hand from the field numbers of the CloudEvents protobuf format.
#[test]
fn the_envelope_has_the_bytes_of_the_cloudevents_format() {
    let event = CloudEvent {
        id: "1".to_owned(),
        source: "/s".to_owned(),
        spec_version: "1.0".to_owned(),
        r#type: "t".to_owned(),
        attributes: Default::default(),
        data: Some(cloud_event::Data::TextData("{}".to_owned())),
    };
    let bytes = b"\x0a\x011\x12\x02/s\x1a\x031.0\x22\x01t\x3a\x02{}";
    assert_eq!(event.encode_to_vec(), bytes);
    assert_eq!(CloudEvent::decode(&bytes[..]).expect("the bytes decode"), event);
}

#[test]
fn decoding_a_delivery_copies_no_payload() {
    let event = Bytes::from(vec![7_u8; 100_000]);
    let record =
        Bytes::from(bus::v1::Delivery { event: event.clone(), ..Default::default() }.encode_to_vec());
    let decoded = bus::v1::Delivery::decode(record.clone()).expect("what was encoded decodes");
    assert_eq!(decoded.event, event);
    let within = record.as_ptr_range();
    assert!(within.contains(&decoded.event.as_ptr()), "the event is a slice of the record");
}
