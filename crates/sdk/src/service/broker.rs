//! The broker and the store behind their addresses in the configuration.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use trunkline_broker::Broker;
use trunkline_store::Store;

use super::exit::ServiceError;
use crate::config::{ChannelsSettings, Shared, secret_reference};
use crate::secrets::{SecretError, Secrets};

#[cfg(feature = "embedded")]
mod embedded;

/// Why a broker's engine can't be opened. Names the engine, never the whole address: it may hold a password.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The address names no engine.
    #[error(
        "`broker` must be embedded:DIR, kafka://HOST:PORT or amqp://HOST/VHOST, but it begins with `{0}`"
    )]
    Unknown(String),
    /// The engine is not part of this build.
    #[error("this build has no {0} engine")]
    NotInBuild(&'static str),
    /// A part of the address is not understood.
    #[error("`broker`: {0}")]
    Option(String),
    /// The address is a secret that can't be read.
    #[error("`broker`")]
    Secret(#[from] SecretError),
    /// The engine does not open.
    #[error("the {engine} engine does not open")]
    Engine {
        /// Which one.
        engine: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens the engine behind `url`: `embedded:DIR` (DIR relative to `folder`; `?max_bytes=10GiB` bounds it,
/// `?accept_damage=true` opens a damaged one), `kafka://..` or `amqp://..`; or a reference (`${env:NAME}`) to such an
/// address, because one may hold a password. Failures are counted in the metrics.
///
/// # Errors
/// [`OpenError`].
pub async fn open_broker(
    url: &str,
    folder: &Path,
    channels: &ChannelsSettings,
) -> Result<Arc<dyn Broker>, OpenError> {
    let url = resolve(url, folder)?;
    let (scheme, rest) = url.split_once(':').unwrap_or((&url, ""));
    match scheme {
        "embedded" => embedded(rest, folder, channels).await,
        "kafka" => Err(OpenError::NotInBuild("kafka")),
        "amqp" | "amqps" => Err(OpenError::NotInBuild("rabbitmq")),
        _ => Err(OpenError::Unknown(scheme.to_owned())),
    }
}

/// Opens the store of a configuration. A relative file starts at the configuration's folder.
///
/// # Errors
/// [`ServiceError::Unavailable`].
pub async fn open_store(shared: &Shared) -> Result<Store, ServiceError> {
    let url = resolve(&shared.store, &shared.folder)
        .map_err(|cause| ServiceError::unavailable("the store", cause))?;
    let scheme = url.split(':').next().unwrap_or_default().to_owned();
    let url = match url.strip_prefix("sqlite:") {
        Some(file) if !file.starts_with(':') && !file.starts_with('/') => {
            format!("sqlite:{}", shared.folder.join(file).display())
        }
        _ => url,
    };
    Store::open(&url).await.map_err(|cause| ServiceError::unavailable(format!("the {scheme} store"), cause))
}

fn resolve(url: &str, folder: &Path) -> Result<String, SecretError> {
    match secret_reference(url) {
        Some(secret) => Ok(Secrets::in_folder(folder).read(&secret)?.expose().to_owned()),
        None => Ok(url.to_owned()),
    }
}

#[cfg(feature = "embedded")]
async fn embedded(
    address: &str,
    folder: &Path,
    channels: &ChannelsSettings,
) -> Result<Arc<dyn Broker>, OpenError> {
    embedded::open(address, folder, channels).await
}

#[cfg(not(feature = "embedded"))]
async fn embedded(_: &str, _: &Path, _: &ChannelsSettings) -> Result<Arc<dyn Broker>, OpenError> {
    Err(OpenError::NotInBuild("embedded"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        let channels = ChannelsSettings::default();
        let open = open_broker(url, Path::new("."), &channels);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let Err(error) = runtime.block_on(open) else { panic!("{url} opened") };
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_address_that_does_not_open_says_why_and_shows_no_password() {
        check("kafka://user:canary@host:9092", "this build has no kafka engine");
        check("amqp://user:canary@host/vhost", "this build has no rabbitmq engine");
        check(
            "redis://user:canary@host",
            "`broker` must be embedded:DIR, kafka://HOST:PORT or amqp://HOST/VHOST, but it begins with `redis`",
        );
        check("${env:TRUNKLINE_NO_SUCH_VARIABLE}", "`broker`");
    }
}
