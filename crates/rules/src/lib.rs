//! Which events go to which destination, and in what form: patterns, conditions, transforms and the rule set they make.
//!
//! A [`RuleSet`] is compiled once from the `subscriptions` section of a configuration and then asked for each event.
//! A subscription has up to three parts, in the order in which they are asked: a [`Pattern`] (declarative, indexed, the
//! only part asked of most events), a `when` condition and a `transform` (both VRL programs, run only on what matched).
//!
//! This crate does no I/O. Its answers never depend on time or chance; the one clock it looks at is the stopwatch in
//! [`Limits`] that stops a program which runs too long.
//!
//! Read it in this order: [`pattern`], [`index`], [`program`], [`subscription`], [`rule_set`], [`allowance`].
#![warn(missing_docs)]

pub mod allowance;
pub mod codes;
pub mod index;
pub mod pattern;
pub mod program;
pub mod rule_set;
pub mod subscription;
mod suggest;

pub use allowance::Allowances;
pub use pattern::{Mismatch, Pattern};
pub use program::Limits;
pub use rule_set::{Explanation, Outcome, RenderError, Routed, Routing, RuleFailure, RuleSet, Stage};
pub use subscription::Subscription;
