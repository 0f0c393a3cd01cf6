//! The messages Trunkline puts on the wire: the CloudEvents envelope, what travels on the bus, and the canonical
//! messages that platforms exchange.
//!
//! Everything here is generated from the `.proto` files in the workspace's `proto/` folder and checked in, so that
//! nobody needs a protobuf compiler to build. After a change there, run `cargo xtask generate`; a test compares.
//!
//! It will never hold logic: no validation, no conversion, no defaults beyond protobuf's own. `trunkline-core` makes
//! types out of these that are valid by construction.
//!
//! How to read it: the modules mirror the protobuf packages (`trunkline.bus.v1` is [`bus::v1`]), the comments are those
//! of the `.proto` files. Every message implements [`prost::Name`], so `Delivery::full_name()` is
//! `trunkline.bus.v1.Delivery` and `Delivery::type_url()` is what an `Any` carries. Fields of type `bytes` are
//! [`prost::bytes::Bytes`]: decoding from a `Bytes` copies no payload, except that of an [`prost_types::Any`], which
//! owns its value. Maps are ordered, so encoding is deterministic.

/// The descriptors of all messages in this crate and of the well-known types they use, as an encoded
/// `google.protobuf.FileDescriptorSet` without source information. Dependencies come before their dependents.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

/// The CloudEvents envelope.
pub mod cloudevents {
    /// Package `io.cloudevents.v1`.
    #[allow(clippy::all, reason = "generated")]
    pub mod v1 {
        include!("gen/io.cloudevents.v1.rs");
    }
}

/// What travels on the bus besides events.
pub mod bus {
    /// Package `trunkline.bus.v1`.
    #[allow(clippy::all, reason = "generated")]
    pub mod v1 {
        include!("gen/trunkline.bus.v1.rs");
    }
}

/// What canonical messages are made of: money, addresses, the ids of platforms.
pub mod types {
    /// Package `trunkline.types.v1`.
    #[allow(clippy::all, reason = "generated")]
    pub mod v1 {
        include!("gen/trunkline.types.v1.rs");
    }
}

/// Canonical messages of shops: customers, products, orders, refunds, fulfilments.
pub mod commerce {
    /// Package `trunkline.commerce.v1`.
    #[allow(clippy::all, reason = "generated")]
    pub mod v1 {
        include!("gen/trunkline.commerce.v1.rs");
    }
}

/// Canonical messages of payment platforms: payments, charges, payouts, disputes.
pub mod payment {
    /// Package `trunkline.payment.v1`.
    #[allow(clippy::all, reason = "generated")]
    pub mod v1 {
        include!("gen/trunkline.payment.v1.rs");
    }
}

#[cfg(test)]
mod tests;
