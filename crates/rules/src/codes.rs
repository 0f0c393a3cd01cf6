//! The stable codes of this crate's diagnostics; each has a page in docs/errors/.

/// The subscription is not what a subscription must be: unknown key, missing part, wrong type, bad name.
pub const SUBSCRIPTION: &str = "TL-R001";
/// `to` names no known destination.
pub const DESTINATION: &str = "TL-R002";
/// A pattern has the wrong shape.
pub const PATTERN: &str = "TL-R003";
/// A pattern has an unknown operator or field.
pub const OPERATOR: &str = "TL-R004";
/// A pattern is larger than the limits allow.
pub const PATTERN_LIMIT: &str = "TL-R005";
/// A program does not compile.
pub const PROGRAM: &str = "TL-R006";
/// A program reads a path that none (error) or only some (warning) of its event types have.
pub const PROGRAM_PATH: &str = "TL-R007";
/// A program can only make null, or a field of its output can.
pub const PROGRAM_NULL: &str = "TL-R008";
/// A program calls a function that is not allowed.
pub const PROGRAM_FUNCTION: &str = "TL-R009";
/// A program is larger or deeper than the limits allow.
pub const PROGRAM_LIMIT: &str = "TL-R010";
