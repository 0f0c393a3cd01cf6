//! Tests of the rules through their public door: a configuration goes in, routings come out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod agreement;
mod allowance;
mod hostile;
mod mistakes;
mod patterns;
mod routing;
mod steps;

use std::sync::Arc;

use trunkline_core::config::{Diagnostics, parse};
use trunkline_core::{DestinationName, Event, TypeCatalogue};
use trunkline_rules::{Limits, RuleSet};

fn destinations() -> Vec<DestinationName> {
    ["crm", "erp", "helpdesk"].iter().map(|name| DestinationName::parse(name).unwrap()).collect()
}

fn try_compile(yaml: &str, limits: Limits) -> (Option<RuleSet>, Diagnostics) {
    let node = parse("trunkline.yaml", yaml).unwrap();
    RuleSet::compile_within(Some(&node), &destinations(), Arc::new(TypeCatalogue::canonical()), limits)
}

#[track_caller]
fn compile(yaml: &str) -> RuleSet {
    let (set, diagnostics) = try_compile(yaml, Limits::default());
    let said: Vec<String> = diagnostics.into_sorted().iter().map(ToString::to_string).collect();
    set.unwrap_or_else(|| panic!("{}", said.join("\n")))
}

/// An event with JSON data.
fn event(kind: &str, data: &str) -> Event {
    Event::builder("1", "shop", kind).json(data).build().unwrap()
}

/// An event whose data is said to be JSON and is not acceptable: only its envelope can be read.
fn unreadable(kind: &str) -> Event {
    use trunkline_core::Data;
    let message = trunkline_core::event::Text::from("type.googleapis.com/nobody.knows.It".to_owned());
    Event::builder("1", "shop", kind)
        .data(Data::Proto { type_url: message, value: vec![1, 2, 3].into() })
        .build()
        .unwrap()
}
