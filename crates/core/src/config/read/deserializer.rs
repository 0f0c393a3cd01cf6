//! A node as serde sees it.

use std::sync::Arc;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::super::node::{Key, Node, NodeValue};
use super::Patches;
use super::error::{ReadError, Spot};
use super::stand_in::StandIn;

/// Reads `node` as if the patches were made.
#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'a> {
    node: &'a Node,
    patches: &'a Patches,
}

impl<'a> NodeDeserializer<'a> {
    pub(super) fn new(node: &'a Node, patches: &'a Patches) -> Self {
        Self { node, patches }
    }

    fn spot(self) -> Spot {
        Spot::of(self.node)
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            NodeValue::Null => visitor.visit_unit(),
            NodeValue::Boolean(truth) => visitor.visit_bool(*truth),
            NodeValue::Integer(number) => visitor.visit_i64(*number),
            NodeValue::Float(number) => visitor.visit_f64(*number),
            NodeValue::Text { text, .. } => visitor.visit_str(text),
            NodeValue::List(items) => self.items(items, visitor),
            NodeValue::Map(entries) => self.entries(entries, visitor),
        }
    }

    fn items<'de, V: Visitor<'de>>(self, items: &'a [Node], visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_seq(Items { rest: items.iter(), patches: self.patches })
    }

    fn entries<'de, V: Visitor<'de>>(
        self,
        entries: &'a [(Key, Node)],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let stand_ins = self.patches.stand_ins(&self.node.path).collect();
        visitor.visit_map(Entries {
            rest: entries.iter(),
            stand_ins,
            next: Next::None,
            patches: self.patches,
        })
    }

    /// Text was asked for; a number or truth value only looks like one because it has no quotes.
    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let unquoted =
            matches!(self.node.value, NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Boolean(_));
        self.visit(visitor).map_err(|error| {
            let error = if unquoted { error.hint("write it in quotes") } else { error };
            error.at(|| self.spot())
        })
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.visit(visitor).map_err(|error| error.at(|| self.spot()))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let is_text = matches!(self.node.value, NodeValue::Text { .. });
        self.visit(visitor).map_err(|error| {
            let error = if is_text { error.hint("write `true` or `false`, without quotes") } else { error };
            error.at(|| self.spot())
        })
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            NodeValue::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|error| error.at(|| self.spot()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self).map_err(|error| error.at(|| self.spot()))
    }

    /// `key:` with nothing after it is an empty list where a list is expected.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            NodeValue::Null => self.items(&[], visitor),
            _ => self.visit(visitor),
        }
        .map_err(|error| error.at(|| self.spot()))
    }

    /// `key:` with nothing after it is an empty map where a map is expected.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            NodeValue::Null => self.entries(&[], visitor),
            // A type's derived visitor would also take a list of its fields' values, which nobody means.
            NodeValue::List(_) => Err(serde::de::Error::invalid_type(Unexpected::Seq, &"a map")),
            _ => self.visit(visitor),
        }
        .map_err(|error| error.at(|| self.spot()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let variant = match &self.node.value {
            NodeValue::Text { text, .. } => {
                Ok(Variant { name: text, spot: self.spot(), content: None, of: self })
            }
            NodeValue::Map(entries) => match entries.as_slice() {
                [(key, node)] => Ok(Variant {
                    name: &key.name,
                    spot: Spot::of_key(key, node),
                    content: Some(node),
                    of: self,
                }),
                _ => Err("one key"),
            },
            _ => Err("a word"),
        };
        let variant = variant.map_err(|form| {
            let message = format!("expected {form} of {}", variants.join(", "));
            <ReadError as serde::de::Error>::custom(message)
        });
        variant.and_then(|variant| visitor.visit_enum(variant)).map_err(|error| error.at(|| self.spot()))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf
        unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    rest: std::slice::Iter<'a, Node>,
    patches: &'a Patches,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        match self.rest.by_ref().find(|node| !self.patches.leaves_out(&node.path)) {
            Some(node) => {
                let item = seed.deserialize(NodeDeserializer::new(node, self.patches));
                item.map(Some).map_err(|error| error.at(|| Spot::of(node)))
            }
            None => Ok(None),
        }
    }
}

/// What the value of the key just given is.
enum Next<'a> {
    None,
    Node(&'a Node),
    StandIn(&'static str, StandIn),
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    stand_ins: Vec<(&'static str, StandIn)>,
    next: Next<'a>,
    patches: &'a Patches,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        if let Some((key, node)) = self.rest.by_ref().find(|(_, node)| !self.patches.leaves_out(&node.path)) {
            self.next = Next::Node(node);
            let name = seed.deserialize(text(&key.name));
            return name.map(Some).map_err(|error| error.at(|| Spot::of_key(key, node)));
        }
        match self.stand_ins.pop() {
            Some((name, stand_in)) => {
                self.next = Next::StandIn(name, stand_in);
                seed.deserialize(text(name)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match std::mem::replace(&mut self.next, Next::None) {
            Next::Node(node) => {
                let value = seed.deserialize(NodeDeserializer::new(node, self.patches));
                value.map_err(|error| error.at(|| Spot::of(node)))
            }
            Next::StandIn(name, stand_in) => {
                seed.deserialize(stand_in).map_err(|_unreported| ReadError::stand_in(name))
            }
            Next::None => Err(serde::de::Error::custom("a value without its key")),
        }
    }
}

/// A variant of an enum: a word, or a key with its content.
struct Variant<'a> {
    name: &'a str,
    spot: Spot,
    content: Option<&'a Node>,
    of: NodeDeserializer<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = ReadError;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'a>), ReadError> {
        let variant = seed.deserialize(text(self.name)).map_err(|error| error.at(|| self.spot))?;
        Ok((variant, Content { node: self.content, of: self.of }))
    }
}

struct Content<'a> {
    node: Option<&'a Node>,
    of: NodeDeserializer<'a>,
}

impl<'a> Content<'a> {
    fn required(self) -> Result<NodeDeserializer<'a>, ReadError> {
        match self.node {
            Some(node) => Ok(NodeDeserializer::new(node, self.of.patches)),
            None => Err(serde::de::Error::custom(
                "this word needs a value: write it as a key with the value after it",
            )),
        }
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.node {
            None | Some(Node { value: NodeValue::Null, .. }) => Ok(()),
            Some(node) => {
                let error: ReadError = serde::de::Error::custom("this word stands alone, without a value");
                Err(error.at(|| Spot::of(node)))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(self.required()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.required()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.required()?.deserialize_map(visitor)
    }
}

fn text(text: &str) -> StrDeserializer<'_, ReadError> {
    text.into_deserializer()
}

pub(super) fn join(path: &str, name: &str) -> Arc<str> {
    if path.is_empty() { name.into() } else { format!("{path}.{name}").into() }
}
