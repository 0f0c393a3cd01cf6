//! Patterns: the EventBridge dialect as a syntax tree with positions.
//!
//! A pattern is a map of the event's fields (`id`, `source`, `type`, `subject`, `time`, `ext`, `data`) to lists of
//! alternatives: the event matches when *every* field named has *one* of its alternatives. `$or` holds a list of
//! patterns of which one must match.
//!
//! Where the event has an array, one element must match. Several fields below an array must match in the *same*
//! element: `line_items: { sku: [A], quantity: [{ numeric: [">", 1] }] }` asks for one line with both. An empty array
//! has no element, so nothing below it matches but `exists: false`.
//!
//! `exists` asks whether the field is there, null included. A canonical message's absent optional field *is* null
//! (see [`trunkline_core::EventView`]), so ask for it with `[null]`, and for its opposite with `[{ anything-but:
//! [null] }]`.
//!
//! Numbers are compared exactly, also beyond 2^53 and between whole numbers and fractions. A timestamp compares as its
//! RFC 3339 text in UTC.
//!
//! [`Pattern::evaluate`] is the definition of what a pattern means; [`crate::index`] must agree with it.

mod evaluate;
mod limits;
mod number;
mod operator;
mod read;
mod read_operator;
mod wildcard;

use std::fmt;
use std::sync::Arc;

use trunkline_core::config::{Diagnostics, Node, Place};
use trunkline_core::view::{EventView, ViewError};

pub use evaluate::Unmatched;
pub(crate) use evaluate::leaf_text;
pub use number::Number;
pub use operator::{Operator, Scalar};
pub use wildcard::Wildcard;

/// A pattern: a syntax tree of predicates over the fields of an event.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub(crate) root: Fields,
}

/// Fields that must all match, and alternatives of which one of each list must.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    /// In the order of evaluation: at the root, `data` comes last.
    pub(crate) fields: Vec<Field>,
    /// One list for each `$or`.
    pub(crate) alternatives: Vec<Alternatives>,
}

/// The patterns of one `$or`.
#[derive(Debug, Clone)]
pub(crate) struct Alternatives {
    pub(crate) place: Place,
    pub(crate) patterns: Vec<Fields>,
}

/// One field and what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    /// From the event's root, joined by dots.
    pub(crate) path: Arc<str>,
    pub(crate) want: Want,
}

/// What is asked of a field.
#[derive(Debug, Clone)]
pub(crate) enum Want {
    /// One of these.
    One { place: Place, operators: Vec<Operator> },
    /// All of these below it.
    Below(Fields),
}

/// The first predicate of a pattern that an event does not satisfy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The field in the event, for example `data.total.minor_units`; `$or` when none of its alternatives matches.
    pub path: String,
    /// Where the predicate stands in the configuration.
    pub place: Place,
    /// What it asks for, for example `> 10000`.
    pub expected: String,
    /// What the event has, for example `4200` or `nothing`.
    pub found: String,
}

impl Pattern {
    /// Reads a pattern from a subscription's `match`. All mistakes go to `diagnostics`; `None` when there was any.
    pub fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        read::pattern(node, diagnostics)
    }

    /// Whether the event matches.
    ///
    /// # Errors
    /// [`Unmatched::Mismatch`] names the first predicate that failed. [`Unmatched::View`] says that the answer depends
    /// on data that can't be looked into; a pattern whose answer does not depend on it never gives this.
    pub fn evaluate(&self, view: &EventView<'_>) -> Result<(), Unmatched> {
        self.root.evaluate_root(view).map_err(|miss| miss.describe(view))
    }

    /// As [`Pattern::evaluate`], without describing the mismatch.
    ///
    /// # Errors
    /// The [`ViewError`] that keeps the question open.
    pub fn matches(&self, view: &EventView<'_>) -> Result<bool, ViewError> {
        match self.root.evaluate_root(view) {
            Ok(()) => Ok(true),
            Err(miss) => miss.settled().map(|()| false),
        }
    }

    /// Whether it asks for nothing but one field at the root, with a list.
    pub(crate) fn has_one_question(&self) -> bool {
        self.root.alternatives.is_empty()
            && matches!(&self.root.fields[..], [Field { want: Want::One { .. }, .. }])
    }

    /// The alternatives asked of a top-level field, where it has a list of its own outside `$or`.
    pub(crate) fn alternatives_of(&self, name: &str) -> Option<&[Operator]> {
        self.root.fields.iter().find(|field| &*field.name == name).and_then(|field| match &field.want {
            Want::One { operators, .. } => Some(&operators[..]),
            Want::Below(_) => None,
        })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.path, self.expected, self.found)
    }
}
