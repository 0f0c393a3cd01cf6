//! `version`.

use serde_json::json;
use trunkline_sdk::service::Exit;

use super::Common;
use crate::output;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn run(common: &Common) -> Exit {
    if common.json {
        output::json(&json!({ "version": VERSION, "engines": ["embedded"] }));
    } else {
        output::line(&format!("trunkline {VERSION}"));
    }
    Exit::Done
}
