//! How large one pattern may be: what is beyond these limits is refused when the configuration is read, so that no
//! pattern can make matching slow.

/// Most `*` in all wildcards of a pattern together.
pub(super) const MAX_STARS: usize = 32;
/// Most combinations of `$or` alternatives: those of one list are added, those of lists that must all match multiplied.
pub(super) const MAX_COMBINATIONS: usize = 1000;
/// Most values in all lists of a pattern together.
pub(super) const MAX_VALUES: usize = 4096;
/// Deepest nesting of maps.
pub(super) const MAX_DEPTH: usize = 32;
/// Longest text of one value, in bytes.
pub(super) const MAX_TEXT: usize = 4096;
