use bytes::Bytes;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MessageOptions, OneofDescriptorProto,
};

use super::*;
use crate::event::EventBuilder;

/// A message with a field of each kind, made by hand because it is no canonical one.
fn catalogue() -> TypeCatalogue {
    let field = |number: i32, name: &str, kind: Type, label: Label, type_name: &str| FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(label as i32),
        r#type: Some(kind as i32),
        type_name: (!type_name.is_empty()).then(|| type_name.to_owned()),
        ..FieldDescriptorProto::default()
    };
    let one = |number, name, kind, type_name: &str| field(number, name, kind, Label::Optional, type_name);
    let in_oneof = |index, field| FieldDescriptorProto { oneof_index: Some(index), ..field };
    let optional =
        |index, field| FieldDescriptorProto { proto3_optional: Some(true), ..in_oneof(index, field) };
    let google =
        |number, name, kind: &str| one(number, name, Type::Message, &format!(".google.protobuf.{kind}"));
    let entry = DescriptorProto {
        name: Some("CountsEntry".to_owned()),
        field: vec![one(1, "key", Type::Int32, ""), one(2, "value", Type::Int64, "")],
        options: Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() }),
        ..DescriptorProto::default()
    };
    let thing = DescriptorProto {
        name: Some("Thing".to_owned()),
        field: vec![
            one(1, "plain", Type::Int64, ""),
            optional(1, one(2, "maybe", Type::String, "")),
            one(3, "state", Type::Enum, ".team.v1.ThingState"),
            google(4, "at", "Timestamp"),
            google(5, "took", "Duration"),
            google(6, "wrapped", "Int32Value"),
            google(7, "free", "Struct"),
            google(8, "any", "Any"),
            field(9, "counts", Type::Message, Label::Repeated, ".team.v1.Thing.CountsEntry"),
            field(10, "things", Type::Message, Label::Repeated, ".team.v1.Thing"),
            in_oneof(0, one(11, "left", Type::Bool, "")),
            in_oneof(0, one(12, "right", Type::Double, "")),
            one(13, "blob", Type::Bytes, ""),
            one(14, "huge", Type::Uint64, ""),
        ],
        nested_type: vec![entry],
        oneof_decl: ["side", "_maybe"]
            .map(|name| OneofDescriptorProto { name: Some(name.to_owned()), options: None })
            .into(),
        ..DescriptorProto::default()
    };
    let value = |number, name: &str| EnumValueDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        ..EnumValueDescriptorProto::default()
    };
    let state = EnumDescriptorProto {
        name: Some("ThingState".to_owned()),
        value: vec![value(0, "THING_STATE_UNSPECIFIED"), value(1, "THING_STATE_IN_USE")],
        ..EnumDescriptorProto::default()
    };
    let imports = ["timestamp", "duration", "wrappers", "struct", "any"];
    let mut files: Vec<FileDescriptorProto> = prost_reflect::DescriptorPool::global()
        .file_descriptor_protos()
        .filter(|file| imports.iter().any(|import| file.name() == format!("google/protobuf/{import}.proto")))
        .cloned()
        .collect();
    files.push(FileDescriptorProto {
        name: Some("thing.proto".to_owned()),
        package: Some("team.v1".to_owned()),
        syntax: Some("proto3".to_owned()),
        dependency: files.iter().map(|file| file.name().to_owned()).collect(),
        message_type: vec![thing],
        enum_type: vec![state],
        ..FileDescriptorProto::default()
    });
    let mut catalogue = TypeCatalogue::canonical();
    catalogue.register(&FileDescriptorSet { file: files }.encode_to_vec(), "team.v1.Thing").unwrap();
    catalogue
}

fn builder() -> EventBuilder {
    Event::builder("1", "shop", "a.b")
}

fn thing(value: impl Into<Bytes>) -> Event {
    builder()
        .data(Data::Proto { type_url: "x.example/team.v1.Thing".into(), value: value.into() })
        .build()
        .unwrap()
}

/// The data of a thing with these bytes, as JSON.
fn shown(value: impl Into<Bytes>) -> Result<serde_json::Value, String> {
    let (event, catalogue) = (thing(value), catalogue());
    let view = EventView::new(&event, &catalogue);
    view.data().map(|data| data.unwrap().to_json()).map_err(ToString::to_string)
}

/// A length-delimited field.
fn put(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![tag << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    [field, bytes.to_vec()].concat()
}

#[test]
fn an_empty_message_shows_all_its_fields() {
    let expected = serde_json::json!({
        "plain": 0, "maybe": null, "state": "UNSPECIFIED", "at": null, "took": null, "wrapped": null, "free": null,
        "any": null, "counts": {}, "things": [], "left": null, "right": null, "blob": "", "huge": 0,
    });
    assert_eq!(shown(Bytes::new()), Ok(expected));
}

#[test]
fn every_kind_of_field_has_its_form() {
    let any = [put(1, b"t/team.v1.Thing"), put(2, &[8, 5])].concat();
    let strange = [put(1, b"t/no.Such"), put(2, &[1])].concat();
    let in_struct = |number: f64| [vec![0x11], number.to_le_bytes().to_vec()].concat();
    let entry = |name: &[u8], value: &[u8]| put(1, &[put(1, name), put(2, value)].concat());
    let bytes = [
        vec![8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        put(2, b""),
        vec![0x18, 1],
        put(4, &[8, 1]),
        put(5, &[8, 90]),
        put(6, &[]),
        put(7, &[entry(b"n", &in_struct(3.0)), entry(b"f", &in_struct(0.5)), entry(b"z", &[8, 0])].concat()),
        put(8, &any),
        put(9, &[8, 7, 16, 8]),
        put(10, &[put(8, &strange), vec![0x18, 42]].concat()),
        vec![0x58, 0],
        put(13, &[255]),
        vec![0x70, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ];
    let data = shown(bytes.concat()).unwrap();
    let at = |pointer: &str| data.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {data}")).clone();
    assert_eq!(at("/plain"), -1);
    assert_eq!(at("/maybe"), "");
    assert_eq!(at("/state"), "IN_USE");
    assert_eq!(at("/at"), "1970-01-01T00:00:01Z");
    assert_eq!(at("/took"), "90s");
    assert_eq!(at("/wrapped"), 0);
    assert_eq!(at("/free"), serde_json::json!({ "n": 3, "f": 0.5, "z": null }));
    assert_eq!(at("/any/@type"), "t/team.v1.Thing");
    assert_eq!(at("/any/plain"), 5);
    assert_eq!(at("/counts"), serde_json::json!({ "7": 8 }));
    assert_eq!(at("/things/0/state"), "42");
    assert_eq!(at("/things/0/any"), serde_json::json!({ "@type": "t/no.Such", "value": "AQ==" }));
    assert_eq!(at("/left"), false);
    assert_eq!(at("/right"), serde_json::Value::Null);
    assert_eq!(at("/blob"), "/w==");
    assert_eq!(at("/huge"), 18_446_744_073_709_551_615.0);
}

#[test]
fn data_that_is_none_is_an_error_that_says_so() {
    let problem = |bytes: Vec<u8>| shown(bytes).unwrap_err();
    assert!(problem(vec![0xff]).starts_with("data does not decode as `team.v1.Thing`: "));
    assert!(
        problem(put(4, &[16, 0xff, 0xff, 0xff, 0xff, 15]))
            .ends_with("a Timestamp is outside the years 1 to 9999")
    );
    let unknown =
        builder().data(Data::Proto { type_url: "t/no.Such".into(), value: Bytes::new() }).build().unwrap();
    let catalogue = TypeCatalogue::canonical();
    let error = EventView::new(&unknown, &catalogue).data().unwrap_err().to_string();
    assert_eq!(error, "data has type `t/no.Such`, which is not registered under `types`");
}

#[test]
fn bombs_are_refused_quickly() {
    let nested = |tag: u8, depth: usize, wrap: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        (0..depth).fold(Vec::new(), |inner, _| put(tag, &wrap(inner)))
    };
    let in_any = |inner: Vec<u8>| [put(1, b"t/team.v1.Thing"), put(2, &inner)].concat();
    let start = std::time::Instant::now();
    assert!(shown(nested(10, 90, &|inner| inner)).unwrap_err().ends_with("nested deeper than 64"));
    assert!(shown(nested(10, 5000, &|inner| inner)).is_err());
    assert!(shown(nested(8, 1000, &in_any)).unwrap_err().ends_with("nested deeper than 64"));
    assert!(shown(put(10, b"").repeat(500_000)).unwrap_err().ends_with("it has more than 50000 values"));
    assert!(start.elapsed().as_millis() < 2000, "took {:?}", start.elapsed());
}

#[test]
fn the_whole_view() {
    let time = chrono::DateTime::from_timestamp(0, 0).unwrap();
    let event =
        builder().time(time).key("k").attribute("n", Attribute::Integer(3)).json("[1]").build().unwrap();
    let catalogue = TypeCatalogue::canonical();
    let view = EventView::new(&event, &catalogue);
    let expected = serde_json::json!({
        "id": "1", "source": "shop", "type": "a.b", "subject": null, "time": "1970-01-01T00:00:00Z",
        "ext": { "partitionkey": "k", "n": 3, "datacontenttype": "application/json" }, "data": [1],
    });
    assert_eq!(view.to_value().unwrap().to_json(), expected);
    assert_eq!(view.attribute("time"), Some(Value::Timestamp(time)));
    assert_eq!(view.attribute("n"), Some(Value::Integer(3)));
    assert_eq!(view.attribute("subject"), None);
}

#[test]
fn binary_data_is_not_looked_into_and_other_text_is_text() {
    let catalogue = TypeCatalogue::canonical();
    let binary = builder().binary("application/json", "{}").build().unwrap();
    let view = EventView::new(&binary, &catalogue);
    assert_eq!(view.data(), Ok(None));
    assert_eq!(view.to_value().unwrap().get("data"), None);
    let text = builder()
        .data(Data::Text("{".into()))
        .attribute("datacontenttype", Attribute::Text("text/plain".into()));
    let text = text.build().unwrap();
    assert_eq!(EventView::new(&text, &catalogue).data(), Ok(Some(&Value::from("{"))));
}

#[test]
fn a_canonical_order_in_structured_json() {
    use trunkline_proto::commerce::v1::Order;
    let order = Order { id: "7".to_owned(), currency: Some("EUR".to_owned()), ..Order::default() };
    let event = builder().proto(&order).build().unwrap();
    let json: serde_json::Value =
        serde_json::from_slice(&event.to_json(&TypeCatalogue::canonical()).unwrap()).unwrap();
    assert_eq!(json["datacontenttype"], "application/json");
    assert_eq!(json["data"]["id"], "7");
    assert_eq!(json["data"]["currency"], "EUR");
    assert_eq!(json["data"]["line_items"], serde_json::json!([]));
    assert_eq!(json["data"]["total"], serde_json::Value::Null);
}
