//! Values of events as VRL's.

use trunkline_core::Value;
use vrl::prelude::NotNan;
use vrl::value::{KeyString, Value as Vrl};

/// The value as VRL has it. A float that is no number becomes null, as JSON has none either.
pub(super) fn to_vrl(value: &Value) -> Vrl {
    match value {
        Value::Null => Vrl::Null,
        Value::Boolean(truth) => Vrl::Boolean(*truth),
        Value::Integer(integer) => Vrl::Integer(*integer),
        Value::Float(float) => NotNan::new(*float).map_or(Vrl::Null, Vrl::Float),
        Value::Text(text) => Vrl::from(&**text),
        Value::Timestamp(time) => Vrl::Timestamp(*time),
        Value::Bytes(bytes) => Vrl::Bytes(bytes.clone()),
        Value::Array(elements) => Vrl::Array(elements.iter().map(to_vrl).collect()),
        Value::Object(members) => Vrl::Object(
            members.iter().map(|(name, member)| (KeyString::from(&**name), to_vrl(member))).collect(),
        ),
    }
}
