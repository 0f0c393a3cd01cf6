//! The stable codes of this crate's diagnostics, beside those of [`trunkline_core::config::codes`]; each has a page in
//! docs/errors/.

/// A secret that is not set.
pub const UNSET_SECRET: &str = "TL-C010";
/// A file or folder of the configuration that can't be read.
pub const UNREADABLE: &str = "TL-C011";
/// `version` is missing or not 1.
pub const VERSION: &str = "TL-C012";
/// A team's own type that can't be registered.
pub const TYPE: &str = "TL-C013";
/// A service that would listen to others without keys.
pub const LISTEN_WITHOUT_KEYS: &str = "TL-C014";
/// An adapter that there is not.
pub const UNKNOWN_ADAPTER: &str = "TL-A001";
/// Settings that their adapter refuses.
pub const SETTINGS_REFUSED: &str = "TL-A002";
/// A channel that exists on the broker with other settings.
pub const CHANNEL_DIFFERS: &str = "TL-B001";
/// A channel that does not exist where `broker.ensure` is `verify`.
pub const CHANNEL_MISSING: &str = "TL-B002";
/// Records of a channel are damaged.
pub const CHANNEL_DAMAGED: &str = "TL-B003";
/// An examination: a broker, store or platform can't be reached, or not examined to the end.
pub const UNREACHABLE: &str = "TL-D001";
/// An examination: records would be lost or refused.
pub const UNSAFE: &str = "TL-D002";
/// An examination: the user may not do what is needed.
pub const NOT_PERMITTED: &str = "TL-D003";
/// An examination: a certificate ends.
pub const CERTIFICATE: &str = "TL-D004";
/// An examination: a version that can't be worked with.
pub const OTHER_VERSION: &str = "TL-D005";
/// An examination: a secret's file that others may read.
pub const EXPOSED_SECRET: &str = "TL-D006";
/// An examination: clocks that differ.
pub const CLOCK: &str = "TL-D007";
/// An examination: a disk without room.
pub const DISK: &str = "TL-D008";
/// An examination: several instances, each with a store of its own.
pub const STORE_NOT_SHARED: &str = "TL-D009";
