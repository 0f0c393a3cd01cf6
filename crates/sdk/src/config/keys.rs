//! Keys: who may speak to a service, and what they may do.

use std::net::SocketAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;
use trunkline_core::config::{Diagnostic, Node, Secret};

use super::code;
use crate::secrets::{SecretError, Secrets};

/// What a key permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To publish events.
    Publish,
    /// To look.
    Read,
    /// To act: replay, discard, pause, resume. Includes `read`.
    Operate,
}

/// One entry of `gateway.keys` or `console.keys`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Names the key in the audit log.
    pub name: String,
    /// The secret, as a reference; sent as `Authorization: Bearer SECRET`.
    pub secret: Secret,
    /// What it permits.
    pub scopes: Vec<Scope>,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's name; `local` where a service has no keys and so listens on loopback only.
    pub name: Arc<str>,
    scopes: Arc<[Scope]>,
}

/// Why a caller is not known; the answer is 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthError {
    /// There is no `Authorization: Bearer` header.
    #[error("the request has no `Authorization: Bearer` header")]
    Missing,
    /// No configured key is this one.
    #[error("no configured key is this one")]
    Unknown,
}

/// A service would listen to others without keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{section}.listen` is {address}, which others can reach, but `{section}.keys` is empty: anyone could use the service"
)]
pub struct ListenError {
    /// The service's section.
    pub section: String,
    /// Where it would listen.
    pub address: SocketAddr,
}

/// The keys of one service.
#[derive(Debug, Clone)]
pub struct KeyRing {
    keys: Arc<[(Caller, Secret)]>,
    secrets: Secrets,
    /// Who everybody is without keys.
    local: Caller,
}

impl KeyRing {
    /// A ring of `keys`. With none, every caller is `local` and may do everything: see [`check_listen`].
    ///
    /// # Errors
    /// The first secret that can't be read: a service does not start with it.
    pub fn new(keys: &[KeyEntry], secrets: &Secrets) -> Result<Self, SecretError> {
        let secrets = secrets.fresh();
        for key in keys {
            secrets.read(&key.secret)?;
        }
        let keys = keys
            .iter()
            .map(|key| {
                let caller = Caller { name: (*key.name).into(), scopes: (*key.scopes).into() };
                (caller, key.secret.clone())
            })
            .collect();
        Ok(Self { keys, secrets, local: Caller::local() })
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Says who speaks, from the value of the `Authorization` header. Takes the same time whichever key it is, or none.
    /// A changed secret file counts within a second; a key whose secret can't be read matches nobody.
    ///
    /// # Errors
    /// [`AuthError`]; the answer is 401 in both cases.
    pub fn authenticate(&self, authorization: Option<&str>) -> Result<Caller, AuthError> {
        if self.keys.is_empty() {
            return Ok(self.local.clone());
        }
        let token = authorization.and_then(bearer).ok_or(AuthError::Missing)?;
        // Digests are compared, so that neither the length nor the content of a secret shows in the time it takes.
        let token = Sha256::digest(token);
        let mut found = None;
        for (caller, secret) in self.keys.iter() {
            let same = match self.secrets.read(secret) {
                Ok(value) => Sha256::digest(value.expose()).as_slice().ct_eq(token.as_slice()),
                Err(error) => {
                    tracing::error!(key = %caller.name, %error, "the secret of a key can't be read");
                    Choice::from(0)
                }
            };
            if bool::from(same) {
                found = Some(caller);
            }
        }
        found.cloned().ok_or(AuthError::Unknown)
    }
}

impl Scope {
    /// Its name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Publish => "publish",
            Scope::Read => "read",
            Scope::Operate => "operate",
        }
    }
}

impl Caller {
    /// The one caller of a service without keys.
    pub fn local() -> Self {
        Self { name: "local".into(), scopes: [Scope::Publish, Scope::Read, Scope::Operate].into() }
    }

    /// Whether its key permits `scope`; otherwise the answer is 403.
    pub fn may(&self, scope: Scope) -> bool {
        let implied = scope == Scope::Read && self.scopes.contains(&Scope::Operate);
        implied || self.scopes.contains(&scope)
    }
}

impl ListenError {
    /// The same for `trunkline check`, at the place of the section or its `listen`.
    pub fn diagnostic(&self, section: &Node) -> Diagnostic {
        let node = section.get("listen").unwrap_or(section);
        let hint = format!("configure `{}.keys`, or listen on 127.0.0.1", self.section);
        node.error(code::LISTEN_WITHOUT_KEYS, self.to_string(), Some(hint))
    }
}

/// Whether a service may listen on `address`: without keys only on loopback.
///
/// # Errors
/// [`ListenError`] says why not.
pub fn check_listen(section: &str, address: SocketAddr, keys: &[KeyEntry]) -> Result<(), ListenError> {
    if !keys.is_empty() || address.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(ListenError { section: section.to_owned(), address })
    }
}

/// The token of `Bearer TOKEN`; the scheme's case does not count (RFC 9110, 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use trunkline_core::config::SecretReference;

    use super::*;

    fn key(name: &str, scopes: &[Scope]) -> KeyEntry {
        let secret = Secret::new(SecretReference::File(name.to_owned()));
        KeyEntry { name: name.to_owned(), secret, scopes: scopes.to_vec() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_the_key_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ops"), "secret-a\n").unwrap();
        std::fs::write(folder.path().join("shop"), "secret-b\n").unwrap();
        let mut keys = vec![key("ops", &[Scope::Operate]), key("shop", &[Scope::Publish])];
        let secrets = Secrets::in_folder(folder.path());
        let ring = KeyRing::new(&keys, &secrets).unwrap();
        keys.push(key("gone", &[]));
        assert!(KeyRing::new(&keys, &secrets).is_err(), "one secret can't be read");

        let ops = ring.authenticate(Some("Bearer secret-a")).unwrap();
        assert_eq!(&*ops.name, "ops");
        assert!(ops.may(Scope::Read) && ops.may(Scope::Operate) && !ops.may(Scope::Publish));
        let shop = ring.authenticate(Some("bearer secret-b")).unwrap();
        assert!(shop.may(Scope::Publish) && !shop.may(Scope::Read));

        for (header, expected) in [
            (None, AuthError::Missing),
            (Some("Basic c2VjcmV0LWE="), AuthError::Missing),
            (Some("Bearer "), AuthError::Missing),
            (Some("Bearer secret-c"), AuthError::Unknown),
            (Some("Bearer secret-"), AuthError::Unknown),
        ] {
            assert_eq!(ring.authenticate(header).unwrap_err(), expected, "{header:?}");
        }

        std::fs::write(folder.path().join("ops"), "rotated\n").unwrap();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(ring.authenticate(Some("Bearer secret-a")), Err(AuthError::Unknown));
        assert_eq!(&*ring.authenticate(Some("Bearer rotated")).unwrap().name, "ops");
    }

    #[test]
    fn without_keys_everyone_is_local_and_only_loopback_is_open() {
        let ring = KeyRing::new(&[], &Secrets::default()).unwrap();
        let caller = ring.authenticate(None).unwrap();
        assert!(&*caller.name == "local" && caller.may(Scope::Operate) && caller.may(Scope::Publish));

        for (address, keyless) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:8080", true),
            ("0.0.0.0:8080", false),
            ("10.0.0.1:80", false),
            ("[::]:8080", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(check_listen("gateway", address, &[]).is_ok(), keyless, "{address}");
            assert!(check_listen("gateway", address, &[key("ops", &[])]).is_ok());
        }
        let refused = check_listen("gateway", "0.0.0.0:8080".parse().unwrap(), &[]).unwrap_err();
        assert!(refused.to_string().contains("`gateway.keys` is empty"), "{refused}");
    }
}
