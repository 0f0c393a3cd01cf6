//! Reading all subscriptions of a section.

use std::thread;

use trunkline_core::config::{Diagnostics, Node, NodeValue};
use trunkline_core::{DestinationName, TypeCatalogue};

use crate::codes;
use crate::program::{Compiler, EventTypes, Limits};
use crate::subscription::{Reader, Subscription};

/// VRL's compiler recurses into what it compiles, so a short program of nothing but brackets needs a deep stack before
/// it can be refused for its depth. Only what is used of the stack takes memory.
const STACK: usize = 256 * 1024 * 1024;

/// Reads every entry; all mistakes go to `diagnostics`. `None` when the section is no map or nothing could be read.
pub(super) fn subscriptions(
    section: Option<&Node>,
    destinations: &[DestinationName],
    catalogue: &TypeCatalogue,
    limits: &Limits,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Subscription>> {
    let section = match section {
        None | Some(Node { value: NodeValue::Null, .. }) => return Some(Vec::new()),
        Some(section) => section,
    };
    if !matches!(section.value, NodeValue::Map(_)) {
        let hint = Some("for example `subscriptions: { orders: { match: {}, to: crm } }`".to_owned());
        diagnostics.push(section.error(
            codes::SUBSCRIPTION,
            "a map of names to subscriptions is needed",
            hint,
        ));
        return None;
    }
    let read_all = || {
        let reader =
            Reader { destinations, types: EventTypes::new(catalogue), compiler: Compiler::new(limits) };
        let mut found = Diagnostics::new();
        let read = section.entries().filter_map(|(key, node)| reader.read(&key.name, node, &mut found));
        let subscriptions: Vec<_> = read.collect();
        (subscriptions, found)
    };
    let joined = thread::scope(|scope| {
        let builder = thread::Builder::new().name("rules-compiler".to_owned()).stack_size(STACK);
        builder.spawn_scoped(scope, read_all).map(thread::ScopedJoinHandle::join)
    });
    match joined {
        Ok(Ok((subscriptions, found))) => {
            diagnostics.extend(found.into_sorted());
            Some(subscriptions)
        }
        Ok(Err(_)) | Err(_) => {
            let message = "the compiler of subscriptions could not run to its end";
            diagnostics.push(section.error(codes::SUBSCRIPTION, message, None));
            None
        }
    }
}
