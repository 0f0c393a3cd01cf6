//! The store, by itself.

use std::time::Duration;

use trunkline_core::Examination;
use trunkline_sdk::config::Shared;
use trunkline_sdk::service::examine_store;

use super::spot::Spot;
use super::{Part, bounded, placed};

pub(super) async fn examine(shared: &Shared, within: Duration) -> Part {
    let mut found = Examination::default();
    bounded(within, (), &mut found, async |found| {
        if let Err(error) = examine_store(shared, found).await {
            // The unset secret is a finding of its own.
            found.unseen(format!("the store as a whole: {error}"));
        }
    })
    .await;
    let whole = Spot::at(shared, "store", "");
    Part { name: "store".to_owned(), found: placed(found, |()| whole.clone()), whole: whole.clone() }
}
