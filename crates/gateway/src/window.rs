//! Keeps the window of seen ids from growing for ever.

use std::time::Duration;

use chrono::Utc;
use tracing::warn;
use trunkline_sdk::store::Store;

const EVERY: Duration = Duration::from_secs(60);
/// Ids forgotten in one statement, so that the store is never busy for long.
const AT_ONCE: u32 = 10_000;

/// Forgets ids older than the window, for ever.
pub(crate) async fn prune(store: Store, window: Duration) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(before) =
            chrono::Duration::from_std(window).ok().and_then(|window| Utc::now().checked_sub_signed(window))
        else {
            return;
        };
        loop {
            match store.prune_seen(before, AT_ONCE).await {
                Ok(forgotten) if forgotten >= u64::from(AT_ONCE) => {}
                Ok(_) => break,
                Err(error) => {
                    warn!(%error, "old seen ids were not forgotten; tried again in a minute");
                    break;
                }
            }
        }
    }
}
