//! The types an event's data may have: the canonical messages and a team's own, by their descriptors.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use prost::Message;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use prost_types::FileDescriptorSet;
use thiserror::Error;

/// Message types known at run time, by full name: the canonical ones, and those a configuration registers.
///
/// Cloning is cheap: the descriptors are shared until one of the clones registers more.
#[derive(Debug, Clone)]
pub struct TypeCatalogue {
    pool: DescriptorPool,
    registered: BTreeMap<Arc<str>, Arc<str>>,
}

/// Why a type can't be registered.
#[derive(Debug, Error)]
pub enum TypeError {
    /// The file is no `FileDescriptorSet`.
    #[error("not a descriptor set")]
    NotASet(#[from] prost::DecodeError),
    /// It contradicts the types already there, or itself.
    #[error("not a usable descriptor set: {0}")]
    Descriptor(#[from] prost_reflect::DescriptorError),
    /// The set does not contain the message.
    #[error("descriptor set has no message `{message}`; it has {known}")]
    UnknownMessage {
        /// The message asked for.
        message: String,
        /// What the set contains instead.
        known: String,
    },
}

/// Packages whose messages carry others or stand inside them, but are no event's data.
const INFRASTRUCTURE: [&str; 3] = ["google.protobuf", "io.cloudevents.v1", "trunkline.bus.v1"];

/// Which canonical message the events of a family carry: the prefix of their type, and the message's full name.
const FAMILIES: [(&str, &str); 9] = [
    ("commerce.customer.", "trunkline.commerce.v1.Customer"),
    ("commerce.fulfilment.", "trunkline.commerce.v1.Fulfilment"),
    ("commerce.order.", "trunkline.commerce.v1.Order"),
    ("commerce.product.", "trunkline.commerce.v1.Product"),
    ("commerce.refund.", "trunkline.commerce.v1.Refund"),
    ("payment.charge.", "trunkline.payment.v1.Charge"),
    ("payment.dispute.", "trunkline.payment.v1.Dispute"),
    ("payment.payment.", "trunkline.payment.v1.Payment"),
    ("payment.payout.", "trunkline.payment.v1.Payout"),
];

/// The families of canonical event types in ascending order: the prefix all types of the family begin with (for example
/// `commerce.order.`, as in `commerce.order.created`) and the full name of the message their data is. No prefix begins
/// another.
pub fn canonical_families() -> &'static [(&'static str, &'static str)] {
    &FAMILIES
}

/// The full name of the message that events of this type carry, when the type is a canonical one.
pub fn canonical_message(event_type: &str) -> Option<&'static str> {
    FAMILIES.iter().find(|(prefix, _)| event_type.starts_with(prefix)).map(|(_, message)| *message)
}

impl TypeCatalogue {
    /// The canonical types only.
    pub fn canonical() -> Self {
        static POOL: OnceLock<DescriptorPool> = OnceLock::new();
        // The descriptors are part of this program and a test decodes them; were they damaged, every type would be
        // unknown.
        let pool =
            POOL.get_or_init(|| DescriptorPool::decode(trunkline_proto::DESCRIPTORS).unwrap_or_default());
        Self { pool: pool.clone(), registered: BTreeMap::new() }
    }

    /// Adds a team's own descriptor set and checks that `message` (full name) is in it. Files the catalogue has already
    /// are taken as they are, so a set may include its imports. After an error nothing was added.
    ///
    /// # Errors
    /// [`TypeError`].
    pub fn register(&mut self, descriptor_set: &[u8], message: &str) -> Result<(), TypeError> {
        let mut set = FileDescriptorSet::decode(descriptor_set)?;
        set.file.retain(|file| self.pool.get_file_by_name(file.name()).is_none());
        let mut pool = self.pool.clone();
        pool.add_file_descriptor_set(set)?;
        if pool.get_message_by_name(message).is_none() {
            let mut known: Vec<String> = names(&pool).filter(|name| self.find(name).is_none()).collect();
            known.sort_unstable();
            let known = if known.is_empty() { "none of its own".to_owned() } else { known.join(", ") };
            return Err(TypeError::UnknownMessage { message: message.to_owned(), known });
        }
        self.pool = pool;
        Ok(())
    }

    /// As [`TypeCatalogue::register`], and remembers the message under the name it has in the configuration's `types`.
    ///
    /// # Errors
    /// [`TypeError`].
    pub fn register_as(&mut self, name: &str, descriptor_set: &[u8], message: &str) -> Result<(), TypeError> {
        self.register(descriptor_set, message)?;
        self.registered.insert(name.into(), message.into());
        Ok(())
    }

    /// The registered types: their name in the configuration and the message's full name, by name.
    pub fn registered(&self) -> impl Iterator<Item = (&str, &str)> {
        self.registered.iter().map(|(name, message)| (&**name, &**message))
    }

    /// Full names of all messages an event's data may be, in ascending order; those nested in others are not listed.
    pub fn messages(&self) -> Vec<String> {
        let mut names: Vec<String> = names(&self.pool).collect();
        names.sort_unstable();
        names
    }

    /// The type behind a type URL (`type.googleapis.com/FULL.NAME`) or a full name.
    pub fn find(&self, type_url: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(type_url.rsplit('/').next()?)
    }
}

fn names(pool: &DescriptorPool) -> impl Iterator<Item = String> {
    pool.all_messages()
        .filter(|message| {
            message.parent_message().is_none() && !INFRASTRUCTURE.contains(&message.package_name())
        })
        .map(|message| message.full_name().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use prost_types::field_descriptor_proto::{Label, Type};
    use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

    use super::*;

    fn set(package: &str, message: &str, field_type: &str) -> Vec<u8> {
        let field = FieldDescriptorProto {
            name: Some("at".to_owned()),
            number: Some(1),
            label: Some(Label::Optional as i32),
            r#type: Some(Type::Message as i32),
            type_name: Some(field_type.to_owned()),
            ..FieldDescriptorProto::default()
        };
        let file = FileDescriptorProto {
            name: Some(format!("{package}.proto")),
            package: Some(package.to_owned()),
            syntax: Some("proto3".to_owned()),
            dependency: vec!["google/protobuf/timestamp.proto".to_owned()],
            message_type: vec![DescriptorProto {
                name: Some(message.to_owned()),
                field: vec![field],
                ..DescriptorProto::default()
            }],
            ..FileDescriptorProto::default()
        };
        let timestamp = TypeCatalogue::canonical().pool.get_file_by_name("google/protobuf/timestamp.proto");
        let file_of_timestamp = timestamp.unwrap().file_descriptor_proto().clone();
        FileDescriptorSet { file: vec![file_of_timestamp, file] }.encode_to_vec()
    }

    #[test]
    fn every_canonical_family_has_its_message() {
        let catalogue = TypeCatalogue::canonical();
        for (prefix, message) in canonical_families() {
            assert!(catalogue.find(message).is_some(), "{prefix} names {message}, which is not there");
            assert!(catalogue.messages().iter().any(|name| name == message));
        }
        assert_eq!(canonical_message("commerce.order.created"), Some("trunkline.commerce.v1.Order"));
        assert_eq!(canonical_message("commerce.orders"), None);
        assert!(canonical_families().is_sorted());
    }

    #[test]
    fn a_teams_own_type_joins_the_catalogue() {
        let mut catalogue = TypeCatalogue::canonical();
        catalogue
            .register_as("visit", &set("team.v1", "Visit", ".google.protobuf.Timestamp"), "team.v1.Visit")
            .unwrap();
        assert!(catalogue.find("type.googleapis.com/team.v1.Visit").is_some());
        assert_eq!(catalogue.registered().collect::<Vec<_>>(), [("visit", "team.v1.Visit")]);
        assert!(TypeCatalogue::canonical().find("team.v1.Visit").is_none());
        catalogue.register(&set("team.v1", "Visit", ".google.protobuf.Timestamp"), "team.v1.Visit").unwrap();
    }

    #[test]
    fn what_cannot_be_registered_changes_nothing() {
        let mut catalogue = TypeCatalogue::canonical();
        let before = catalogue.messages();
        let error =
            catalogue.register(&set("team.v1", "Visit", ".google.protobuf.Timestamp"), "team.v1.Visits");
        assert_eq!(
            error.unwrap_err().to_string(),
            "descriptor set has no message `team.v1.Visits`; it has team.v1.Visit"
        );
        let error =
            catalogue.register(&set("team.v1", "Visit", ".team.v1.Missing"), "team.v1.Visit").unwrap_err();
        assert!(matches!(error, TypeError::Descriptor(_)), "{error}");
        assert!(matches!(catalogue.register(b"\xffno", "a.B"), Err(TypeError::NotASet(_))));
        assert_eq!(catalogue.messages(), before);
    }
}
