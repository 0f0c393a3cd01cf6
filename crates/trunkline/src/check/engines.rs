//! Whether the broker and the store of a configuration fit what is to be run.

use trunkline_core::config::{Diagnostics, Node, codes};
use trunkline_sdk::config::{Shared, secret_reference};

use super::Purpose;

/// `broker` and `store` must name an engine, and one service alone can't have what lives inside one process.
pub(super) fn judge(shared: &Shared, purpose: Purpose, diagnostics: &mut Diagnostics) {
    let mut refuse = |section: &str, message: String, hint: &str| {
        let node: &Node = shared.section_node(section).unwrap_or(&shared.root);
        diagnostics.push(node.error(codes::WRONG_VALUE, message, Some(hint.to_owned())));
    };
    // An address behind a reference may hold a password; it is judged when it is opened.
    let broker = scheme(&shared.broker);
    match broker {
        None | Some("embedded" | "kafka" | "amqp" | "amqps") => {}
        Some(other) => {
            let message = format!("`broker` begins with `{}`, which is no engine", other.escape_debug());
            refuse("broker", message, "write embedded:DIR, kafka://HOST:PORT or amqp://HOST/VHOST");
        }
    }
    let store = scheme(&shared.store);
    match store {
        None | Some("sqlite" | "postgres" | "postgresql") => {}
        Some(other) => {
            let message = format!("`store` begins with `{}`, which is no store", other.escape_debug());
            refuse("store", message, "write sqlite:FILE or postgres://HOST/NAME");
        }
    }
    let Purpose::Run(service) = purpose else { return };
    let service = service.name();
    if broker == Some("embedded") {
        let message =
            format!("the embedded engine lives inside one process, so `run {service}` can't share it");
        refuse(
            "broker",
            message,
            "run all services in one process with `trunkline up`, or name another broker",
        );
    }
    if store == Some("sqlite") {
        let message = format!("a SQLite store is locked by one process, so `run {service}` can't share it");
        refuse(
            "store",
            message,
            "run all services in one process with `trunkline up`, or name a postgres:// store",
        );
    }
}

/// What stands before the first colon; `None` when the whole is a reference.
fn scheme(address: &str) -> Option<&str> {
    match secret_reference(address) {
        Some(_) => None,
        None => Some(address.split(':').next().unwrap_or_default()),
    }
}
