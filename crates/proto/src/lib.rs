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
//! [`prost::bytes::Bytes`]: decoding from a `Bytes` copies no payload. Maps are ordered, so encoding is deterministic.

/// The descriptors of all messages in this crate and of the well-known types they use, as an encoded
/// `google.protobuf.FileDescriptorSet` without source information. Dependencies come before their dependents.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

/// The CloudEvents envelope.
pub mod cloudevents {
    /// Package `io.cloudevents.v1`.
    #[allow(
        clippy::all,
        clippy::pedantic,
        clippy::nursery,
        rustdoc::all,
        reason = "generated code has its own taste"
    )]
    pub mod v1 {
        include!("gen/io.cloudevents.v1.rs");
    }
}

/// What travels on the bus besides events.
pub mod bus {
    /// Package `trunkline.bus.v1`.
    #[allow(
        clippy::all,
        clippy::pedantic,
        clippy::nursery,
        rustdoc::all,
        reason = "generated code has its own taste"
    )]
    pub mod v1 {
        include!("gen/trunkline.bus.v1.rs");
    }
}
