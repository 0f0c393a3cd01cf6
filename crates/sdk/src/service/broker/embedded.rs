//! Opening the embedded engine.

use std::path::Path;
use std::sync::Arc;

use trunkline_broker::Broker;

use super::OpenError;
use crate::config::ChannelsSettings;

pub(super) async fn open(
    address: &str,
    folder: &Path,
    channels: &ChannelsSettings,
) -> Result<Arc<dyn Broker>, OpenError> {
    let _ = (address, folder, channels);
    Err(OpenError::NotInBuild("embedded"))
}
