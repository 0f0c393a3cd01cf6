//! Opening the embedded engine.

use std::path::Path;
use std::sync::Arc;

use trunkline_broker::{Broker, Examine};
use trunkline_core::config::SizeSetting;
use trunkline_embedded::{EmbeddedBroker, EmbeddedExaminer, Options};

use super::OpenError;
use crate::config::{ChannelsSettings, Shared};
use crate::service::metered::Metered;

const NO_DIRECTORY: &str = "embedded: needs a directory, for example embedded:./data";

pub(super) async fn open(
    address: &str,
    folder: &Path,
    channels: &ChannelsSettings,
) -> Result<Arc<dyn Broker>, OpenError> {
    let (directory, query) = address.split_once('?').unwrap_or((address, ""));
    if directory.is_empty() {
        return Err(OpenError::Option(NO_DIRECTORY.to_owned()));
    }
    let directory = folder.join(directory);
    let options = options(query, channels)?;
    // Opening reads and checks files, which may take a while.
    let opened = tokio::task::spawn_blocking(move || EmbeddedBroker::open(&directory, options)).await;
    let engine = |cause| OpenError::Engine { engine: "embedded", passes: false, cause };
    match opened {
        Ok(Ok(broker)) => Ok(Arc::new(Metered::new(broker))),
        Ok(Err(error)) => Err(engine(error.into())),
        Err(panic) => Err(engine(panic.into())),
    }
}

pub(in crate::service) fn examiner(address: &str, shared: &Shared) -> Result<Box<dyn Examine>, OpenError> {
    let address = address.strip_prefix("embedded:").unwrap_or_default();
    let (directory, query) = address.split_once('?').unwrap_or((address, ""));
    if directory.is_empty() {
        return Err(OpenError::Option(NO_DIRECTORY.to_owned()));
    }
    let options = options(query, &shared.channels)?;
    Ok(Box::new(EmbeddedExaminer::new(&shared.folder.join(directory), options)))
}

pub(in crate::service) async fn back_up(
    address: &str,
    shared: &Shared,
    into: &Path,
) -> Result<(), OpenError> {
    let address = address.strip_prefix("embedded:").unwrap_or_default();
    let directory = address.split_once('?').map_or(address, |(directory, _)| directory);
    if directory.is_empty() {
        return Err(OpenError::Option(NO_DIRECTORY.to_owned()));
    }
    let (directory, into) = (shared.folder.join(directory), into.to_owned());
    let engine = |cause| OpenError::Engine { engine: "embedded", passes: false, cause };
    match tokio::task::spawn_blocking(move || trunkline_embedded::back_up(&directory, &into)).await {
        Ok(copied) => copied.map_err(|error| engine(error.into())),
        Err(panic) => Err(engine(panic.into())),
    }
}

fn options(query: &str, channels: &ChannelsSettings) -> Result<Options, OpenError> {
    let mut options = Options::default();
    options.max_record = options.max_record.max(channels.max_record);
    for (name, value) in query.split('&').filter_map(|option| option.split_once('=')) {
        let wrong = || OpenError::Option(format!("`{value}` is no value of {name}"));
        match name {
            "max_bytes" => {
                let size: SizeSetting = value.parse().map_err(|_not_a_size| wrong())?;
                options.max_bytes = Some(size.0);
            }
            "accept_damage" => options.accept_damage = value.parse().map_err(|_not_a_truth| wrong())?,
            _ => return Err(OpenError::Option(format!("there is no option {name}"))),
        }
    }
    Ok(options)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_address() {
        let channels = ChannelsSettings { max_record: 32 << 20, ..ChannelsSettings::default() };
        let read = |query| options(query, &channels);
        let some = read("max_bytes=1GiB&accept_damage=true").unwrap();
        assert_eq!((some.max_bytes, some.accept_damage, some.max_record), (Some(1 << 30), true, 32 << 20));
        assert!(!read("").unwrap().accept_damage);
        for bad in ["max_bytes=much", "accept_damage=perhaps", "speed=11"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_directory_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let channels = ChannelsSettings::default();
        let first = open("./data", folder.path(), &channels).await.unwrap();
        assert!(folder.path().join("data").is_dir(), "relative to the configuration's folder");
        let Err(second) = open("./data", folder.path(), &channels).await else { panic!("opened twice") };
        assert!(matches!(second, OpenError::Engine { .. }), "{second}");
        drop(first);
        assert!(open("", folder.path(), &channels).await.is_err());
    }
}
