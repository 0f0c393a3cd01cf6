//! Checks that VRL does not make: paths that no event has, and outputs that can only be null.

use std::collections::BTreeSet;

use trunkline_core::config::{Diagnostic, Node};
use vrl::diagnostic::Span;
use vrl::parser::ast::{Container, Expr, Literal, Node as Ast};
use vrl::path::{OwnedSegment, OwnedTargetPath, OwnedValuePath, PathPrefix};
use vrl::value::Kind;

use super::types::{DataType, has};
use crate::codes;
use crate::suggest::did_you_mean;

/// An error at a place inside a program's text.
pub(super) fn error_at(
    node: &Node,
    span: Span,
    code: &'static str,
    message: impl Into<String>,
    hint: Option<String>,
) -> Diagnostic {
    Diagnostic { place: node.place_in_text(span.start()), ..node.error(code, message, hint) }
}

/// Checks every path a program reads against the types its events can have.
pub(super) fn paths(node: &Node, reads: &[(OwnedTargetPath, Span)], types: &[DataType]) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    reads
        .iter()
        .filter(|(path, span)| seen.insert((path.to_string(), span.start())))
        .filter_map(|(path, span)| one_path(node, path, *span, types))
        .collect()
}

fn one_path(node: &Node, path: &OwnedTargetPath, span: Span, types: &[DataType]) -> Option<Diagnostic> {
    if path.prefix == PathPrefix::Metadata {
        let message = "an event has no metadata; its extensions are under `.ext`";
        return Some(error_at(node, span, codes::PROGRAM_PATH, message, None));
    }
    let (has, lacks): (Vec<_>, Vec<_>) =
        types.iter().partition(|data_type| has(&data_type.event, &path.path.segments));
    if lacks.is_empty() {
        return None;
    }
    let hint = lacks.iter().find_map(|data_type| suggestion(&data_type.event, &path.path));
    let names =
        |list: &[&DataType]| list.iter().map(|data_type| &*data_type.name).collect::<Vec<_>>().join(", ");
    if has.is_empty() {
        let in_data = path.path.segments.first() == Some(&OwnedSegment::field("data"));
        let message = if in_data {
            format!("`{path}` is in no type its events can have ({})", names(&lacks))
        } else {
            format!("an event has no `{path}`")
        };
        return Some(error_at(node, span, codes::PROGRAM_PATH, message, hint));
    }
    let message = format!("`{path}` is in {}, but not in {}", names(&has), names(&lacks));
    let place = node.place_in_text(span.start());
    Some(Diagnostic { place, ..node.warning(codes::PROGRAM_PATH, message, hint) })
}

/// The nearest name where the path leaves what the type has.
fn suggestion(kind: &Kind, path: &OwnedValuePath) -> Option<String> {
    let at = (0..path.segments.len()).find(|at| !has(kind, &path.segments[..=*at]))?;
    let OwnedSegment::Field(wrong) = &path.segments[at] else { return None };
    let parent: OwnedValuePath = path.segments[..at].to_vec().into();
    let parent_kind = kind.at_path(&parent);
    let Some(object) = parent_kind.as_object() else {
        return parent_kind
            .contains_array()
            .then(|| "it is an array: name an element, as in `[0]`".to_owned());
    };
    let names: Vec<&str> = object.known().keys().map(|field| field.as_str()).collect();
    did_you_mean(wrong, names.iter().copied())
        .or_else(|| (!names.is_empty()).then(|| format!("there are {}", names.join(", "))))
}

/// Finds the fields of a program's output that can only be null, though they are not written so.
pub(super) fn nulls(node: &Node, made: &Kind, last: Option<&Ast<Expr>>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let Some(last) = last {
        collect_nulls(node, made, last, "", &mut found);
    }
    found
}

fn collect_nulls(node: &Node, made: &Kind, expr: &Ast<Expr>, path: &str, found: &mut Vec<Diagnostic>) {
    if made.contains_any_defined() && made.without_undefined().is_null() {
        if !is_written_null(expr) {
            let what = if path.is_empty() { "the program".to_owned() } else { format!("field `{path}`") };
            let hint = Some("write `null` if that is what you mean".to_owned());
            found.push(error_at(
                node,
                expr.span(),
                codes::PROGRAM_NULL,
                format!("{what} can only be null"),
                hint,
            ));
        }
        return;
    }
    let (Some(object), Expr::Container(container)) = (made.as_object(), expr.inner()) else { return };
    let Container::Object(written) = container.inner() else { return };
    for (key, value) in written.inner().clone() {
        if let Some(kind) = object.known().get(&key.inner().as_str().into()) {
            let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
            collect_nulls(node, kind, &value, &path, found);
        }
    }
}

fn is_written_null(expr: &Ast<Expr>) -> bool {
    matches!(expr.inner(), Expr::Literal(literal) if matches!(literal.inner(), Literal::Null))
}
