//! The stable codes of this crate's diagnostics; each has a page in docs/errors/.

/// The text is not YAML, or uses what a configuration may not: anchors, aliases, tags, several documents.
pub const SYNTAX: &str = "TL-C001";
/// A key that nothing here is called.
pub const UNKNOWN_KEY: &str = "TL-C002";
/// A value of the wrong type, or one that is not permitted.
pub const WRONG_VALUE: &str = "TL-C003";
/// A key that must be there is not.
pub const MISSING_KEY: &str = "TL-C004";
/// The same entry twice.
pub const DUPLICATE: &str = "TL-C005";
/// A name that is not permitted.
pub const BAD_NAME: &str = "TL-C006";
/// A secret that is no reference.
pub const BAD_SECRET: &str = "TL-C007";
