//! The types an event's data may have: the canonical messages and a team's own, by their descriptors.

use prost_reflect::{DescriptorPool, MessageDescriptor};
use thiserror::Error;

/// Message types known at run time, by full name: the canonical ones, and those a configuration registers.
#[derive(Debug, Clone)]
pub struct TypeCatalogue {
    pool: DescriptorPool,
}

/// Why a type can't be registered.
#[derive(Debug, Error)]
pub enum TypeError {
    /// The file is no `FileDescriptorSet`, or it contradicts the types already there.
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

impl TypeCatalogue {
    /// The canonical types only.
    pub fn canonical() -> Self {
        todo!()
    }

    /// Adds a team's own descriptor set and checks that `message` (full name) is in it.
    ///
    /// # Errors
    /// [`TypeError`].
    pub fn register(&mut self, descriptor_set: &[u8], message: &str) -> Result<(), TypeError> {
        todo!("{descriptor_set:?} {message}")
    }

    /// The type behind a type URL (`type.googleapis.com/FULL.NAME`) or a full name.
    pub fn find(&self, type_url: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(type_url.rsplit('/').next()?)
    }
}
