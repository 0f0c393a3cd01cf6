//! Names of configured things: validated once, then carried as types.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not 1 to 63 characters of `a-z`, `0-9` and `-`.
    #[error("`{0}` is not 1 to 63 characters of a-z, 0-9 and -")]
    Malformed(String),
    /// `router` and `gateway` name channels of their own (`dead.router`, `dead.gateway`).
    #[error("`{0}` is reserved")]
    Reserved(String),
}

macro_rules! name {
    ($(#[$meta:meta])* $type:ident, reserved: $reserved:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses a name.
            ///
            /// # Errors
            /// [`NameError`] when it has other characters, another length, or is reserved.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                parse(text, $reserved).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name!(
    /// A configured source.
    SourceName,
    reserved: &[]
);
name!(
    /// A configured destination; `router` and `gateway` are reserved.
    DestinationName,
    reserved: &["router", "gateway"]
);
name!(
    /// A configured subscription.
    SubscriptionName,
    reserved: &[]
);

fn parse(text: &str, reserved: &[&str]) -> Result<Arc<str>, NameError> {
    let permitted = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 63 || !text.bytes().all(permitted) {
        return Err(NameError::Malformed(text.to_owned()));
    }
    if reserved.contains(&text) {
        return Err(NameError::Reserved(text.to_owned()));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_once() {
        assert!(DestinationName::parse("crm-2").is_ok());
        assert_eq!(DestinationName::parse("router"), Err(NameError::Reserved("router".to_owned())));
        assert!(SourceName::parse("router").is_ok());
        for bad in ["", "Crm", "a.b", "a/b", "ä", &"x".repeat(64)] {
            assert_eq!(SourceName::parse(bad), Err(NameError::Malformed(bad.to_owned())));
        }
    }
}
