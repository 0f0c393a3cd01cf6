//! One alternative from the configuration.

use std::sync::Arc;

use ipnet::IpNet;
use trunkline_core::config::{Node, NodeValue};

use super::limits::MAX_TEXT;
use super::number::Number;
use super::operator::{Affix, Operator, Range, Scalar};
use super::read::Reader;
use super::wildcard::Wildcard;
use crate::codes;
use crate::suggest::did_you_mean;

const OPERATORS: [&str; 8] =
    ["prefix", "suffix", "equals-ignore-case", "wildcard", "numeric", "exists", "anything-but", "cidr"];

/// Reads a value (an exact alternative) or a map of one operator.
pub(super) fn alternative(reader: &mut Reader<'_>, node: &Node) -> Option<Operator> {
    reader.values += 1;
    match &node.value {
        NodeValue::Map(entries) => {
            let [(key, argument)] = &entries[..] else {
                let hint = Some("write each operator as an element of its own".to_owned());
                reader.error(node, codes::PATTERN, "an alternative has exactly one operator", hint);
                return None;
            };
            let at_key = Node { place: key.place.clone(), ..node.clone() };
            operator(reader, &at_key, &key.name, argument)
        }
        NodeValue::List(_) => {
            reader.error(node, codes::PATTERN, "a list inside a list of values", None);
            None
        }
        _ => scalar(reader, node).map(Operator::Exact),
    }
}

fn operator(reader: &mut Reader<'_>, at_key: &Node, name: &str, argument: &Node) -> Option<Operator> {
    match name {
        "prefix" => affix(reader, argument, name).map(Operator::Prefix),
        "suffix" => affix(reader, argument, name).map(Operator::Suffix),
        "equals-ignore-case" => {
            text(reader, argument, name).map(|text| Operator::EqualsIgnoreCase(Affix::new(text, true)))
        }
        "wildcard" => wildcard(reader, argument),
        "numeric" => numeric(reader, argument).map(Operator::Numeric),
        "exists" => exists(reader, argument),
        "anything-but" => anything_but(reader, argument),
        "cidr" => cidr(reader, argument),
        _ => {
            let hint = did_you_mean(name, OPERATORS)
                .unwrap_or_else(|| format!("operators: {}", OPERATORS.join(", ")));
            reader.error(at_key, codes::OPERATOR, format!("unknown operator `{name}`"), Some(hint));
            None
        }
    }
}

fn scalar(reader: &mut Reader<'_>, node: &Node) -> Option<Scalar> {
    match &node.value {
        NodeValue::Null => Some(Scalar::Null),
        NodeValue::Boolean(truth) => Some(Scalar::Boolean(*truth)),
        NodeValue::Text { .. } => text(reader, node, "a value").map(Scalar::Text),
        NodeValue::Integer(_) | NodeValue::Float(_) => number(reader, node).map(Scalar::Number),
        NodeValue::List(_) | NodeValue::Map(_) => {
            reader.error(node, codes::PATTERN, "a value is text, a number, true, false or null", None);
            None
        }
    }
}

fn number(reader: &mut Reader<'_>, node: &Node) -> Option<Number> {
    let number = match &node.value {
        NodeValue::Integer(integer) => Some(Number::Integer(*integer)),
        NodeValue::Float(float) => Number::from_float(*float),
        _ => None,
    };
    if number.is_none() {
        reader.error(node, codes::PATTERN, "a number is needed here", None);
    }
    number
}

fn text(reader: &mut Reader<'_>, node: &Node, of: &str) -> Option<Arc<str>> {
    match &node.value {
        NodeValue::Text { text, .. } if text.len() > MAX_TEXT => {
            reader.error(node, codes::PATTERN_LIMIT, format!("text longer than {MAX_TEXT} bytes"), None);
            None
        }
        NodeValue::Text { text, .. } => Some(text.clone()),
        _ => {
            let hint = show(node).map(|value| format!("write \"{value}\""));
            reader.error(node, codes::PATTERN, format!("`{of}` needs text"), hint);
            None
        }
    }
}

/// Text, or `{ equals-ignore-case: TEXT }`.
fn affix(reader: &mut Reader<'_>, node: &Node, of: &str) -> Option<Affix> {
    let NodeValue::Map(entries) = &node.value else {
        return text(reader, node, of).map(|text| Affix::new(text, false));
    };
    match &entries[..] {
        [(key, argument)] if &*key.name == "equals-ignore-case" => {
            text(reader, argument, &key.name).map(|text| Affix::new(text, true))
        }
        _ => {
            let hint = Some(format!("write `{of}: TEXT` or `{of}: {{ equals-ignore-case: TEXT }}`"));
            reader.error(node, codes::OPERATOR, format!("unknown form of `{of}`"), hint);
            None
        }
    }
}

fn wildcard(reader: &mut Reader<'_>, node: &Node) -> Option<Operator> {
    let written = text(reader, node, "wildcard")?;
    match Wildcard::parse(&written) {
        Ok(wildcard) => {
            reader.stars += wildcard.stars();
            Some(Operator::Wildcard(wildcard))
        }
        Err((problem, hint)) => {
            reader.error(node, codes::PATTERN, problem, Some(hint.to_owned()));
            None
        }
    }
}

fn exists(reader: &mut Reader<'_>, node: &Node) -> Option<Operator> {
    match node.value {
        NodeValue::Boolean(wanted) => Some(Operator::Exists(wanted)),
        _ => {
            reader.error(node, codes::PATTERN, "`exists` needs true or false", None);
            None
        }
    }
}

fn cidr(reader: &mut Reader<'_>, node: &Node) -> Option<Operator> {
    let written = text(reader, node, "cidr")?;
    match written.parse::<IpNet>() {
        Ok(network) => Some(Operator::Cidr(network)),
        Err(error) => {
            let hint = Some("for example `10.0.0.0/24` or `2001:db8::/32`".to_owned());
            reader.error(node, codes::PATTERN, format!("`{written}` is no network: {error}"), hint);
            None
        }
    }
}

fn anything_but(reader: &mut Reader<'_>, node: &Node) -> Option<Operator> {
    let refused = match &node.value {
        NodeValue::List(items) if items.is_empty() => {
            reader.error(node, codes::PATTERN, "`anything-but` needs at least one value", None);
            return None;
        }
        NodeValue::List(items) => {
            reader.values += items.len();
            items.iter().filter_map(|item| scalar(reader, item).map(Operator::Exact)).collect()
        }
        NodeValue::Map(entries) => {
            let [(key, argument)] = &entries[..] else {
                reader.error(node, codes::PATTERN, "`anything-but` has one operator inside", None);
                return None;
            };
            let at_key = Node { place: key.place.clone(), ..node.clone() };
            refused_forms(reader, &at_key, &key.name, argument)?
        }
        _ => vec![Operator::Exact(scalar(reader, node)?)],
    };
    Some(Operator::AnythingBut(refused))
}

/// `anything-but: { prefix: TEXT }` and its kin, each with one text or a list of them.
fn refused_forms(
    reader: &mut Reader<'_>,
    at_key: &Node,
    name: &str,
    argument: &Node,
) -> Option<Vec<Operator>> {
    const FORMS: [&str; 4] = ["prefix", "suffix", "equals-ignore-case", "wildcard"];
    if !FORMS.contains(&name) {
        let hint = did_you_mean(name, FORMS)
            .unwrap_or_else(|| format!("inside `anything-but`: {}", FORMS.join(", ")));
        reader.error(at_key, codes::OPERATOR, format!("`anything-but` takes no `{name}`"), Some(hint));
        return None;
    }
    let arguments = match &argument.value {
        NodeValue::List(items) => &items[..],
        _ => std::slice::from_ref(argument),
    };
    reader.values += arguments.len();
    Some(arguments.iter().filter_map(|argument| operator(reader, at_key, name, argument)).collect())
}

/// One or two comparisons: `[">", 0]`, `[">=", 0, "<", 10]`.
fn numeric(reader: &mut Reader<'_>, node: &Node) -> Option<Range> {
    let items = match &node.value {
        NodeValue::List(items) if matches!(items.len(), 2 | 4) => items,
        _ => {
            let hint = Some("for example `numeric: [\">\", 0, \"<=\", 100]`".to_owned());
            reader.error(node, codes::PATTERN, "`numeric` needs one or two comparisons", hint);
            return None;
        }
    };
    let mut range = Range { low: None, high: None };
    let mut sound = true;
    for pair in items.chunks_exact(2) {
        sound &= number(reader, &pair[1]).is_some_and(|bound| compare(reader, &pair[0], bound, &mut range));
    }
    if sound && range.is_empty() {
        reader.error(node, codes::PATTERN, format!("no number is {range}"), None);
        return None;
    }
    sound.then_some(range)
}

fn compare(reader: &mut Reader<'_>, node: &Node, bound: Number, range: &mut Range) -> bool {
    let (low, high) = match node.as_text() {
        Some(">") => (Some((bound, false)), None),
        Some(">=") => (Some((bound, true)), None),
        Some("<") => (None, Some((bound, false))),
        Some("<=") => (None, Some((bound, true))),
        Some("=") => (Some((bound, true)), Some((bound, true))),
        other => {
            let hint = match other {
                Some("!=") => "write `{ anything-but: [NUMBER] }`",
                _ => "comparisons: `<`, `<=`, `>`, `>=`, `=`",
            };
            let shown = other.unwrap_or("this");
            reader.error(node, codes::OPERATOR, format!("`{shown}` is no comparison"), Some(hint.to_owned()));
            return false;
        }
    };
    if (low.is_some() && range.low.is_some()) || (high.is_some() && range.high.is_some()) {
        reader.error(node, codes::PATTERN, "two comparisons in the same direction", None);
        return false;
    }
    range.low = range.low.or(low);
    range.high = range.high.or(high);
    true
}

/// A scalar as it could be written.
pub(super) fn show(node: &Node) -> Option<String> {
    match &node.value {
        NodeValue::Null => Some("null".to_owned()),
        NodeValue::Boolean(truth) => Some(truth.to_string()),
        NodeValue::Integer(integer) => Some(integer.to_string()),
        NodeValue::Float(float) => Some(float.to_string()),
        NodeValue::Text { text, .. } => Some(text.to_string()),
        NodeValue::List(_) | NodeValue::Map(_) => None,
    }
}
